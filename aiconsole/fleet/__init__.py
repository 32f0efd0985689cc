"""The hosts: inventory, ssh_config, facts, selection."""
