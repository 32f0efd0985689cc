"""One class for each thing a user can tell the console to do; `registry.COMMANDS` lists them."""
