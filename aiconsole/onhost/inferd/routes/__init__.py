"""What the daemon answers, one file for each thing that can be asked for."""
