"""Holds inferd's socket and slots where there is no systemd. Standard library only."""

from aiconsole.onhost.keeper.client import KeeperClient
from aiconsole.onhost.keeper.fault import KeeperFault
from aiconsole.onhost.keeper.launch import ensure_keeper
from aiconsole.onhost.keeper.serve import serve

__all__ = ["KeeperClient", "KeeperFault", "ensure_keeper", "serve"]
