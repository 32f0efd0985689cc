"""One watched host over streams that a hostile or broken host may send."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from aiconsole.errors import (
    AiconsoleError,
    CommandError,
    HostKeyError,
    LinkLostError,
    LoginError,
    UnreachableError,
)
from aiconsole.onhost.wire import Frame, HostReading, InferdReading, frame_line
from aiconsole.session.command import Command
from aiconsole.session.piped import PipedProcess
from aiconsole.telemetry import watch as watch_room
from aiconsole.telemetry.sample import HostView
from aiconsole.telemetry.watch import Open, Watch


class ScriptedPipes:
    """A program that writes these chunks to stdout and then ends or hangs."""

    def __init__(self, *chunks: bytes | AiconsoleError, hangs: bool = False) -> None:
        self._chunks = list(chunks)
        self._hangs = hangs
        self.closed = False

    async def receive(self) -> bytes:
        if self._chunks:
            chunk = self._chunks.pop(0)
            if isinstance(chunk, AiconsoleError):
                raise chunk
            return chunk
        if self._hangs:
            await asyncio.Event().wait()
        return b""

    async def receive_error(self) -> bytes:
        return b""

    async def send(self, data: bytes) -> None:
        raise AssertionError("nothing is written to a running probe")

    async def send_eof(self) -> None:
        raise AssertionError("nothing is written to a running probe")

    async def exit_status(self) -> int:
        return 7

    def kill(self) -> None:
        self._chunks.clear()

    async def close(self) -> None:
        self.closed = True


def frame(seq: int = 0, **host: float) -> bytes:
    return frame_line(Frame(seq, 1000.0 + seq, HostReading(**host)))  # type: ignore[arg-type]


def opening(*streams: ScriptedPipes | AiconsoleError) -> Open:
    """Each attempt gets the next stream; the last attempt hangs."""
    left = list(streams)

    @asynccontextmanager
    async def open_probe() -> AsyncIterator[PipedProcess]:
        stream = left.pop(0) if left else ScriptedPipes(hangs=True)
        if isinstance(stream, AiconsoleError):
            raise stream
        process = PipedProcess(stream, Command(("probe",)), "web1", b"")
        try:
            yield process
        finally:
            await process.close()

    return open_probe


async def watched(
    open_probe: Open, until: Callable[[HostView], bool], interval_s: float = 1.0
) -> tuple[Watch, list[HostView]]:
    """Run a watch until a view is as wanted; gives every view on the way."""
    views: list[HostView] = []
    done = asyncio.Event()

    def changed() -> None:
        views.append(watch.view)
        if until(watch.view):
            done.set()

    watch = Watch("web1", open_probe, interval_s, changed)
    task = asyncio.create_task(watch.run())
    try:
        async with asyncio.timeout(20):
            await done.wait()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return watch, views


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_room, "_FIRST_DELAY_S", 0.0)


def seq_is(seq: int) -> Callable[[HostView], bool]:
    return lambda view: view.sample.frame is not None and view.sample.frame.seq == seq


async def test_frames_become_samples_and_a_history() -> None:
    stream = ScriptedPipes(frame(0), frame(1, cpu_percent=20) + frame(2, cpu_percent=30))
    watch, views = await watched(opening(stream), seq_is(2))
    assert (watch.view.sample.reach, watch.view.sample.reason) == ("up", "")
    assert watch.view.history.of("cpu_percent") == (None, 20.0, 30.0)
    assert len(watch.view.history.times_unix_s) == 3
    assert views[0].history.of("cpu_percent") == (None,), "an older view never changes"
    assert views[0].sample.since_unix_s == views[-1].sample.since_unix_s
    age_s = watch.view.sample.age_s(time.monotonic())
    assert age_s is not None
    assert age_s >= 0
    assert stream.closed


@pytest.mark.parametrize(
    ("noise", "why"),
    [
        (b"\x00\xff\x1b[2J garbage\n", "not a line of JSON"),
        (frame(9)[:100] + b"\n", "not a line of JSON"),
        (b"x" * 10_000_000 + b"\n", "is no frame"),
        (frame(9).replace(b'"seq":9', b'"seq":NaN'), "NaN"),
        (b"\n", "not a line of JSON"),
        (b'{"version": 99}\n', "version 99"),
    ],
)
async def test_a_bad_line_is_told_and_the_next_one_is_read(noise: bytes, why: str) -> None:
    chunks = [noise[at : at + 65536] for at in range(0, len(noise), 65536)]
    watch, views = await watched(opening(ScriptedPipes(frame(0), *chunks, frame(1))), seq_is(1))
    assert watch.view.gaps == 1
    assert why in watch.view.gap_reason
    assert watch.view.gap_reason.isprintable()
    assert {view.sample.reach for view in views} == {"up"}


async def test_a_line_without_an_end_costs_the_stream_and_no_more() -> None:
    flood = ScriptedPipes(*[b"x" * 1_000_000] * 18)
    watch, views = await watched(opening(flood, ScriptedPipes(frame(5), hangs=True)), seq_is(5))
    assert any("without an end" in view.sample.reason for view in views)
    assert flood.closed
    assert watch.view.sample.reach == "up"


async def test_garbage_without_end_is_not_read_for_ever() -> None:
    flood = ScriptedPipes(b"spam\n" * 100_000)
    watch, _ = await watched(opening(flood), lambda view: view.sample.reach == "failed")
    assert watch.view.sample.reason.startswith("What answers there is not the probe")
    assert watch.view.gaps == 100


async def test_a_flood_of_frames_leaves_the_others_their_turn() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(others())
    began_s = time.monotonic()
    flood = ScriptedPipes(b"".join(frame(seq) for seq in range(301)))
    await watched(opening(flood), seq_is(300), interval_s=0.05)
    other.cancel()
    assert turns > 300
    assert time.monotonic() - began_s > 0.4, "beyond a burst it is read at a bounded rate"


async def test_texts_from_the_host_cannot_command_the_terminal() -> None:
    evil = Frame(
        0,
        1.0,
        HostReading(),
        gpu_fault="\x1b]0;owned\x07",
        inferd=InferdReading(reason="a\nb\u202e"),
        errors={"x\x1b[2J": "\x9b1m"},
    )
    raw = json.dumps(json.loads(frame_line(evil)), ensure_ascii=False).encode() + b"\n"
    for line in (frame_line(evil), raw):
        watch, _ = await watched(opening(ScriptedPipes(line)), seq_is(0))
        got = watch.view.sample.frame
        assert got is not None
        texts = [got.gpu_fault, got.inferd.reason, *got.errors, *got.errors.values()]
        assert texts == [r"\x1b]0;owned\x07", r"a\nb\u202e", r"x\x1b[2J", r"\x9b1m"]


@pytest.mark.parametrize(
    ("error", "reach"),
    [
        (UnreachableError("web1 cannot be reached", "no route"), "unreachable"),
        (LinkLostError("The link to web1 was lost"), "unreachable"),
        (LoginError("web1 refused", "key"), "refused"),
        (HostKeyError("changed", fingerprint="SHA256:x", changed=True), "refused"),
        (CommandError("The probe cannot run on web1", "disk full"), "failed"),
    ],
)
async def test_what_went_wrong_decides_the_reach(error: AiconsoleError, reach: str) -> None:
    up = ScriptedPipes(frame(3), hangs=True)
    watch, views = await watched(opening(error, up), seq_is(3))
    assert views[0].sample.reach == reach
    assert views[0].sample.reason == str(error)
    assert watch.view.sample.reach == "up"


async def test_the_last_frame_stays_with_its_age_when_the_host_goes_away() -> None:
    lost = ScriptedPipes(frame(1), LinkLostError("The link to web1 was lost"))
    watch, _ = await watched(opening(lost), lambda view: view.sample.reach == "unreachable")
    sample = watch.view.sample
    assert sample.frame is not None
    assert not sample.live
    assert sample.age_s(sample.received_monotonic_s + 60) == 60


async def test_a_probe_that_ends_is_told_with_its_status() -> None:
    watch, _ = await watched(
        opening(ScriptedPipes(frame(1))), lambda view: view.sample.reach == "failed"
    )
    assert watch.view.sample.reason == "The probe ended: exit status 7"


async def test_a_defect_of_ours_costs_one_host_and_is_told() -> None:
    def broken() -> None:
        raise KeyError("ours")

    watch, _ = await watched(broken, lambda view: view.sample.reach == "failed")  # type: ignore[arg-type]
    assert watch.view.sample.reason == "KeyError: 'ours'"


async def test_a_silent_probe_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_room, "_SILENT_S", 0.05)
    silent = ScriptedPipes(hangs=True)
    watch, _ = await watched(
        opening(silent), lambda view: view.sample.reach == "failed", interval_s=0.01
    )
    assert watch.view.sample.reason.startswith("The probe is silent")
    assert silent.closed


async def test_a_host_grows_stale_and_is_fresh_again_with_its_next_frame() -> None:
    watch, _ = await watched(opening(ScriptedPipes(frame(1), hangs=True)), seq_is(1))
    received_s = watch.view.sample.received_monotonic_s
    watch.age(received_s + 2.9)
    assert watch.view.sample.reach == "up"
    watch.age(received_s + 3.1)
    assert (watch.view.sample.reach, watch.view.sample.live) == ("stale", False)
    watch._take(frame(2))
    assert watch.view.sample.reach == "up"


async def test_the_wait_between_attempts_grows_and_ends_with_a_frame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch_room, "_FIRST_DELAY_S", 1.0)
    watch = Watch("web1", opening(), 1.0, lambda: None)
    delays_s = [watch._delay_s() for _ in range(8)]
    for delay_s, least_s in zip(delays_s, (1, 2, 4, 8, 16, 30, 30, 30), strict=True):
        assert least_s <= delay_s <= least_s * 1.3
    watch._take(frame(0))
    assert watch._delay_s() <= 1.3


async def test_a_console_clock_that_jumps_back_leaves_the_history_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watch = Watch("web1", opening(), 1.0, lambda: None)
    for at_unix_s, cpu in ((100.0, 1), (101.0, 2), (102.0, 3), (100.5, 4), (101.5, 5)):
        monkeypatch.setattr(time, "time", lambda at_unix_s=at_unix_s: at_unix_s)
        watch._take(frame(0, cpu_percent=cpu))
    assert watch.view.history.times_unix_s == (100.0, 100.5, 101.5)
    assert watch.view.history.of("cpu_percent") == (1.0, 4.0, 5.0)


async def test_a_host_clock_that_jumps_back_changes_nothing() -> None:
    late = frame_line(Frame(2, -5.0, HostReading(cpu_percent=9)))
    watch, _ = await watched(opening(ScriptedPipes(frame(1), late)), seq_is(2))
    assert watch.view.sample.reach == "up"
    assert watch.view.gaps == 0
    assert list(watch.view.history.times_unix_s) == sorted(watch.view.history.times_unix_s)


async def test_the_history_is_bounded() -> None:
    watch = Watch("web1", opening(), 1.0, lambda: None)
    for seq in range(400):
        watch._series.add(Frame(seq, 0.0, HostReading(load_1=seq)), float(seq))
    history = watch._series.history()
    assert len(history.times_unix_s) == 300
    assert history.of("load_1")[-1] == 399
