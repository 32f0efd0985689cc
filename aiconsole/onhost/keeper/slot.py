"""One slot: a release that runs, from its start to the end of its drain."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from aiconsole.onhost.keeper import process
from aiconsole.onhost.keeper.backoff import Backoff
from aiconsole.onhost.keeper.fault import KeeperFault
from aiconsole.onhost.keeper.log import Log, last_words
from aiconsole.onhost.keeper.notify import receive
from aiconsole.onhost.keeper.reaper import Reaper
from aiconsole.onhost.keeper.spawn import Child, minimal_environment, spawn
from aiconsole.onhost.wire import HostLayout, SlotStatus, to_json

SlotState: TypeAlias = Literal["stopped", "starting", "loading", "ready", "draining", "failed"]


@dataclass(slots=True)
class Life:
    """What a slot is doing; survives an upgrade of the keeper."""

    state: SlotState = "stopped"
    pid: int = 0
    since_unix_s: float = field(default_factory=time.time)
    restarts: int = 0
    """Starts by the keeper after a crash, since somebody last asked for a start."""
    reason: str = ""
    status_text: str = ""
    """What the slot says of itself, from `STATUS=`."""
    release_id: str = ""
    address: str = ""
    """Of the listening socket that it was given."""
    keep_up: bool = False
    """Start it again after a crash: it was ready once, or it is what should run."""
    crashes: int = 0
    """In a row, for the backoff."""


class Slot:
    """Starts, watches, restarts and drains one slot."""

    def __init__(
        self,
        name: str,
        layout: HostLayout,
        reaper: Reaper,
        listener: Callable[[], tuple[str, int]],
        notify: socket.socket,
        life: Life | None = None,
    ) -> None:
        """Make a slot that does nothing yet, or take over one that runs.

        Args:
            name: `a` or `b`.
            layout: Where its release and its run directory lie.
            reaper: Tells of its end.
            listener: Address and descriptor of the listening socket of now; raises KeeperFault.
            notify: The bound datagram socket that it reports to.
            life: Of the slot that runs already, after an upgrade.
        """
        self.name = name
        self.notify = notify
        self.life = life or Life()
        self.run_dir = layout.slot_run(name)
        self.log = Log(f"{self.run_dir}/log")
        self._link = layout.slot(name)
        self._credentials = layout.credentials
        self._pid_file = f"{self.run_dir}/pid"
        self._reaper = reaper
        self._listener = listener
        self._backoff = Backoff(crashes=self.life.crashes)
        self._retry: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()
        if self.life.pid:
            reaper.watch(self.life.pid, self._ended)

    @property
    def running(self) -> bool:
        """True while it has a process."""
        return self.life.pid != 0

    def status(self) -> dict[str, Any]:
        """Its SlotStatus as JSON, and what it says of itself."""
        life = self.life
        status = SlotStatus(
            self.name, life.state, life.release_id, life.pid, life.since_unix_s, life.restarts,
            life.reason,
        )  # fmt: skip
        return {**to_json(status), "status_text": life.status_text, "address": life.address}

    def handover(self) -> dict[str, Any]:
        """Its life as JSON, for the keeper that comes after this one."""
        self.life.crashes = self._backoff.crashes
        return asdict(self.life)

    async def start(self, ready_timeout_s: float, say: Callable[[str], None]) -> None:
        """Start it and wait until it is ready.

        Raises:
            KeeperFault: `busy`, `not-listening`, or `start-failed` with the last lines of its
                output; it does not run then.
        """
        if self.running:
            raise KeeperFault("busy", f"slot {self.name} is {self.life.state} already")
        self._cancel_retry()
        self._backoff.reset()
        self.life = Life()
        self._launch()
        await self._until_ready(time.monotonic() + ready_timeout_s, ready_timeout_s, say)

    def keep_up(self) -> None:
        """Start it without waiting, and again after every crash."""
        self.life.keep_up = True
        if not self.running and self._retry is None:
            self._relaunch()

    async def stop(self, drain_timeout_s: float) -> bool:
        """Let it finish its requests, then end it; False where it had to be killed."""
        self._cancel_retry()
        self.life.keep_up = False
        if not self.running:
            self._turn("stopped")
            return True
        self._turn("draining")
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.life.pid, signal.SIGTERM)
        if await self._until_ended(drain_timeout_s):
            return True
        await self.kill()
        self._turn("stopped")
        return False

    async def kill(self) -> None:
        """End it and everything it started, at once."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.life.pid, signal.SIGKILL)
        await self._until_ended(None)

    def hear(self) -> None:
        """Take in what the slot reports; called when its socket is readable."""
        for name, value in receive(self.notify):
            if not self.running:
                continue
            if name == "READY" and value == "1" and self.life.state in ("starting", "loading"):
                self.life.keep_up = True
                self.life.reason = ""
                self._turn("ready")
            elif name == "STOPPING" and value == "1":
                self._turn("draining")
            elif name == "STATUS":
                self.life.status_text = _printable(value)
                self._turn("loading" if self.life.state == "starting" else self.life.state)

    def _launch(self) -> None:
        address, listen_fd = self._listener()
        release = Path(self._link)
        if not (release / "launch.py").is_file():
            raise KeeperFault("start-failed", f"{release}/launch.py does not exist")
        self.life.release_id = release.resolve().name
        self.life.address = address
        self.life.status_text = ""
        self.hear()  # A late word of the process before must not count for this one.
        # Into the log before the fork: a child that ends at once writes after its own mark.
        self.log.mark(f"slot {self.name} started with release {self.life.release_id}")
        self.life.pid = self._spawn(str(release / "launch.py"), listen_fd)
        process.remember(self._pid_file, self.life.pid)
        self._turn("starting")
        self._reaper.watch(self.life.pid, self._ended)
        self._reaper.reap()

    def _spawn(self, launcher: str, listen_fd: int) -> int:
        argv = [sys.executable, "-I", launcher, "--slot", self.name, "--run-dir", self.run_dir]
        env = {**minimal_environment(), "NOTIFY_SOCKET": self.notify.getsockname()}
        if Path(self._credentials).is_dir():
            # As systemd tells a unit: a release of before that knows of no credentials starts too.
            env["CREDENTIALS_DIRECTORY"] = self._credentials
        output = self.log.open()
        try:
            return spawn(Child(argv, env, output, listen_fd))
        finally:
            os.close(output)

    def _relaunch(self) -> None:
        self._retry = None
        try:
            self._launch()
        except (KeeperFault, OSError) as error:
            self.life.reason = str(error)
            self._crashed(0.0)

    def _ended(self, status: int) -> None:
        life, was = self.life, self.life.state
        ready_for_s = time.time() - life.since_unix_s if was == "ready" else 0.0
        life.pid = 0
        process.forget(self._pid_file)
        self.hear()
        how = f"killed by signal {-status}" if status < 0 else f"ended with exit status {status}"
        self.log.mark(f"slot {self.name} {how}")
        if was == "draining" and not (life.keep_up and status):
            self._turn("stopped")
            return
        lines = last_words(str(self.log.path), 5)
        life.reason = "\n".join([how, *lines])
        if life.keep_up:
            self._crashed(ready_for_s)
        else:
            self._turn("failed")

    def _crashed(self, ready_for_s: float) -> None:
        delay_s = self._backoff.after_crash(ready_for_s)
        self.life.restarts += 1
        self._turn("failed")
        self._retry = asyncio.get_running_loop().call_later(delay_s, self._relaunch)

    async def _until_ready(
        self, deadline: float, ready_timeout_s: float, say: Callable[[str], None]
    ) -> None:
        said = ""
        while self.life.state in ("starting", "loading"):
            if not await self._change(deadline - time.monotonic()):
                await self.kill()
                self._turn("failed")
                self.life.reason = f"not ready within {ready_timeout_s:g} s"
                break
            if self.life.status_text not in ("", said):
                said = self.life.status_text
                say(said)
        if self.life.state != "ready":
            reason = self.life.reason.splitlines()[0] if self.life.reason else self.life.state
            log = tuple(last_words(str(self.log.path)))
            raise KeeperFault("start-failed", f"slot {self.name} did not start: {reason}", log)

    async def _until_ended(self, seconds: float | None) -> bool:
        deadline = None if seconds is None else time.monotonic() + seconds
        while self.running:
            left = None if deadline is None else deadline - time.monotonic()
            if not await self._change(left) and self.running:
                return False
        return True

    async def _change(self, seconds: float | None) -> bool:
        """Wait for the next change; False where there was none in time."""
        try:
            await asyncio.wait_for(self._changed.wait(), seconds)
        except asyncio.TimeoutError:  # Another class than TimeoutError before Python 3.11.
            return False
        return True

    def _turn(self, state: SlotState) -> None:
        if state != self.life.state:
            self.life.state, self.life.since_unix_s = state, time.time()
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _cancel_retry(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:200]
