"""The packed tool as a host sees it: one process, JSON lines, a fault at the end of a failure."""

from __future__ import annotations

import ast
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aiconsole.bundle import tool as tool_room
from aiconsole.bundle.packed_tool import STUB, build_tool, tool_argv, tool_path
from aiconsole.errors import AiconsoleError, BusyError, CommandError, NotFoundError, PreflightError
from aiconsole.onhost.keeper import KeeperClient
from aiconsole.onhost.runner.journal import read_events
from aiconsole.onhost.runner.lock import hold
from aiconsole.onhost.runner.record import RunRecord
from aiconsole.onhost.wire import (
    CommandStep,
    FileStep,
    HostStatus,
    Plan,
    PruneStep,
    ServiceState,
    UnitStep,
    from_json,
    to_json,
)
from aiconsole.session.local import LocalSession
from tests.tool_caller import Caller, fault_of, outcome_of
from tests.unit.runner.place import Place


@pytest.fixture
def tool(place: Place) -> Iterator[Caller]:
    """The tool on a host where a keeper executes runs."""
    yield Caller(place.layout)
    if (place.root / "run/keeper.sock").exists():
        KeeperClient(place.layout).quit()


def test_the_same_source_gives_the_same_bytes() -> None:
    first = build_tool()
    build_tool.cache_clear()
    assert build_tool() == first
    assert len(first.content) < 300_000


def test_the_stub_can_be_read_by_an_old_python() -> None:
    ast.parse(STUB, feature_version=(3, 6))


def test_an_old_python_says_that_it_is_old(place: Place) -> None:
    argv = list(tool_argv(build_tool(), place.layout, "runs", "{}", python=sys.executable))
    argv[argv.index("-c") + 1] = "import sys; sys.version_info = (3, 9, 2)\n" + STUB
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert json.loads(done.stdout)["fault"]["code"] == "python-too-old"


def test_looking_stores_nothing_and_starting_stores_the_tool(place: Place, tool: Caller) -> None:
    with tool.open("runs", tool.layout_json) as talk:
        assert talk.answer == b"NEED\n"
        assert talk.rest() == []
    assert not (place.root / "opt/tools").exists()
    plan = place.plan(FileStep("f", "F", str(place.root / "etc/f"), "x"))
    assert outcome_of(tool.start(plan)) == "done"
    stored = Path(tool_path(build_tool(), place.layout))
    assert stored.read_bytes() == build_tool().content
    with tool.open("runs", tool.layout_json) as talk:
        assert talk.answer == b"HAVE\n"
        assert [run["outcome"] for run in talk.rest()] == ["done"]
    stored.write_bytes(b"damaged")
    with tool.open("runs", tool.layout_json) as talk:
        assert talk.answer == b"NEED\n"
        assert len(talk.rest()) == 1


def test_a_run_under_the_keeper_outlives_its_console(place: Place, tool: Caller) -> None:
    gate = place.root / "run/gate"
    os.mkfifo(gate)
    plan = place.plan(CommandStep("wait", "Wait", ("sh", "-c", f"read line < {gate}")))
    with tool.begin(plan) as talk:
        talk.until(lambda line: line.get("kind") == "step-started")
        second = replace(plan, run_id="second", operator="bob@desk")
        fault = fault_of(tool.start(second))
        assert (fault["code"], fault["run_id"]) == ("busy", plan.run_id)
        assert fault["operator"] == "ann@desk"
        talk.kill()
    gate.write_text("go\n")
    assert outcome_of(tool.follow(plan.run_id)) == "done"
    assert [line["seq"] for line in tool.follow(plan.run_id, 2)] == [2, 3]
    assert outcome_of(tool.start(replace(second, steps=()))) == "unchanged"


def test_a_cancel_under_the_keeper(place: Place, tool: Caller) -> None:
    started = place.root / "run/started"
    plan = place.plan(CommandStep("wait", "Wait", ("sh", "-c", f"touch {started}; sleep 1000"),
                                  undo_argv=("rm", "-f", str(started))))  # fmt: skip
    with tool.begin(plan) as talk:
        talk.until(lambda line: line.get("kind") == "step-started")
        assert tool.one("cancel", plan.run_id, tool.layout_json) == {"cancelled": plan.run_id}
        assert outcome_of(talk.rest()) == "cancelled"
    assert not started.exists()


def test_a_runner_killed_under_the_keeper_is_settled(place: Place, tool: Caller) -> None:
    plan = place.plan(
        FileStep("f", "F", str(place.root / "etc/f"), "x"),
        CommandStep("die", "Die", ("sh", "-c", "kill -9 $PPID; sleep 1000"), undo_argv=("true",)),
    )
    assert outcome_of(tool.start(plan)) == "undone"
    assert not (place.root / "etc/f").exists()


def test_secrets_reach_no_argv_and_no_file_but_their_own(place: Place, tool: Caller) -> None:
    # The word is put together inside the shell: in an argv, the search would find itself.
    script = (
        'w=swordfish; case "$(cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null'
        " | tr '\\0' '\\n')\" in *$w-argv*) exit 1;; esac"
    )
    plan = place.plan(CommandStep("look", "Look", ("sh", "-c", script)))
    assert outcome_of(tool.start(plan, key="swordfish-argv")) == "done"
    for path in place.root.rglob("*"):
        if path.is_file():
            assert b"swordfish-argv" not in path.read_bytes(), path


