"""Watches one host for ever: connect, read frames, say why not, try again."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from aiconsole.errors import (
    AiconsoleError,
    CommandError,
    HostError,
    HostKeyError,
    LoginError,
    UnknownHostError,
)
from aiconsole.onhost.wire import WireError
from aiconsole.session.protocol import Process
from aiconsole.telemetry.intake import take_in
from aiconsole.telemetry.sample import HostView, Reach, Sample
from aiconsole.telemetry.series import Series
from aiconsole.visible import visible

Open = Callable[[], AbstractAsyncContextManager[Process]]
"""Opens the stream of one host's frames; raises `AiconsoleError`."""

MAX_LINE_BYTES = 16 * 1024 * 1024
_BAD_LINES = 100
"""As many in a row, and it is no probe that speaks there."""
_BURST_LINES = 200
"""What may come at once: a link that was stuck delivers what it held."""
_LINES_PER_TICK = 10
"""A host that sends more is read no faster than this; its own pipe fills up instead."""
_SILENT_S = 15.0
_FIRST_DELAY_S = 1.0
_MOST_DELAY_S = 30.0
_JITTER = 0.3


class Watch:
    """The state of one host, and the loop that keeps it fresh."""

    def __init__(
        self, name: str, open_probe: Open, interval_s: float, changed: Callable[[], None]
    ) -> None:
        self._open = open_probe
        self._interval_s = interval_s
        self._changed = changed
        self._series = Series()
        self._failures = 0
        self._bad_in_a_row = 0
        self._credit_lines = float(_BURST_LINES)
        self._last_line_s = time.monotonic()
        self.view = HostView(Sample(name, since_unix_s=time.time()))
        """The newest; replaced, never changed."""

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            try:
                await self._follow()
            except AiconsoleError as error:
                self._down(_reach(error), _reason(error))
            except Exception as error:  # noqa: BLE001 - an edge: a defect costs this host alone
                self._down("failed", f"{type(error).__name__}: {error}")
            await asyncio.sleep(self._delay_s())

    def age(self, now_monotonic_s: float) -> None:
        """Mark the host stale where its frames have stopped while it counts as up."""
        sample = self.view.sample
        age_s = sample.age_s(now_monotonic_s)
        if sample.reach == "up" and age_s is not None and age_s > self._stale_after_s:
            self._down("stale", "no frame arrives")

    @property
    def _stale_after_s(self) -> float:
        return max(3.0, 3 * self._interval_s)

    async def _follow(self) -> None:
        """Read one stream to its end, which is always an error."""
        self._bad_in_a_row = 0
        async with self._open() as process:
            while line := await self._next(process):
                self._take(line)
                await asyncio.sleep(self._flood_s())
            done = await process.wait()
        words = visible(done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2])
        raise CommandError(
            "The probe ended", f"exit status {done.exit_status} {words[:300]}".strip()
        )

    async def _next(self, process: Process) -> bytes:
        silent_s = max(_SILENT_S, 5 * self._interval_s)
        try:
            async with asyncio.timeout(silent_s):
                return await process.readline(MAX_LINE_BYTES)
        except TimeoutError as error:
            raise CommandError("The probe is silent", f"no line for {silent_s:g} s") from error

    def _flood_s(self) -> float:
        """How long to wait before the next line; 0 gives way to the other hosts once."""
        now_s = time.monotonic()
        per_s = _LINES_PER_TICK / self._interval_s
        earned = (now_s - self._last_line_s) * per_s
        self._credit_lines = min(_BURST_LINES, self._credit_lines + earned) - 1
        self._last_line_s = now_s
        return max(0.0, -self._credit_lines / per_s)

    def _take(self, line: bytes) -> None:
        try:
            frame = take_in(line)
        except WireError as error:
            self._bad(visible(str(error))[:300])
            return
        self._failures = self._bad_in_a_row = 0
        now_unix_s, now_monotonic_s = time.time(), time.monotonic()
        self._series.add(frame, now_unix_s)
        before = self.view.sample
        sample = replace(
            before,
            reach="up",
            reason="",
            since_unix_s=before.since_unix_s if before.reach == "up" else now_unix_s,
            frame=frame,
            received_unix_s=now_unix_s,
            received_monotonic_s=now_monotonic_s,
        )
        self._publish(replace(self.view, sample=sample, history=self._series.history()))

    def _bad(self, reason: str) -> None:
        self._bad_in_a_row += 1
        self._publish(replace(self.view, gaps=self.view.gaps + 1, gap_reason=reason))
        if self._bad_in_a_row >= _BAD_LINES:
            raise CommandError("What answers there is not the probe", reason)

    def _down(self, reach: Reach, reason: str) -> None:
        before = self.view.sample
        if (before.reach, before.reason) == (reach, reason):
            return
        since = before.since_unix_s if before.reach == reach else time.time()
        sample = replace(before, reach=reach, reason=reason, since_unix_s=since)
        self._publish(replace(self.view, sample=sample))

    def _publish(self, view: HostView) -> None:
        self.view = view
        self._changed()

    def _delay_s(self) -> float:
        """Doubling, with jitter: a fleet that was cut off at once does not return at once."""
        delay_s: float = min(_FIRST_DELAY_S * 2.0 ** min(self._failures, 16), _MOST_DELAY_S)
        self._failures += 1
        return delay_s * (1 + random.random() * _JITTER)  # noqa: S311


def _reach(error: AiconsoleError) -> Reach:
    if isinstance(error, (HostKeyError, LoginError, UnknownHostError)):
        return "refused"
    return "unreachable" if isinstance(error, HostError) else "failed"


def _reason(error: AiconsoleError) -> str:
    first = error.detail.partition("\n")[0]
    return visible(": ".join(part for part in (error.title, first) if part))
