"""Who may ask: addresses, keys, tokens, and what they are good for."""
