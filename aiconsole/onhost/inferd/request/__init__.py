"""A client's JSON: read, checked, and made into what the engine is asked."""
