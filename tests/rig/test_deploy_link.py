"""A deploy whose line is cut before, in and after every step, or swallows all that is sent."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig.console import Console, Event, Talk, run_event
from tests.rig.host import RigHost
from tests.rig.rig import Rig
from tests.rig.stops import Stops, stops

UNKNOWN_WITHIN_S = 10.0
"""Promised: by then the operator is told that the line is silent."""

IN_FLIGHT_BYTES = 8_000_000
"""What two losses of the line may cost: what was under way, and the tool's own traffic."""


@pytest.fixture(scope="module")
def host(rig: Rig) -> Iterator[RigHost]:
    [host] = rig.boot("linked")
    yield host
    rig.destroy(host)


@pytest.fixture
def bob(host: RigHost, tmp_path: Path) -> Console:
    console = Console(tmp_path / "bob", "bob")
    console.add(host)
    return console


def lost(event: Event) -> bool:
    return bool(event["event"] == "LinkChanged" and event["state"] == "unknown")


def back(event: Event) -> bool:
    return bool(event["event"] == "LinkChanged" and event["state"] == "up")


def cut(host: RigHost, talk: Talk) -> None:
    """Cut the line; the console says so and comes back."""
    assert host.cut_connections() > 0
    talk.until(lost)
    talk.until(back)


def journal(talk: Talk) -> list[Event]:
    return [run_event(event) for event in talk.seen if run_event(event)]


def cut_at_every_step(host: RigHost, talk: Talk, held: Stops) -> set[tuple[str, str]]:
    """Cut while the runner stands before, in and after each step; returns where."""
    cuts = set()
    for event in talk:
        line = run_event(event)
        if not line:
            continue
        held.wait()
        if line["kind"] in ("run-started", "step-started", "step-done"):
            cut(host, talk)
            cuts.add((line["kind"], line["step_id"]))
        held.go()
    return cuts


def test_the_line_is_cut_before_in_and_after_every_step(host: RigHost, ann: Console) -> None:
    with stops(host) as held, ann.begin("deploy", host.name, "--watch", "0", "-y") as talk:
        cuts = cut_at_every_step(host, talk, held)
        ended = talk.ended()
    assert ended.exit_code == 0, str(ended)
    lines = journal(talk)
    assert [line["seq"] for line in lines] == list(range(len(lines))), "none lost, none twice"
    plan = next(event["plan"] for event in talk.seen if event["event"] == "PlanReady")
    touched = {line["step_id"] for line in lines if line["kind"] == "step-done"}
    assert {(kind, step) for kind in ("step-started", "step-done") for step in touched} <= cuts
    assert {"layer-engine", "settings", "slot-unit", "swap", "health"} <= touched
    assert (ended.result["outcome"], ended.result["run_id"]) == ("done", plan["run_id"])
    [run] = ann.fine("runs", "list", host.name, "--json").events
    assert (run["run_id"], run["outcome"]) == (plan["run_id"], "done")
    assert (
        ann.fine("deploy", host.name, "--watch", "0", "-y", "--json").result["outcome"]
        == "unchanged"
    )


def test_the_line_is_cut_while_the_run_starts(host: RigHost, ann: Console) -> None:
    with ann.begin("restart", host.name, "-y") as talk:
        talk.until(lambda event: event["event"] == "PhaseStarted" and event["phase"] == "run")
        host.cut_connections()
        ended = talk.ended()
    assert ended.exit_code == 0, str(ended)
    assert any(map(lost, talk.seen))
    assert [line["seq"] for line in journal(talk)] == list(range(len(journal(talk))))
    assert started_runs(ann, host)[0] == ended.result["run_id"]
    assert started_runs(ann, host).count(ended.result["run_id"]) == 1


def test_a_silent_line_is_unknown_within_10_s_on_every_console(
    host: RigHost, ann: Console, bob: Console
) -> None:
    with ann.begin("restart", host.name, "-y") as first:
        started = first.until(lambda event: run_event(event).get("kind") == "step-started")
        with bob.begin("runs", "attach", host.name, started["run_id"]) as second:
            second.until(lambda event: run_event(event).get("kind") == "step-started")
            with host.black_hole():
                silent_unix_s = time.time()
                told = [talk.until(lost)["at_unix_s"] - silent_unix_s for talk in (first, second)]
                # The run ends on the host meanwhile; the line is still dead when it is tried again.
                time.sleep(max(0.0, silent_unix_s + 12 - time.time()))
            ends = [talk.ended() for talk in (first, second)]
    assert max(told) <= UNKNOWN_WITHIN_S, told
    assert journal(first) == journal(second)
    assert [line["seq"] for line in journal(first)] == list(range(len(journal(first))))
    for talk, ended in zip((first, second), ends, strict=True):
        assert any(map(back, talk.seen))
        assert (ended.exit_code, ended.result["outcome"]) == (0, "done"), str(ended)
        assert ended.result["tally"]["requests_failed"] == 0


def test_an_upload_goes_on_where_it_was_cut(rig_host: RigHost, tmp_path: Path) -> None:
    console = Console(tmp_path / "cat", "cat")
    console.add(rig_host)
    with rig_host.delay(60), console.begin("deploy", rig_host.name, "-y") as talk:
        before = talk.until(sending)
        received_before = received_bytes(rig_host)
        cut(rig_host, talk)
        resumed = talk.until(sending)
        assert resumed["done_bytes"] >= before["done_bytes"]
        with rig_host.black_hole():
            silent_unix_s = time.time()
            told_s = talk.until(lost)["at_unix_s"] - silent_unix_s
        talk.until(back)
        talk.until(lambda event: event["event"] == "PhaseStarted" and event["phase"] == "run")
        received = received_bytes(rig_host) - received_before
    assert told_s <= UNKNOWN_WITHIN_S
    rest = before["total_bytes"] - before["done_bytes"]
    assert received < rest + IN_FLIGHT_BYTES, "what had arrived was sent again"


def sending(event: Event) -> bool:
    """True for a report from the middle of an upload."""
    upload = event["event"] == "Progress" and event["phase"] == "upload"
    return bool(upload and 0 < event["done_bytes"] < event["total_bytes"])


def received_bytes(host: RigHost) -> int:
    return int(host.read("/sys/class/net/host0/statistics/rx_bytes"))


def started_runs(console: Console, host: RigHost) -> list[str]:
    runs = console.fine("runs", "list", host.name, "--json").events
    return [run["run_id"] for run in runs]
