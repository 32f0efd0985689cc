"""Engines behind one protocol. Nothing is imported here: the engine's process stays small."""
