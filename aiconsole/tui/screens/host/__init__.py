"""One host with its live graphs."""
