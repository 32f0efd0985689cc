"""The ways to hold the socket and to run the slots: systemd, or the keeper."""

from __future__ import annotations

from aiconsole.onhost.runner.runtimes.runtime import Runtime
from aiconsole.onhost.wire import HostLayout

__all__ = ["Runtime", "of"]


def of(layout: HostLayout, tool_path: str = "") -> Runtime:
    """Pick the runtime of an installation.

    Args:
        layout: The installation; it names its runtime.
        tool_path: The tool at work; with it the keeper is started where it is needed and does
            not run. Without it nothing is started by merely looking.
    """
    if layout.runtime == "systemd":
        from aiconsole.onhost.runner.runtimes.systemd import SystemdRuntime

        return SystemdRuntime(layout)
    from aiconsole.onhost.runner.runtimes.keeper import KeeperRuntime

    return KeeperRuntime(layout, tool_path)
