"""What is deployed on this host, from the state file that the runner keeps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aiconsole.onhost.probe.paced import SourceError
from aiconsole.onhost.wire import HostLayout, ServiceState, WireError, from_json

_LOOPBACK = {"": "127.0.0.1", "*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
"""Where an address that means every interface is reached from the host itself."""


def layouts_of(runtime: str) -> list[HostLayout]:
    """Where an installation may lie: `systemd`, `keeper`, or `auto` for either."""
    system, user = HostLayout.system(), HostLayout.of_user(str(Path.home()))
    return {"systemd": [system], "keeper": [user]}.get(runtime, [system, user])


@dataclass(frozen=True, slots=True)
class Deployed:
    """One installation and its state."""

    layout: HostLayout
    state: ServiceState


def speaks_tls(found: Deployed) -> bool:
    """Whether the release in the serving slot has its public socket speak TLS."""
    manifest = Path(found.layout.slot(found.state.slot)) / "release.json"
    try:
        document = json.loads(manifest.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    settings = document.get("settings") if isinstance(document, dict) else None
    return isinstance(settings, dict) and settings.get("tls") is True


def deployed(layouts: Sequence[HostLayout]) -> Deployed | None:
    """The installation that should run, or else the one deployed last; None where there is none.

    Raises:
        SourceError: A state file is there and cannot be read.
    """
    found = [
        Deployed(layout, state)
        for layout in layouts
        if (state := read_state(Path(layout.state_file))) is not None
    ]
    return max(found, key=_precedence, default=None)


def _precedence(one: Deployed) -> tuple[bool, float]:
    return one.state.wanted == "running", one.state.deployed_unix_s


def read_state(state_file: Path) -> ServiceState | None:
    """The state; None where nothing was ever deployed.

    Raises:
        SourceError: The file cannot be read.
    """
    try:
        text = state_file.read_text("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeError) as error:
        raise SourceError(f"{state_file}: {error}") from error
    try:
        return from_json(ServiceState, json.loads(text))
    except (ValueError, RecursionError, WireError) as error:
        raise SourceError(f"{state_file} is not a state: {error}") from error


def dial_address(address: str) -> tuple[str, int]:
    """Where to reach a listening address from the host itself.

    Raises:
        SourceError: It is not `host:port`.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or not 0 < int(port) < 65536:
        raise SourceError(f"{address!r} is not an address")
    return _LOOPBACK.get(host.strip("[]"), host.strip("[]")), int(port)
