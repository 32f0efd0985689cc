"""What all tests share: the rig's fixtures and its rule about skips."""

pytest_plugins = ["tests.rig.plugin"]
