"""Answers that are given again: exact ones, to the very same request of the same client."""
