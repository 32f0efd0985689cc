"""Real Debian hosts on this machine: booted in seconds, reachable over SSH, broken on purpose.

By hand: `python -m tests.rig up 3`. In tests: the fixtures `rig`, `rig_host` and `rig_hosts`.
"""
