"""Checks of a host before anything changes on it, each with a verdict and a hint."""
