"""Executes a plan on a host: check, apply, undo, journal. Standard library only."""
