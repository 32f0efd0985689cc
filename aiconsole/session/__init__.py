"""The way to a host: commands as values, run over SSH or on this machine."""
