"""The wing that runs on the servers. It imports nothing else of aiconsole."""
