"""Asking the keeper, blocking, as the runner does."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from aiconsole.onhost.keeper.fault import KeeperFault
from aiconsole.onhost.wire import HostLayout, SlotStatus, from_json

_GIVE_UP_EACH_S = 0.2


def _quiet(_text: str) -> None:
    pass


def _never() -> bool:
    return False


class KeeperClient:
    """The keeper of one installation; each request takes a connection of its own."""

    def __init__(self, layout: HostLayout) -> None:
        self._path = f"{layout.run}/keeper.sock"

    def ask(
        self,
        do: str,
        *,
        say: Callable[[str], None] = _quiet,
        timeout_s: float = 30.0,
        give_up: Callable[[], bool] = _never,
        **arguments: Any,
    ) -> dict[str, Any]:
        """Send one request and wait for its answer.

        Raises:
            KeeperFault: What the keeper answered; `no-keeper` where none answers, `no-answer`
                after `timeout_s`, `given-up` where `give_up` said so meanwhile.
        """
        deadline = time.monotonic() + timeout_s
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(timeout_s)
            try:
                sock.connect(self._path)
                sock.sendall(json.dumps({"do": do, **arguments}).encode() + b"\n")
                for line in _lines(sock, deadline, give_up):
                    answer = json.loads(line)
                    if "progress" not in answer:
                        return _checked(answer)
                    say(str(answer["progress"]))
            except TimeoutError as error:
                text = f"{self._path}: no answer to {do} within {timeout_s:g} s"
                raise KeeperFault("no-answer", text) from error
            except (OSError, ValueError) as error:
                raise KeeperFault("no-keeper", f"{self._path}: {error}") from error
        raise KeeperFault("no-keeper", f"{self._path}: the keeper ended while it was asked")

    def status(self) -> dict[str, Any]:
        """Everything that the keeper tells of itself."""
        return self.ask("status")

    def slots(self) -> dict[str, SlotStatus]:
        """Both slots, by name."""
        known = ("slot", "state", "release_id", "pid", "since_unix_s", "restarts", "reason")
        rows = self.status()["slots"]
        return {
            row["slot"]: from_json(SlotStatus, {key: row[key] for key in known}) for row in rows
        }

    def listen(self, address: str) -> None:
        """Hold the listening socket on an address."""
        self.ask("listen", address=address)

    def start(
        self,
        slot: str,
        ready_timeout_s: float,
        say: Callable[[str], None] = _quiet,
        give_up: Callable[[], bool] = _never,
    ) -> None:
        """Start a slot and wait until it is ready or has failed.

        After `give_up` the slot goes on to load; stop it.
        """
        self.ask(
            "start", say=say, timeout_s=ready_timeout_s + 30, give_up=give_up, slot=slot,
            ready_timeout_s=ready_timeout_s,
        )  # fmt: skip

    def stop(self, slot: str, drain_timeout_s: float) -> bool:
        """Drain and end a slot; False where it had to be killed."""
        answer = self.ask(
            "stop", timeout_s=drain_timeout_s + 30, slot=slot, drain_timeout_s=drain_timeout_s
        )
        return bool(answer["drained"])

    def enable(self, slot: str) -> None:
        """Make a slot the one that the next keeper starts; an empty name for none."""
        self.ask("enable", slot=slot)

    def close(self) -> None:
        """Close the listening socket; no slot may run."""
        self.ask("close")

    def run(self, lock: str, argv: Sequence[str], after: Sequence[str] = ()) -> int:
        """Start a run under a lock; `after` is executed when it has ended, however it ended."""
        return int(self.ask("run", lock=lock, argv=list(argv), after=list(after))["pid"])

    def cancel(self, lock: str) -> None:
        """Send SIGTERM to the run that holds a lock."""
        self.ask("cancel", lock=lock)

    def upgrade(self, tool: str) -> None:
        """Have the keeper become the one of another tool."""
        self.ask("upgrade", tool=tool)

    def quit(self, drain_timeout_s: float = 60.0) -> None:
        """Drain every slot and end the keeper; returns when its socket is gone."""
        self.ask("quit", timeout_s=drain_timeout_s + 30, drain_timeout_s=drain_timeout_s)
        while True:
            try:
                self.status()
            except KeeperFault:
                return
            time.sleep(0.02)


def _lines(sock: socket.socket, deadline: float, give_up: Callable[[], bool]) -> Iterator[bytes]:
    """Answers as they come.

    Raises:
        TimeoutError: The deadline passed.
        KeeperFault: `given-up`.
    """
    buffer = b""
    while True:
        ready, _, _ = select.select([sock], [], [], _GIVE_UP_EACH_S)
        if give_up():
            raise KeeperFault("given-up", "the caller no longer waits")
        if not ready:
            if time.monotonic() > deadline:
                raise TimeoutError
            continue
        chunk = sock.recv(65536)
        if not chunk:
            return
        *whole, buffer = (buffer + chunk).split(b"\n")
        yield from whole


def _checked(answer: dict[str, Any]) -> dict[str, Any]:
    if answer.get("ok"):
        return answer
    log = tuple(str(line) for line in answer.get("log", ()))
    raise KeeperFault(str(answer.get("code")), str(answer.get("text")), log)
