"""The sockets a daemon listens on, and what clients can draw out on them."""
