"""How the load gets to its target: a URL as it is, a host of the fleet through SSH."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from aiconsole.cli.ask import ask_terminal, asking
from aiconsole.errors import LoginError, NotConfirmedError, NotFoundError, SettingsError
from aiconsole.fleet.host import Host
from aiconsole.load.spec import Spec
from aiconsole.load.target import base_url, find_model, try_one
from aiconsole.question import Question
from aiconsole.secret import Secret

KEY_VARIABLE = "AICONSOLE_BENCH_KEY"
_KEY_BYTES = 8192

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reached:
    """A target that can be asked."""

    url: str
    lost: Callable[[], Awaitable[None]] | None = None
    """Ends when the way to it does; None where there is nothing to lose."""
    notes: tuple[str, ...] = ()
    """What a reader of the figures should know of the way."""


@asynccontextmanager
async def reach(target: str, *, yes: bool) -> AsyncGenerator[Reached, None]:
    """Open the way to a URL or a host, for as long as the context lasts.

    Raises:
        SettingsError: It is no URL.
        HostError: The host is unknown or out of reach.
        NotFoundError: Nothing serves there.
        NotConfirmedError: It is protected, and its name was not typed.
    """
    if "://" in target:
        yield Reached(base_url(target))
        return
    # Late: a URL needs no SSH.
    from aiconsole.control.options import loopback_address
    from aiconsole.services import open_services

    async with open_services(ask_terminal) as services:
        host = services.inventory.get(target)
        await _confirm(host, yes)
        status = await services.operations.status(host)
        if not status.service.address:
            raise NotFoundError(f"Nothing serves on {target}", "", f"aiconsole deploy {target}")
        address = loopback_address(status.service.address)
        session = await services.pool.session(host)
        opened = await session.forward(*address, 0)
        url = f"http://127.0.0.1:{opened.local_port}"
        notes = () if host.is_local else ("the times hold the SSH line to the host as well",)
        yield Reached(url, session.wait_closed, notes)


def read_key(path: Path | None) -> Secret | None:
    """The key of a file, or of the environment, which forgets it; None where there is none.

    Raises:
        SettingsError: The file cannot be read, or holds no key.
    """
    from_environment = os.environ.pop(KEY_VARIABLE, "")
    if path is None:
        return _checked(from_environment, KEY_VARIABLE) if from_environment else None
    try:
        with path.open("rb") as file:
            text = file.read(_KEY_BYTES).decode(errors="replace")
    except OSError as error:
        said = error.strerror or ""
        raise SettingsError(f"The key cannot be read from {path}", said) from error
    return _checked(text, str(path))


async def find(spec: Spec, key: Secret | None) -> tuple[Spec, Secret | None]:
    """Fill in the model where none is named; asks for a key where one is wanted.

    Raises:
        AiconsoleError: The service lists no model, wants another key, or is out of reach.
    """
    if spec.shape.model:
        return spec, key
    model, key = await _with_key(partial(find_model, spec), key)
    return replace(spec, shape=replace(spec.shape, model=model)), key


async def prove(spec: Spec, key: Secret | None) -> Secret | None:
    """Send one request; asks for a key where one is wanted, and returns it.

    Raises:
        AiconsoleError: The load could only fail.
    """
    _, key = await _with_key(partial(try_one, spec), key)
    return key


async def _with_key(
    ask: Callable[[Secret | None], Awaitable[T]], key: Secret | None
) -> tuple[T, Secret | None]:
    try:
        return await ask(key), key
    except LoginError as error:
        question = Question("secret", error.title, "The key is neither shown nor kept.")
        typed = None if key else await ask_terminal(question)
        if not isinstance(typed, Secret):
            raise
    key = _checked(typed.reveal(), "What was typed")
    return await ask(key), key


async def _confirm(host: Host, yes: bool) -> None:
    if not host.protected:
        return
    question = Question(
        "confirm",
        f"Send load to {host.name}, which is protected?",
        "Its users will wait longer for their answers.",
        danger=True,
        typed_name=host.name,
    )
    if not await asking(yes)(question):
        raise NotConfirmedError(f"No load was sent to {host.name}")


def _checked(text: str, source: str) -> Secret:
    key = text.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise SettingsError(f"{source} holds no key", "a key is one word of ASCII characters")
    return Secret(key)
