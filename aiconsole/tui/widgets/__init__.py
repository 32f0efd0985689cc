"""Reusable widgets: they place what `present` made and know nothing of hosts."""
