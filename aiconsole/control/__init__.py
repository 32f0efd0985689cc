"""Deploy, restart, roll back, stop, start: plans for inferd, and following them to their end."""
