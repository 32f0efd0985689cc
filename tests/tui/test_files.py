"""What the console keeps and reads beside the screen: hosts.toml while it is open, typed lines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from aiconsole import paths
from aiconsole.errors import SettingsError
from aiconsole.fleet.host import Host
from aiconsole.tui.history import MAX_LINES, TypedHistory
from tests.tui.doubles import Script, fleet, up
from tests.tui.screenful import SMALL, running, text, until

WRONG = SettingsError("hosts.toml is wrong", "/x/hosts.toml line 3: port: not a number", "Mend it")


def one_host() -> Script:
    return Script((Host("web1"),), fleet(up("web1")))


def change(script: Script) -> None:
    """Write hosts.toml and let the next reading come."""
    with paths.hosts_file().open("a") as file:
        file.write("# changed\n")
    script.tell(replace(script.snapshot, seq=script.snapshot.seq + 1))


async def test_a_host_that_is_added_meanwhile_is_watched() -> None:
    script = one_host()
    async with running(script) as (app, pilot):
        script.hosts = (*script.hosts, Host("new1"))
        change(script)
        await until(pilot, lambda: app.state.host_names() == ("web1", "new1"))
        assert script.watched == ("web1", "new1")
        assert app.desk.select(("new1",)) == ("new1",)


async def test_a_wrong_file_keeps_the_last_good_fleet_and_names_the_line() -> None:
    script = one_host()
    async with running(script, SMALL) as (app, pilot):
        script.open_error = WRONG
        change(script)
        await until(pilot, lambda: "▲ hosts.toml is wrong" in text(app))
        assert "/x/hosts.toml line 3: port: not a number" in " ".join(text(app).split())
        assert "● up" in text(app)
        assert not script.watched
        script.open_error = None
        change(script)
        await until(pilot, lambda: "hosts.toml is wrong" not in text(app))
        assert script.watched == ("web1",)


async def test_a_file_that_was_wrong_from_the_start_is_read_once_it_is_mended() -> None:
    script = one_host()
    script.open_error = WRONG
    async with running(script, interval_s=0.01) as (app, pilot):
        await until(pilot, lambda: "Nothing is watched" in text(app))
        script.open_error = None
        paths.hosts_file().write_text("# mended\n")
        await until(pilot, lambda: "builtin-3f9a2c81" in text(app))


async def test_typed_lines_are_there_again_the_next_time() -> None:
    async with running(one_host()) as (app, pilot):
        await pilot.press("colon", *"theme", "space", *"light", "enter")
        await until(pilot, lambda: (paths.state_dir() / "typed").exists())
        assert app.theme == "light"
    assert (paths.state_dir() / "typed").stat().st_mode & 0o777 == 0o600
    async with running(one_host()) as (app, pilot):
        await pilot.press("colon", "up")
        assert "theme light" in text(app)


def test_lines_of_two_consoles_are_both_kept(tmp_path: Path) -> None:
    first, second = (TypedHistory(tmp_path / "typed") for _ in range(2))
    for history, line in ((first, "host a"), (second, "host b"), (first, "host c")):
        history.add(line)
        history.store()
    assert (tmp_path / "typed").read_text() == "host a\nhost b\nhost c\n"


@pytest.mark.parametrize("bad", ["x" * 2000, "a\x1b[2Jb", ""])
def test_what_is_no_line_is_not_remembered(tmp_path: Path, bad: str) -> None:
    (tmp_path / "typed").write_text(f"good\n{bad}\n")
    history = TypedHistory(tmp_path / "typed")
    history.add(bad)
    assert history.step(-1) == "good"


def test_the_history_is_bounded(tmp_path: Path) -> None:
    file = tmp_path / "typed"
    file.write_text("".join(f"host h{number}\n" for number in range(MAX_LINES + 50)))
    history = TypedHistory(file)
    history.add("host last")
    history.store()
    lines = file.read_text().splitlines()
    assert len(lines) == MAX_LINES
    assert lines[-1] == "host last"
