"""One file for each kind of step: what it would change, changing it, taking it back."""
