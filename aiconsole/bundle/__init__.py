"""Layers and models: built here, sent where they are missing."""
