from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from aiconsole.errors import SettingsError
from aiconsole.fleet.host import Host
from aiconsole.onhost.wire import GpuReading
from aiconsole.telemetry.sample import HostView, Sample
from tests.tui.doubles import NOW_S, Script, down, fleet, frame, up, with_gpus
from tests.tui.screenful import SMALL, WIDE, row, running, text, until


def of(*views: HostView) -> Script:
    return Script(tuple(Host(view.name) for view in views), fleet(*views))


@pytest.mark.parametrize("size", [SMALL, WIDE, (200, 60)])
async def test_a_host_has_its_state_and_numbers_in_one_row(size: tuple[int, int]) -> None:
    async with running(of(up("web1"), up("web2")), size) as (app, _):
        line = row(app, "web2")
        for part in ("● up", "ready", "42 %", "38 %", "none", "12.3", "0 s"):
            assert part in line
        assert ("builtin-3f9a2c81" in line) == (size != SMALL)
        assert all(len(shown) <= size[0] for shown in text(app).splitlines())


async def test_tiny_terminals_do_not_break_it() -> None:
    for size in ((1, 1), (10, 4), (30, 10), (79, 12)):
        async with running(of(up("web1"), down("web2")), size) as (app, _):
            assert len(text(app).splitlines()) <= size[1]


async def test_an_unreachable_host_says_why_and_shows_no_numbers() -> None:
    async with running(of(up("web1"), down("web2"))) as (app, pilot):
        line = row(app, "web2")
        assert "✗ unreachable" in line
        assert "connection refused by 10.0.0.9 port 22" in line
        assert "%" not in line
        assert "1 unreachable" in text(app).splitlines()[0]
        await pilot.press("j")
        assert "since " in text(app)


async def test_a_host_that_died_keeps_no_live_numbers() -> None:
    dead = up("web1")
    sample = replace(dead.sample, reach="unreachable", reason="no route to host")
    async with running(of(HostView(sample, dead.history))) as (app, _):
        assert "42 %" not in text(app)
        assert "no route to host" in row(app, "✗ unreachable")


@pytest.mark.parametrize(
    ("age_s", "mark"), [(0.5, " 0 s"), (4.5, "◐4 s"), (10.5, "✗10 s"), (200, "✗3 min")]
)
async def test_the_age_is_marked_from_two_and_five_intervals_on(age_s: float, mark: str) -> None:
    async with running(of(up("web1", age_s=age_s), up("web2"))) as (app, _):
        line = row(app, "web1")
        assert mark in line
        assert ("◐ stale" in line) == (age_s > 4)


async def test_the_gpu_column_tells_none_from_fault_from_load() -> None:
    busy = with_gpus(
        frame(), GpuReading(0, utilization_percent=80.0), GpuReading(1, utilization_percent=90.0)
    )
    hot = with_gpus(
        frame(), GpuReading(0, utilization_percent=50.0, throttle_reasons=("hw-thermal",))
    )
    dead = with_gpus(frame(), fault="driver does not answer")
    async with running(of(up("none"), up("busy", busy), up("hot", hot), up("dead", dead))) as (
        app,
        _,
    ):
        assert "85 %" in row(app, "busy ")
        assert "▲50 %" in row(app, "hot ")
        assert "✗fault" in row(app, "dead ")


async def test_hostile_text_can_neither_steer_the_terminal_nor_be_read_as_markup() -> None:
    nasty = "\x1b[2J\x1b]0;owned\x07[bold red]x[/] [@click=app.quit]y[/]"
    views = (down("web1", nasty), up("web2", frame(release_id=nasty, reason=nasty)))
    async with running(of(*views), (200, 40)) as (app, pilot):
        assert r"\x1b[2J\x1b]0;owned\x07[bold red]x[/]" in row(app, "web1")
        await pilot.press("j", "enter")
        shown = text(app)
        assert r"\x1b[2J" in shown
        assert "[@click=app.quit]" in shown
        assert "\x1b" not in shown


async def test_the_filter_narrows_while_it_is_typed_and_is_recalled() -> None:
    async with running(of(up("web1"), up("web2"), down("gpu1"))) as (app, pilot):
        await pilot.press("slash", *"web")
        shown = text(app)
        assert "web1" in shown
        assert "gpu1" not in shown
        assert "2 match “web”" in shown
        await pilot.press("enter", "slash", "backspace", "backspace", "backspace", *"!up")
        assert "gpu1" in text(app)
        assert [view.name for view in app.desk.screen.table.shown] == ["gpu1"]  # type: ignore[attr-defined]
        await pilot.press("escape")
        assert "web2" in text(app)


