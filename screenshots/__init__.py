"""Pictures of the console at work on real hosts; `make screenshots` takes them again."""
