"""A deploy whose line is cut before, in and after every step, or swallows all that is sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig.console import Console, Event, Talk, run_event
from tests.rig.host import RigHost
from tests.rig.rig import Rig
from tests.rig.stops import Stops, stops

UNKNOWN_WITHIN_S = 10.0
"""Promised: by then the operator is told that the line is silent."""


@pytest.fixture(scope="module")
def host(rig: Rig) -> Iterator[RigHost]:
    [host] = rig.boot("linked")
    yield host
    rig.destroy(host)


@pytest.fixture(scope="module")
def ann(host: RigHost, tmp_path_factory: pytest.TempPathFactory) -> Console:
    console = Console(tmp_path_factory.mktemp("ann"), "ann")
    console.add(host)
    return console


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
    with stops(host) as held, ann.begin("deploy", host.name, "-y") as talk:
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
    assert ann.fine("deploy", host.name, "-y", "--json").result["outcome"] == "unchanged"