def test_run_directories_are_private(place: Place, tool: Caller) -> None:
    tool.start(place.plan())
    for path in (place.root / "var/runs", *(place.root / "var/runs").rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def plan_json(place: Place, **changes: Any) -> bytes:
    value = {**to_json(place.plan()), **changes}
    return json.dumps(value).encode() + b"\n"


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"wire_version": 99}, "wire-version", "version 99"),
        ({"wire_version": 99, "from_the_future": 1}, "wire-version", "version 99"),
        ({"run_id": "../../etc"}, "bad-plan", "not a plain name"),
        ({"lock": "a b"}, "bad-plan", "not a plain name"),
        ({"steps": [{"kind": "melt", "id": "x", "title": "t"}]}, "bad-plan", "'melt'"),
        ({"surprise": 1}, "bad-plan", "'surprise'"),
    ],
)
def test_a_bad_plan_is_refused(
    place: Place, tool: Caller, changes: dict[str, Any], code: str, said: str
) -> None:
    fault = fault_of(tool.call("check", stdin=plan_json(place, **changes)))
    assert (fault["code"], said in fault["text"]) == (code, True), fault


def test_bad_steps_are_refused(place: Place, tool: Caller) -> None:
    file = FileStep("f", "F", str(place.root / "etc/f"), "x")
    other = replace(place.layout, var="/elsewhere")
    for steps, said in (
        ((file, file), "two steps have the id"),
        ((replace(file, path="etc/f"),), "plain absolute path"),
        ((replace(file, path="/etc/../f"),), "plain absolute path"),
        ((UnitStep("u", "U", "../evil.service", ""),), "name of a unit"),
        ((PruneStep("p", "P", place.layout), file), "must be the last"),
        ((PruneStep("p", "P", other),), "not the plan's"),
    ):
        fault = fault_of(
            tool.call("check", stdin=json.dumps(to_json(place.plan(*steps))).encode() + b"\n")
        )
        assert (fault["code"], said in fault["text"]) == ("bad-plan", True), fault


async def ask(place: Place, verb: str, *args: str, **named: Any) -> list[dict[str, Any]]:
    return await tool_room.call(LocalSession(), build_tool(), place.layout, verb, *args, **named)


async def failure(place: Place, verb: str, *args: str, **named: Any) -> AiconsoleError:
    with pytest.raises(AiconsoleError) as caught:
        await ask(place, verb, *args, **named)
    return caught.value


async def test_the_console_reads_lines_and_errors(place: Place, tool: Caller) -> None:
    assert await ask(place, "runs", tool.layout_json) == []
    gone = await failure(place, "follow", "nothing", "0", tool.layout_json)
    assert (type(gone), gone.detail) == (NotFoundError, "there is no run nothing on this host")
    bad = await failure(place, "runs", "{")
    assert (type(bad), "not JSON" in bad.detail) == (CommandError, True)


async def test_a_host_without_python(place: Place) -> None:
    error = await failure(place, "runs", "{}", python="/opt/none/python3")
    assert (type(error), error.title) == (PreflightError, "localhost has no /opt/none/python3")
    assert "apt-get install python3" in error.hint


async def test_a_tool_that_dies_without_a_word(place: Place) -> None:
    error = await failure(place, "runs", "{}", python="/bin/false")
    assert (type(error), "exit status 1" in error.title) == (CommandError, True)


async def test_a_host_that_does_not_answer_in_time(place: Place) -> None:
    error = await failure(place, "check", timeout_s=0.0)
    assert error.title == "localhost did not answer in time"


async def test_a_noisy_login_shell_is_read_past(place: Place, tmp_path: Path) -> None:
    noisy = tmp_path / "python3"
    noisy.write_text(f'#!/bin/sh\necho "Welcome!"\nexec {sys.executable} "$@"\n')
    noisy.chmod(0o755)
    layout = json.dumps(to_json(place.layout))
    assert await ask(place, "runs", layout, python=str(noisy)) == []


async def test_busy_names_the_other_run(place: Place) -> None:
    start = json.dumps({"plan": to_json(place.plan()), "secrets": {}}).encode() + b"\n"
    with hold(place.layout, "inferd", run_id="theirs", operator="bob@desk"):
        error = await failure(place, "start", stdin=start)
    assert isinstance(error, BusyError)
    assert (error.run_id, error.exit_code) == ("theirs", 1)
    assert "bob@desk" in error.detail
    assert not (place.root / "var/runs" / "run-1").exists()


def kill_runner(place: Place, tool: Caller, plan: Plan) -> RunRecord:
    """Execute a plan as nobody's child, and kill it at its last step."""
    assert outcome_of(tool.start(place.plan())) == "unchanged"  # stores the tool
    record = place.accept(plan)
    stored = tool_path(build_tool(), place.layout)
    argv = ["/usr/bin/python3", "-I", stored, "run", str(record.directory)]
    with subprocess.Popen(argv, start_new_session=True) as runner:
        while not any(e.step_id == plan.steps[-1].id for e in read_events(record.journal_path)):
            assert runner.poll() is None
        os.killpg(runner.pid, signal.SIGKILL)
    return record


