"""Client keys of inferd and the secrets of the console."""
