from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from aiconsole.control.events import Event
from aiconsole.fleet.host import Host
from aiconsole.onhost.wire import GpuReading, RunSummary
from aiconsole.question import Ask
from aiconsole.telemetry.sample import HostView, Sample
from tests.tui import story
from tests.tui.doubles import GIB, Script, down, fleet, frame, up, with_gpus
from tests.tui.screenful import SMALL, WIDE, row, running, text, until


def of(view: HostView) -> Script:
    return Script((Host(view.name), Host("other")), fleet(view, up("other")))


@pytest.mark.parametrize("size", [SMALL, WIDE, (40, 12)])
async def test_every_panel_has_its_readings(size: tuple[int, int]) -> None:
    async with running(of(up("web1")), size) as (app, pilot):
        await pilot.press("enter")
        shown = text(app)
        assert len(shown.splitlines()) <= size[1]
        if size == (40, 12):
            return
        for part in ("● ready", "builtin-3f9a2c81", "slot a", "http://127.0.0.1:8480", "42 %",
                     "3.00 GiB", "no NVIDIA GPU in", "5.60 MB/s", "3.40 MB/s",
                     "64.4 GB"):  # fmt: skip
            assert part in shown
        for label, value in (("requests/s", "12.3"), ("tokens/s", "456"), ("waiting", "0"),
                             ("latency p95", "345 ms"), ("latency p50", "123 ms"),
                             ("first token", "45.6 ms"), ("errors/s", "0")):  # fmt: skip
            assert value in row(app, label).split(label)[1]
        assert "now" in shown


@pytest.mark.parametrize("digit", "123456")
async def test_a_digit_enlarges_a_panel_and_gives_it_back(digit: str) -> None:
    gpu = with_gpus(frame(), GpuReading(0, "u", "NVIDIA H200", 83.0))
    async with running(of(up("web1", gpu))) as (app, pilot):
        await pilot.press("enter", digit)
        await until(pilot, lambda: "Esc makes it small again" in text(app))
        enlarged = text(app)
        assert "now" in enlarged or digit == "4"
        assert "-1 min 30 s" in enlarged or digit == "4"
        await pilot.press("escape")
        await until(pilot, lambda: "⁷ Runs" in text(app))
        assert app.desk.view_name == "host"


async def test_the_large_plot_leaves_gaps_and_has_a_scale() -> None:
    async with running(of(up("web1"))) as (app, pilot):
        await pilot.press("enter", "2")
        await until(pilot, lambda: "Esc makes it small again" in text(app))
        for part in ("100 %┤", "50 %┤", "0 %┤", "━ all cores", "━ load of 1 minute"):
            assert part in text(app)


async def test_gpus_are_listed_each_with_its_own_trouble() -> None:
    gpus = with_gpus(
        frame(),
        GpuReading(0, "u0", "NVIDIA H200", 83.0, 141 * GIB, 97 * GIB, 61.0, 512.0, 700.0, 1980, ()),
        GpuReading(
            1, "u1", "NVIDIA H200", 10.0, throttle_reasons=("hw-thermal",), ecc_uncorrected=2
        ),
        GpuReading(2, "u2", "NVIDIA H200", fault="GPU is lost"),
    )
    async with running(of(up("gpu1", gpus)), (160, 60)) as (app, pilot):
        await pilot.press("enter")
        shown = text(app)
        for part in ("97.0 GiB of 141 GiB", "61 °C", "512 of 700 W", "1980 MHz",
                     "▲ slowed down: hw-thermal", "✗ 2 uncorrected memory errors",
                     "✗ GPU is lost"):  # fmt: skip
            assert part in shown


async def test_a_dead_driver_is_a_fault_and_not_zero() -> None:
    dead = with_gpus(frame(), fault="driver does not answer since 14:02:31")
    async with running(of(up("gpu1", dead)), (160, 50)) as (app, pilot):
        await pilot.press("enter")
        assert "✗ fault" in text(app)
        assert "driver does not answer since 14:02:31" in text(app)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("absent", "nothing is deployed here: d deploys"),
        ("stopped", "stopped on purpose: S starts it"),
        ("starting", "◌ starting"),
        ("no-answer", "✗ no answer"),
    ],
)
async def test_a_service_that_does_not_serve_says_what_can_be_done(state: str, words: str) -> None:
    async with running(of(up("web1", frame(state=state)))) as (app, pilot):
        await pilot.press("enter")
        assert words in text(app)
        assert "latency p50" not in text(app)


