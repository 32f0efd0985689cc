"""How much: rates, quotas, places and the queue before them."""
