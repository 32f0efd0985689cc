"""Samples of the fleet: one collector over the probes, and the series of each metric."""
