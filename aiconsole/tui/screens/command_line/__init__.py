"""The line in which a command is typed."""
