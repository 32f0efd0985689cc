"""What a slot's release says of itself: release.json, which the console wrote."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiconsole.onhost.wire import HostLayout


@dataclass(frozen=True, slots=True)
class Manifest:
    """The part of release.json that decides how a slot is asked."""

    model: str = ""
    """The name that clients ask for; empty where the file does not say."""
    chat_only: bool = False
    """A remote provider answers chats alone."""
    tls: bool = False
    """The public socket speaks TLS."""


def of_slot(layout: HostLayout, slot: str) -> Manifest:
    """The manifest that a slot's link leads to; a damaged one says nothing."""
    try:
        document = json.loads((Path(layout.slot(slot)) / "release.json").read_bytes())
    except (OSError, ValueError):
        return Manifest()
    return _read(document)


def _read(document: Any) -> Manifest:
    if not isinstance(document, dict):
        return Manifest()
    model, settings = document.get("model"), document.get("settings")
    name = model.get("name", "") if isinstance(model, dict) else ""
    settings = settings if isinstance(settings, dict) else {}
    return Manifest(str(name), settings.get("engine") == "remote", settings.get("tls") is True)
