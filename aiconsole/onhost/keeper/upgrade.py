"""A keeper that becomes a newer one: same process, same sockets, same children."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import Any

from aiconsole.onhost.keeper.fault import KeeperFault
from aiconsole.onhost.keeper.keeper import Keeper
from aiconsole.onhost.wire import HostLayout, to_json

HANDOVER = "AICONSOLE_KEEPER_HANDOVER"
"""In the environment: descriptor of what the keeper before left to this one."""
PROBE = "AICONSOLE_KEEPER_PROBE"
"""In the environment: only say that this tool holds a keeper of this version."""
HANDOVER_VERSION = 1


@dataclass(frozen=True, slots=True)
class Handover:
    """What crosses from one process image to the next."""

    lock_fd: int
    control_fd: int
    notify_fds: dict[str, int]
    listener_fds: dict[str, int]
    lives: dict[str, dict[str, Any]]
    jobs: list[dict[str, Any]]


def command(layout: HostLayout, tool: str) -> list[str]:
    """Argv of a keeper that runs from a tool."""
    return [sys.executable, "-I", tool, "keeper", json.dumps(to_json(layout))]


def verify(layout: HostLayout, tool: str) -> None:
    """Prove that a tool starts here and understands the handover, before everything is on it.

    Raises:
        KeeperFault: `bad-request` with what it answered.
    """
    env = {**os.environ, PROBE: "1"}
    try:
        done = subprocess.run(
            command(layout, tool), env=env, stdin=subprocess.DEVNULL, capture_output=True,
            timeout=20, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KeeperFault("bad-request", f"{tool} does not run: {error}") from error
    if done.stdout.strip() != f"keeper {HANDOVER_VERSION}".encode():
        said = (done.stderr.decode("utf-8", "replace").strip().splitlines() or ["nothing"])[-1]
        raise KeeperFault("bad-request", f"{tool} holds no keeper to upgrade to: {said}")


def hand_over(keeper: Keeper, lock_fd: int, control: socket.socket, tool: str) -> None:
    """Become the keeper of another tool. Returns only where the exec failed.

    Raises:
        OSError: The exec failed; this keeper goes on.
    """
    handover = Handover(
        lock_fd,
        control.fileno(),
        notify_fds={name: slot.notify.fileno() for name, slot in keeper.slots.items()},
        listener_fds={where: sock.fileno() for where, sock in keeper.listeners.items()},
        lives={name: slot.handover() for name, slot in keeper.slots.items()},
        jobs=keeper.jobs.as_json(),
    )
    letter = os.memfd_create("handover", 0)
    os.write(letter, json.dumps(asdict(handover)).encode())
    kept = [lock_fd, control.fileno(), letter]
    kept += [*handover.notify_fds.values(), *handover.listener_fds.values()]
    for fd in kept:
        os.set_inheritable(fd, True)
    try:
        argv = command(keeper.layout, tool)
        os.execve(argv[0], argv, {**os.environ, HANDOVER: str(letter)})  # noqa: S606
    finally:
        for fd in kept:
            os.set_inheritable(fd, False)
        os.close(letter)


def taken_over() -> Handover | None:
    """Read what the keeper before left; None where this one starts anew."""
    text = os.environ.pop(HANDOVER, "")
    if not text:
        return None
    with open(int(text), "rb") as letter:
        letter.seek(0)
        return Handover(**json.loads(letter.read()))
