"""One operation from its plan to its result."""
