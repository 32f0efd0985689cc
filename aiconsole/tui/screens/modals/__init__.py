"""Questions over whatever is shown."""
