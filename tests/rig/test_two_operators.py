"""Two operators at one host: the second learns who is at work, since when, and may watch."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.rig.console import ROOT, Console, Talk, run_event
from tests.rig.host import RigHost
from tests.rig.rig import Rig
from tests.rig.stops import Stops, stops

PASSWORD = "tr0ub4dor and more"


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, console: Console, *argv: str) -> None:
        self._mine, theirs = pty.openpty()
        self._process = subprocess.Popen(
            console.argv(*argv), cwd=ROOT, env={**console.environment(), "TERM": "xterm"},
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self.screen = ""

    def until(self, text: str) -> str:
        """Read until the text has appeared; returns all that was shown."""
        while text not in self.screen:
            shown = self._read()
            assert shown, f"{text!r} was never shown: {self.screen}"
        return self.screen

    def type(self, line: str) -> None:
        """Type a line."""
        os.write(self._mine, line.encode() + b"\n")

    def ended(self) -> int:
        """Read to the end; returns the exit code."""
        while self._read():
            pass
        return self._process.wait(60)

    def close(self) -> None:
        """Kill what still runs."""
        self._process.kill()
        self._process.wait()
        os.close(self._mine)

    def _read(self) -> str:
        try:
            shown = os.read(self._mine, 4096).decode(errors="replace")
        except OSError:  # the other end is closed
            return ""
        self.screen += shown
        return shown


@contextmanager
def terminal(console: Console, *argv: str) -> Iterator[Terminal]:
    shown = Terminal(console, *argv)
    try:
        yield shown
    finally:
        shown.close()


@pytest.fixture(scope="module")
def host(rig: Rig) -> Iterator[RigHost]:
    [host] = rig.boot("shared")
    yield host
    rig.destroy(host)


def test_the_second_operator_is_told_and_may_watch(
    host: RigHost, ann: Console, bob: Console
) -> None:
    with stops(host) as held, ann.begin("deploy", host.name, "--watch", "0", "-y") as first:
        started = first.until(lambda event: bool(run_event(event)))
        run_id, line = started["run_id"], run_event(started)
        since = time.strftime("%H:%M:%S", time.localtime(line["at_unix_s"]))
        held.wait()

        told = bob.run("deploy", host.name, "--watch", "0", "-y", "--json")
        assert (told.exit_code, told.result["outcome"]) == (1, "refused"), str(told)
        busy = next(event for event in told.events if event["event"] == "Busy")
        assert busy["run"]["run_id"] == run_id
        assert busy["run"]["operator"].startswith("ann@")
        assert abs(busy["run"]["started_unix_s"] - line["at_unix_s"]) < 5

        with terminal(bob, "deploy", host.name) as second:
            shown = second.until("[y/N]")
            assert f"is being changed by ann@{socket.gethostname()}, since {since}" in shown
            assert run_id in shown
            plan, question = shown.index("Unpack the engine layer"), shown.index("Watch that run?")
            assert plan < question, "the plan is shown before anything is asked"
            second.type("y")
            let_it_go(held, first)
            assert second.ended() == 1
            assert "✓ Unpack the engine layer" in second.screen
        ended = first.ended()
    assert (ended.exit_code, ended.result["outcome"]) == (0, "done"), str(ended)
    runs = bob.fine("runs", "list", host.name, "--json").events
    assert [run["run_id"] for run in runs] == [run_id]


def let_it_go(held: Stops, talk: Talk) -> None:
    """Let a run go on line by line, to its end."""
    held.go()
    for event in talk:
        if run_event(event):
            held.go()


def test_a_run_is_cancelled_from_another_console(host: RigHost, ann: Console, bob: Console) -> None:
    with (
        stops(host) as held,
        ann.begin("deploy", host.name, "--watch", "0", "-y", "--context", "640") as first,
    ):
        started = first.until(lambda event: bool(run_event(event)))
        held.wait()
        cancelled = bob.fine("runs", "cancel", host.name, started["run_id"], "-y", "--json")
        assert cancelled.result == {"cancelled": started["run_id"]}
        let_it_go(held, first)
        ended = first.ended()
    assert (ended.exit_code, ended.result["outcome"]) == (1, "cancelled"), str(ended)
    assert len(bob.fine("releases", host.name, "--json").events) == 1
    assert (
        bob.fine("deploy", host.name, "--watch", "0", "-y", "--json").result["outcome"]
        == "unchanged"
    )


def test_sudo_asks_once_on_the_terminal(rig: Rig, tmp_path: Path) -> None:
    [host] = rig.boot("guarded")
    host.add_user("eve", password=PASSWORD, sudo="password")
    console = Console(tmp_path / "eve", "eve")
    console.add(host, user="eve")
    try:
        refused = console.run("deploy", host.name, "--watch", "0", "-y", "--json")
        assert (refused.exit_code, refused.result["error"]["error"]) == (2, "SudoError")
        assert not host.exists("/opt/aiconsole")
        with terminal(console, "deploy", host.name, "--watch", "0", "-y") as shown:
            shown.until("password:")
            shown.type(PASSWORD)
            assert shown.ended() == 0, shown.screen
        assert shown.screen.count("password:") == 1
        assert PASSWORD not in shown.screen
        assert PASSWORD not in host.journal()
        found = host.run("grep", "-rls", "--", PASSWORD, "/var", "/opt", "/run", "/etc", "/home")
        assert found.stdout == ""
    finally:
        rig.destroy(host)
