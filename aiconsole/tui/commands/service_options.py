"""The options of the operations on the service, named as on the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import get_args

from aiconsole.control.bring import parse_credential
from aiconsole.control.options import parse_address
from aiconsole.control.swap_mode import SwapWish
from aiconsole.errors import SettingsError
from aiconsole.tui.commands.options import Option, seconds, whole_number


def _address(text: str) -> str:
    try:
        parse_address(text)
    except SettingsError as error:
        raise ValueError(f"an IP address and a port, such as 127.0.0.1:8480 ({text})") from error
    return text


def _file(what: str) -> Callable[[str], Path]:
    """A reader of a path on this machine."""

    def read(text: str) -> Path:
        if not text:
            raise ValueError(what)
        try:
            return Path(text).expanduser()
        except RuntimeError as error:
            raise ValueError(f"{what}; there is no such home directory") from error

    return read


def _credential(text: str) -> str:
    try:
        parse_credential(text)
    except SettingsError as error:
        raise ValueError("NAME=FILE, or NAME=- to be asked") from error
    return text


_DRAIN = Option("--drain", "drain_timeout_s", "SECONDS", seconds)
_SWAP = Option("--swap", "swap", "HOW", choices=get_args(SwapWish))
_PLAN = Option("--plan", "plan_only")

DEPLOY: tuple[Option, ...] = (
    Option("--model", "model", "PATH", _file("a GGUF file")),
    Option("--model-name", "model_name", "NAME"),
    Option("--listen", "listen", "ADDRESS:PORT", _address),
    Option("--new-key", "new_key"),
    Option("--slots", "slots", "N", whole_number(0, 1024)),
    Option("--context", "context_tokens", "TOKENS", whole_number(0)),
    Option("--settings", "settings", "PATH", _file("a TOML file, or none")),
    Option("--credential", "credentials", "NAME=FILE", _credential, many=True),
    _DRAIN,
    _SWAP,
    Option("--watch", "watch_s", "SECONDS", seconds),
    Option("--batch", "batch", "N", whole_number(1, 1000)),
    _PLAN,
)
SWAP: tuple[Option, ...] = (_DRAIN, _SWAP, _PLAN)
"""Of a restart and a rollback."""
STOP: tuple[Option, ...] = (_DRAIN, _PLAN)
START: tuple[Option, ...] = (_PLAN,)
