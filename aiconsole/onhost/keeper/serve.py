"""The keeper's main: takes up what should run, answers its socket, ends with its slots."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time

from aiconsole.onhost.keeper import detach, lock, upgrade
from aiconsole.onhost.keeper.control import Control, open_control
from aiconsole.onhost.keeper.fault import KeeperFault
from aiconsole.onhost.keeper.keeper import SLOTS, Keeper
from aiconsole.onhost.keeper.listener import adopt
from aiconsole.onhost.keeper.notify import MAX_PATH_BYTES, adopt_notify, open_notify
from aiconsole.onhost.keeper.requests import Requests
from aiconsole.onhost.keeper.slot import Life
from aiconsole.onhost.wire import HostLayout

_DRAIN_AT_SIGTERM_S = 60.0
IDLE_END_S = 30.0
"""A keeper with nothing to keep ends after this time without a request."""


def serve(layout: HostLayout, tool: str, idle_end_s: float = IDLE_END_S) -> int:
    """Be the keeper of an installation until it is told to end.

    Args:
        layout: The installation.
        tool: Path of the tool this runs from, told in the status.
        idle_end_s: It ends by itself after so long without anything to keep.

    Returns:
        The exit status: 0 at a wanted end, 1 where another keeper runs or it cannot start.
    """
    if os.environ.pop(upgrade.PROBE, ""):
        print(f"keeper {upgrade.HANDOVER_VERSION}", flush=True)
        return 0
    handover = upgrade.taken_over()
    try:
        _check_paths(layout)
        lock.prepare(layout)
        if detach.wanted():
            detach.detach(f"{layout.run}/keeper.log")
        lock_fd = handover.lock_fd if handover else lock.acquire(layout)
    except (KeeperFault, OSError) as error:
        print(f"keeper: {error}", file=sys.stderr, flush=True)
        return 1
    os.set_inheritable(lock_fd, False)
    asyncio.run(_Service(layout, tool, lock_fd, handover, idle_end_s).run())
    return 0


def _check_paths(layout: HostLayout) -> None:
    longest = f"{layout.slot_run('a')}/notify.sock"
    if len(os.fsencode(longest)) > MAX_PATH_BYTES:
        raise KeeperFault(
            "bad-request", f"{longest} is longer than the {MAX_PATH_BYTES} bytes of a socket's path"
        )


class _Service:
    """One process image of the keeper."""

    def __init__(
        self,
        layout: HostLayout,
        tool: str,
        lock_fd: int,
        handover: upgrade.Handover | None,
        idle_end_s: float,
    ) -> None:
        self._layout, self._tool, self._lock_fd = layout, tool, lock_fd
        self._handover, self._idle_end_s = handover, idle_end_s
        self._path = f"{layout.run}/keeper.sock"
        self._ending = asyncio.Event()
        self._next_tool = ""
        self._told_to_end = False
        self._asked_at_s = time.monotonic()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        keeper = self._keeper()
        keeper.begin(loop)
        control_socket = self._control()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ending.set)
        requests = Requests(keeper, self._tool, self._upgrade, self._end)
        if not self._handover:
            keeper.restore()
        control = Control(requests.handle, self._answered)
        await control.serve(control_socket)
        print(f"keeper: pid {os.getpid()} runs from {self._tool}", file=sys.stderr, flush=True)
        resting = asyncio.create_task(self._end_when_idle(keeper))
        while True:
            await self._ending.wait()
            if not self._next_tool:
                break
            self._ending.clear()
            self._become(keeper, control_socket)
        resting.cancel()
        control.close(self._path)
        await keeper.quit(_DRAIN_AT_SIGTERM_S)

    async def _end_when_idle(self, keeper: Keeper) -> None:
        while True:
            await asyncio.sleep(self._idle_end_s / 4)
            if not keeper.idle:
                self._asked_at_s = time.monotonic()
            elif time.monotonic() - self._asked_at_s > self._idle_end_s:
                self._told_to_end = True
                self._ending.set()

    def _keeper(self) -> Keeper:
        left = self._handover
        if left is None:
            notify = {
                name: open_notify(f"{self._layout.slot_run(name)}/notify.sock") for name in SLOTS
            }
            return Keeper(self._layout, notify)
        keeper = Keeper(
            self._layout,
            {name: adopt_notify(fd) for name, fd in left.notify_fds.items()},
            {name: Life(**life) for name, life in left.lives.items()},
            {address: adopt(fd) for address, fd in left.listener_fds.items()},
        )
        keeper.jobs.adopt(left.jobs)
        return keeper

    def _control(self) -> socket.socket:
        if self._handover is None:
            return open_control(self._path)
        return adopt(self._handover.control_fd)

    def _upgrade(self, tool: str) -> None:
        upgrade.verify(self._layout, tool)
        self._next_tool = tool

    def _end(self) -> None:
        self._told_to_end = True

    def _answered(self) -> None:
        self._asked_at_s = time.monotonic()
        # Only now, so that whoever asked for it has the answer.
        if self._told_to_end or self._next_tool:
            self._ending.set()

    def _become(self, keeper: Keeper, control_socket: socket.socket) -> None:
        tool, self._next_tool = self._next_tool, ""
        try:
            upgrade.hand_over(keeper, self._lock_fd, control_socket, tool)
        except OSError as error:
            print(f"keeper: cannot become {tool}: {error}", file=sys.stderr, flush=True)
