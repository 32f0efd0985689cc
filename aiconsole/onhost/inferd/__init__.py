"""The inference daemon: the only network face, in front of engines in processes of their own."""
