"""inferd, the inference daemon: the only network face, in front of an engine's own process."""
