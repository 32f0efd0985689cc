"""Holds inferd's socket and slots where there is no systemd. Standard library only."""