async def test_old_readings_are_said_to_be_old() -> None:
    async with running(of(up("web1", age_s=30))) as (app, pilot):
        await pilot.press("enter")
        assert "read 30 s ago: what is shown below is not the present" in text(app)


async def test_a_host_that_was_never_reached_shows_the_reason() -> None:
    async with running(of(down("web1", "no route to host"))) as (app, pilot):
        await pilot.press("enter")
        assert "✗ unreachable  no route to host" in text(app)
        assert "no reading yet" in text(app)


def with_runs() -> Script:
    script = of(up("web1"))
    now = time.time()
    script.runs = (
        RunSummary("r2", "Restart x on web1", "inferd", "bob@laptop", now - 40, 0, "running"),
        RunSummary("r1", "Deploy x to web1", "inferd", "ada@desk", now - 3600, now - 3540, "done"),
    )

    async def play(verb: str, ask: Ask) -> AsyncIterator[Event]:
        for event in story.run("web1"):
            yield event

    script.play = play
    return script


@pytest.mark.parametrize(("size", "more"), [(SMALL, ""), ((160, 50), "done"), (WIDE, "")])
async def test_runs_are_listed_with_what_was_done_first(size: tuple[int, int], more: str) -> None:
    async with running(with_runs(), size) as (app, pilot):
        await pilot.press("enter")
        await until(pilot, lambda: "s  Restart x" in text(app))
        assert "1 h  Deploy x" in text(app)
        assert more in row(app, "Deploy x")
        assert "web1" not in row(app, "Deploy x")


async def test_the_run_under_the_cursor_is_followed_or_read() -> None:
    script = with_runs()
    async with running(script, SMALL) as (app, pilot):
        await pilot.press("enter", "7")
        await until(pilot, lambda: "running" in row(app, "Restart x"))
        assert "1 min 00 s  ada@desk" in row(app, "Deploy x")
        await pilot.press("enter")
        await until(pilot, lambda: app.desk.view_name == "operation")
        assert "Restart x on web1" in text(app).splitlines()[0]
        assert "✓ layer-engine" in text(app)
        await pilot.press("escape", "j", "j", "enter")
        await until(pilot, lambda: len(script.calls) == 2)
        assert script.calls == [("attach", ("web1",), "r2"), ("attach", ("web1",), "r1")]
        await pilot.press("escape", "escape")
        assert app.desk.view_name == "host"


async def test_a_run_that_is_known_here_is_not_followed_twice() -> None:
    script = with_runs()
    script.runs = (replace(script.runs[0], run_id=story.RUN_ID), script.runs[1])
    going = asyncio.Event()

    async def play(verb: str, ask: Ask) -> AsyncIterator[Event]:
        for event in story.run("web1"):
            yield event
        await going.wait()

    script.play = play
    async with running(script) as (app, pilot):
        await pilot.press("r")
        await until(pilot, lambda: "slot b loads the model" in text(app))
        await pilot.press("escape", "enter", "7")
        await until(pilot, lambda: "Restart x" in text(app))
        await pilot.press("enter")
        assert app.desk.view_name == "operation"
        assert [call[0] for call in script.calls] == ["restart"]
        going.set()


async def test_the_reason_why_a_host_is_refused_is_whole_and_says_the_key() -> None:
    reason = "The host key of web1 is not known yet: 10.0.0.5 showed ssh-ed25519 SHA256:" + "x" * 43
    refused = HostView(Sample("web1", "refused", reason=reason, since_unix_s=time.time()))
    async with running(of(refused), SMALL) as (app, pilot):
        await pilot.press("enter")
        shown = " ".join(text(app).split())
        assert "SHA256:" + "x" * 43 in shown
        assert "t shows its key" in shown


async def test_new_readings_reach_the_open_screen() -> None:
    script = of(up("web1"))
    async with running(script) as (app, pilot):
        await pilot.press("enter")
        fresh = up("web1", frame(requests_per_s=98.7))
        script.tell(replace(fleet(fresh), seq=2))
        await until(pilot, lambda: "98.7" in text(app))


async def test_a_host_that_left_the_fleet_is_said_to_be_gone() -> None:
    script = of(up("web1"))
    async with running(script) as (app, pilot):
        await pilot.press("enter")
        script.tell(replace(fleet(HostView(Sample("other"))), seq=2))
        await until(pilot, lambda: "web1 is not in the fleet" in text(app))
        assert "42 %" not in text(app)