async def test_worst_first_puts_what_needs_a_person_on_top() -> None:
    views = (up("fine"), up("errors", frame(errors_per_s=0.5)), down("dead"),
             up("loading", frame(state="not-ready")))  # fmt: skip
    async with running(of(*views)) as (app, pilot):
        await pilot.press("o")
        screen = app.desk.screen
        names = [view.name for view in screen.table.shown]  # type: ignore[attr-defined]
        assert names == ["dead", "errors", "loading", "fine"]
        assert "worst first" in text(app)


async def test_marks_choose_what_an_operation_acts_on() -> None:
    async with running(of(up("a"), up("b"), up("c"))) as (app, pilot):
        assert list(app.desk.targets) == ["a"]
        await pilot.press("space", "j", "space")
        assert list(app.desk.targets) == ["a", "c"]
        assert "2 marked" in text(app)
        await pilot.press("escape")
        assert app.desk.targets == ("c",)


async def test_the_cursor_stays_on_its_host_when_the_order_changes() -> None:
    script = of(up("a"), up("b"), up("c"))
    async with running(script) as (app, pilot):
        await pilot.press("G")
        assert app.desk.targets == ("c",)
        worse = up("c", frame(errors_per_s=1.0))
        await pilot.press("o")
        script.tell(replace(fleet(up("a"), up("b"), worse), seq=2))
        await until(pilot, lambda: app.state.snapshot.seq == 2)
        assert app.desk.targets == ("c",)
        await pilot.press("g")
        assert app.desk.targets == ("c",)


async def test_a_long_fleet_scrolls_under_its_titles() -> None:
    async with running(of(*(up(f"host{i:03}") for i in range(300))), SMALL) as (app, pilot):
        await pilot.press("G")
        assert "host299" in text(app)
        assert "host000" not in text(app)
        assert "Reach" in text(app)
        await pilot.press("g", "pagedown")
        assert app.desk.targets != ("host000",)


async def test_only_changed_rows_are_sent() -> None:
    views = [up(f"host{i:02}") for i in range(20)]
    script = of(*views)
    async with running(script) as (app, pilot):
        table = app.desk.screen.table  # type: ignore[attr-defined]
        sent: list[int] = []
        plain = table.refresh_line

        def remember(y: int) -> None:
            sent.append(y)
            plain(y)

        table.refresh_line = remember
        views[7] = up("host07", frame(requests_per_s=99.0))
        script.tell(replace(script.snapshot, hosts=tuple(views), seq=2))
        await until(pilot, lambda: app.state.snapshot.seq == 2)
        assert set(sent) == {8}
        await until(pilot, lambda: "99" in row(app, "host07"))


async def test_without_any_readings_the_first_frame_says_what_is_going_on() -> None:
    views = (HostView(Sample("web1", "connecting")),)
    async with running(of(*views)) as (app, _):
        assert "◌ connecting" in row(app, "web1")
        assert "no reading yet" in row(app, "web1")


async def test_a_wrong_hosts_file_is_told_with_what_to_do() -> None:
    script = Script(
        (), fleet(), open_error=SettingsError("hosts.toml is wrong", "line 3", "fix it")
    )
    async with running(script) as (app, pilot):
        await until(pilot, lambda: "hosts.toml is wrong" in text(app))
        shown = text(app)
        assert "line 3" in shown
        assert "fix it" in shown
        assert "Nothing is watched" in shown


async def test_an_empty_fleet_says_what_it_is_for_and_the_next_command() -> None:
    async with running(Script((), fleet())) as (app, _):
        shown = text(app)
        assert "aiconsole hosts add web1 root@10.0.0.5" in shown
        assert "aiconsole up" in shown


async def test_the_only_host_is_joined_by_how_to_add_the_next() -> None:
    async with running(of(up("localhost"))) as (app, _):
        assert "aiconsole hosts add" in text(app)
    async with running(of(up("localhost"), up("web1"))) as (app, _):
        assert "aiconsole hosts add" not in text(app)


async def test_pause_holds_the_screen_and_says_so() -> None:
    script = of(up("web1"), up("web2"))
    async with running(script) as (app, pilot):
        await pilot.press("p")
        assert "PAUSED at" in text(app).splitlines()[0]
        script.tell(replace(fleet(up("web1"), up("web2", frame(requests_per_s=77.7))), seq=2))
        await until(pilot, lambda: app.state._newest.seq == 2)
        assert "77.7" not in text(app)
        await pilot.press("p")
        await until(pilot, lambda: "77.7" in text(app))
        assert "PAUSED" not in text(app)


async def test_ages_go_on_without_new_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(of(up("web1"), up("web2"))) as (app, pilot):
        later = NOW_S + 60
        clock = SimpleNamespace(monotonic=lambda: later, time=time.time)
        monkeypatch.setattr("aiconsole.tui.state.time", clock)
        app._tick()
        await pilot.pause()
        assert "✗1 min" in row(app, "web1")
