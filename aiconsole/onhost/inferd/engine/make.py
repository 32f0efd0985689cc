"""The engine that the settings ask for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from aiconsole.onhost.inferd.credentials import Credentials
from aiconsole.onhost.inferd.engine.command import CommandEngine
from aiconsole.onhost.inferd.engine.llama import LlamaEngine
from aiconsole.onhost.inferd.engine.protocol import Engine
from aiconsole.onhost.inferd.engine.remote import RemoteEngine
from aiconsole.onhost.inferd.settings import Settings


def make_engine(
    settings: Settings, credentials: Credentials, run_dir: Path, on_change: Callable[[], None]
) -> Engine:
    """Make it; nothing is started or read yet.

    Args:
        settings: Of the release.
        credentials: Where the keys of remotes lie.
        run_dir: Of the slot; an engine's private directory is made in it.
        on_change: Called with each change of its status.
    """
    engine = settings.engine
    if engine.kind == "command":
        return CommandEngine(settings.model, engine, run_dir, on_change)
    if engine.kind == "remote":
        return RemoteEngine(settings.model, engine, credentials, on_change)
    return LlamaEngine(settings.model, engine, run_dir, on_change)
