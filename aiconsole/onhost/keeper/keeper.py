"""The keeper itself: listening sockets, two slots, and what should run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from aiconsole.onhost.keeper import desired, process
from aiconsole.onhost.keeper.desired import Desired
from aiconsole.onhost.keeper.fault import KeeperFault
from aiconsole.onhost.keeper.jobs import Jobs
from aiconsole.onhost.keeper.listener import bind
from aiconsole.onhost.keeper.reaper import Reaper
from aiconsole.onhost.keeper.slot import Life, Slot
from aiconsole.onhost.wire import HostLayout

SLOTS = ("a", "b")
_LOG_WATCH_S = 1.0
_LEFTOVER_DRAIN_S = 75.0
"""How long slots of a keeper that was killed may drain before they are killed too."""


class Keeper:
    """Holds the socket for the slots."""

    def __init__(
        self,
        layout: HostLayout,
        notify: dict[str, socket.socket],
        lives: dict[str, Life] | None = None,
        listeners: dict[str, socket.socket] | None = None,
    ) -> None:
        self.layout = layout
        self.reaper = Reaper()
        self.jobs = Jobs(layout, self.reaper)
        self.wanted = desired.load(self.state_file)
        self.listeners = listeners or {}
        """By address. One that is no longer wanted stays while a slot accepts from it."""
        self.trouble = ""
        """Why what should run does not."""
        self.slots = {
            name: Slot(name, layout, self.reaper, self._listener, notify[name],
                       (lives or {}).get(name))
            for name in SLOTS
        }  # fmt: skip
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting = 0
        """Starts that somebody asked for and waits for."""

    @property
    def state_file(self) -> str:
        """Where the desired state lies."""
        return f"{self.layout.var}/keeper.json"

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take up the work: signals, reports of slots, bounded logs."""
        self.reaper.attach(loop)
        for slot in self.slots.values():
            loop.add_reader(slot.notify.fileno(), slot.hear)
        self._spawn(self._watch_logs())
        self.reaper.reap()

    def restore(self) -> None:
        """Start what should run, in the background, as after a boot or a killed keeper."""
        self._spawn(self._restore())

    def listen(self, address: str) -> bool:
        """Listen on the address; False where it did already.

        Another address is taken up beside the old one, which stays open for the slot that
        accepts from it and closes with that slot.

        Raises:
            KeeperFault: `port-taken`, `bad-address` or `denied`; nothing changed.
        """
        fresh = address not in self.listeners
        if fresh:
            self.listeners[address] = bind(address)
        self._want(Desired(address, self.wanted.slot))
        self.sweep()
        return fresh

    async def start(self, name: str, ready_timeout_s: float, say: Callable[[str], None]) -> None:
        """Start a slot and wait until it is ready; raises as `Slot.start`."""
        slot = self._slot(name)
        self._starting += 1
        try:
            # Two processes of one slot would take its admin socket from each other.
            drain_s = min(ready_timeout_s, _LEFTOVER_DRAIN_S)
            await self._end_leftover(name, time.monotonic() + drain_s)
            await slot.start(ready_timeout_s, say)
        finally:
            self._starting -= 1

    async def stop(self, name: str, drain_timeout_s: float) -> bool:
        """Drain and end a slot; False where it had to be killed."""
        drained = await self._slot(name).stop(drain_timeout_s)
        self.sweep()
        return drained

    def enable(self, name: str) -> None:
        """Make a slot the one that the next keeper starts; an empty name for none."""
        if name:
            self._slot(name)
        self._want(Desired(self.wanted.address, name))

    def close(self) -> None:
        """Close the socket.

        Raises:
            KeeperFault: `busy`: a slot still runs.
        """
        for slot in self.slots.values():
            if slot.running:
                raise KeeperFault("busy", f"slot {slot.name} is {slot.life.state}")
        self._want(Desired("", ""))
        self.sweep()

    async def quit(self, drain_timeout_s: float) -> None:
        """Drain every slot; what should run stays written for the next keeper."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*(slot.stop(drain_timeout_s) for slot in self.slots.values()))

    def sweep(self) -> None:
        """Close the sockets that nobody wants or uses."""
        used = {slot.life.address for slot in self.slots.values() if slot.running}
        for address in set(self.listeners) - used - {self.wanted.address}:
            self.listeners.pop(address).close()

    @property
    def idle(self) -> bool:
        """True where it holds nothing, runs nothing and nothing should run."""
        busy = self.listeners or self.wanted != Desired() or self.jobs.at_work
        return not busy and not any(slot.running for slot in self.slots.values())

    def status(self) -> dict[str, Any]:
        """Everything a caller may know."""
        return {
            "pid": os.getpid(),
            "address": self.wanted.address,
            "listening": self.wanted.address in self.listeners,
            "enabled": self.wanted.slot,
            "trouble": self.trouble,
            "slots": [slot.status() for slot in self.slots.values()],
            "runs": self.jobs.as_json(),
        }

    def _listener(self) -> tuple[str, int]:
        address = self.wanted.address
        if address not in self.listeners:
            raise KeeperFault("not-listening", "the keeper listens on no address")
        return address, self.listeners[address].fileno()

    def _slot(self, name: str) -> Slot:
        if name not in self.slots:
            raise KeeperFault("bad-request", f"{name!r} is no slot: a or b")
        return self.slots[name]

    def _want(self, wanted: Desired) -> None:
        if wanted != self.wanted:
            desired.save(self.state_file, wanted)
            self.wanted = wanted

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _restore(self) -> None:
        delay_s = 0.1
        while self.wanted.address and self.wanted.address not in self.listeners:
            try:
                self.listen(self.wanted.address)
            except KeeperFault as fault:
                self.trouble = fault.text
                await asyncio.sleep(delay_s)
                delay_s = min(10.0, delay_s * 2)
        deadline = time.monotonic() + _LEFTOVER_DRAIN_S
        for name in SLOTS:
            await self._end_leftover(name, deadline)
        self.trouble = ""
        busy = self._starting or any(slot.running for slot in self.slots.values())
        if self.wanted.slot and not busy:
            self.slots[self.wanted.slot].keep_up()

    async def _end_leftover(self, name: str, deadline: float) -> None:
        """Wait for the slot of a killed keeper, which SIGTERM has reached: memory may fit one."""
        pid_file = f"{self.layout.slot_run(name)}/pid"
        while not self.slots[name].running and (pid := process.recall(pid_file)):
            if time.monotonic() > deadline:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
            self.trouble = f"waits for slot {name} of an earlier keeper (pid {pid}) to drain"
            await asyncio.sleep(0.1)

    async def _watch_logs(self) -> None:
        while True:
            await asyncio.sleep(_LOG_WATCH_S)
            for slot in self.slots.values():
                with contextlib.suppress(OSError):  # The disk is full: the next turn may do it.
                    slot.log.rotate()
