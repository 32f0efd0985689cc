"""How a release is run on a host: what systemd is told; the keeper needs no files."""
