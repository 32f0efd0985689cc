"""An answer on its way to the client: gathered, counted, and in the shape that was asked for."""