def half_done(place: Place, run_id: str) -> Plan:
    """A plan that makes a file and then works for ever."""
    return place.plan(
        FileStep("f", "F", str(place.root / "etc/half"), "x"),
        CommandStep("wait", "Wait", ("sleep", "1000")),
        run_id=run_id,
    )


def test_a_follower_settles_a_run_whose_runner_died(place: Place, tool: Caller) -> None:
    record = kill_runner(place, tool, half_done(place, "half"))
    assert (place.root / "etc/half").exists()
    assert record.summary().outcome == "interrupted"
    lines = tool.follow("half")
    assert outcome_of(lines) == "undone"
    assert not (place.root / "etc/half").exists()
    assert record.summary().outcome == "undone"


def test_the_next_start_settles_what_an_earlier_one_left(place: Place, tool: Caller) -> None:
    kill_runner(place, tool, half_done(place, "half"))
    step = FileStep("f", "F", str(place.root / "etc/half"), "y", create_only=True)
    lines = tool.start(place.plan(step))
    assert outcome_of(lines) == "done", "it must see the host without the half"
    assert (place.root / "etc/half").read_text() == "y"
    assert outcome_of(tool.follow("half")) == "undone"


def test_a_start_leaves_a_run_alone_that_is_just_beginning(place: Place, tool: Caller) -> None:
    assert outcome_of(tool.start(place.plan())) == "unchanged"
    first = place.accept(place.plan())
    fault = fault_of(tool.start(place.plan()))
    assert (fault["code"], fault["run_id"]) == ("busy", first.plan.run_id)
    assert read_events(first.journal_path) == []
    long_ago = first.laid_down_unix_s() - 60
    os.utime(first.directory / "plan.json", (long_ago, long_ago))
    assert outcome_of(tool.start(place.plan())) == "unchanged"
    assert outcome_of(tool.follow(first.plan.run_id)) == "undone", "it never began"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a directory read-only")
def test_no_run_begins_on_top_of_one_that_is_half_done(place: Place, tool: Caller) -> None:
    directory = str(kill_runner(place, tool, half_done(place, "half")).directory)
    step = FileStep("f", "F", str(place.root / "etc/other"), "y")
    subprocess.run(["mount", "--bind", directory, directory], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", directory], check=True)
        fault = fault_of(tool.start(place.plan(step)))
    finally:
        subprocess.run(["umount", directory], check=True)
    assert "could not be settled" in fault["text"]
    assert not (place.root / "etc/other").exists()
    assert outcome_of(tool.start(place.plan(step))) == "done"
    assert not (place.root / "etc/half").exists()


def test_an_undo_that_cannot_be_read_is_said(place: Place, tool: Caller) -> None:
    record = kill_runner(place, tool, half_done(place, "half"))
    (record.directory / "undo/f.json").write_text('{"was":')
    lines = tool.follow("half")
    assert outcome_of(lines) == "broken"
    failed = next(line for line in lines if line["kind"] == "undo-failed")
    assert (failed["step_id"], "cannot be read" in failed["text"]) == ("f", True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a directory read-only")
def test_a_run_that_cannot_be_settled_ends_the_follower_with_a_fault(
    place: Place, tool: Caller
) -> None:
    directory = str(kill_runner(place, tool, half_done(place, "half")).directory)
    subprocess.run(["mount", "--bind", directory, directory], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", directory], check=True)
        fault = fault_of(tool.follow("half"))
    finally:
        subprocess.run(["umount", directory], check=True)
    assert "could not be settled" in fault["text"]
    assert directory in fault["hint"]
    assert outcome_of(tool.follow("half")) == "undone", "it is settled once it can be"


def test_the_status_of_a_bare_host(place: Place, tool: Caller) -> None:
    status = from_json(HostStatus, tool.one("status", tool.layout_json))
    assert (status.layout, status.service) == (place.layout, ServiceState())
    assert [slot.state for slot in status.slots] == ["stopped", "stopped"]
    assert (status.releases, status.runs) == ((), ())


def test_a_damaged_state_file_is_a_host_without_a_service(place: Place, tool: Caller) -> None:
    Path(place.layout.state_file).write_text('{"release_id": 5')
    tool.start(place.plan())
    status = tool.one("status", tool.layout_json)
    assert status["service"]["wanted"] == "stopped"
    assert [run["outcome"] for run in status["runs"]] == ["unchanged"]


@pytest.mark.parametrize(
    "words", [["logs", "LAYOUT", "c", "5"], ["logs", "LAYOUT", "a", "-1"], ["follow", "x", "1"], []]
)
def test_bad_arguments_are_a_fault(tool: Caller, words: list[str]) -> None:
    verb, *args = [tool.layout_json if word == "LAYOUT" else word for word in words] or [""]
    assert fault_of(tool.call(verb, *args))["text"]
