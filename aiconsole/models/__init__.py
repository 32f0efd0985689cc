"""The catalogue: models on the console's machine by name, with their versions."""
