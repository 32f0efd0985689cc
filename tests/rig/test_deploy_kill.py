"""Consoles and runners that are killed at every step, and a power cut: the host is consistent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.rig.console import Console, Event, Talk, run_event
from tests.rig.host import RigHost
from tests.rig.rig import Rig
from tests.rig.stops import Stops, stops

Wanted = Callable[[Event], bool]


@pytest.fixture(scope="module")
def host(rig: Rig) -> Iterator[RigHost]:
    [host] = rig.boot("killed")
    yield host
    rig.destroy(host)


def phase(name: str) -> Wanted:
    return lambda event: bool(event["event"] == "PhaseStarted" and event["phase"] == name)


def at(kind: str, step_id: str, text: str = "") -> Wanted:
    def wanted(event: Event) -> bool:
        line = run_event(event)
        found = (line.get("kind"), line.get("step_id")) == (kind, step_id)
        return found and text in line["text"]

    return wanted


def sending(event: Event) -> bool:
    return bool(event["event"] == "Progress" and event["phase"] == "upload")


BEFORE_THE_RUN: dict[str, Wanted] = {
    "connect": phase("connect"),
    "inspect": phase("inspect"),
    "build": phase("build"),
    "check": phase("check"),
    "plan": lambda event: event["event"] == "PlanReady",
    "upload": sending,
}


def test_consoles_killed_before_the_run_have_changed_nothing(
    host: RigHost, ann: Console, bob: Console
) -> None:
    for wanted in BEFORE_THE_RUN.values():
        with ann.begin("deploy", host.name, "--watch", "0", "-y") as talk:
            talk.until(wanted)
            talk.kill()
        assert not host.exists("/opt/aiconsole/slots")
        assert not host.exists("/etc/systemd/system/aiconsole-inferd.socket")
        assert not host.exists("/var/lib/aiconsole/runs")
    assert host.run("id", "aiconsole").returncode != 0
    assert bob.fine("runs", "list", host.name, "--json").out == ""
    [status] = bob.fine("status", host.name, "--json").events
    assert status["state"] == "not deployed"


def test_consoles_are_killed_at_every_step_and_the_next_one_takes_over(
    host: RigHost, ann: Console, bob: Console
) -> None:
    with stops(host) as held, ExitStack() as consoles:
        talk = consoles.enter_context(ann.begin("deploy", host.name, "--watch", "0", "-y"))
        run_id = talk.until(lambda event: bool(run_event(event)))["run_id"]
        steps, seen_to = set(), 0
        while True:
            line = run_event(talk.seen[-1])
            held.wait()
            if line["kind"] == "run-finished":
                held.go()
                break
            if line["kind"] == "step-started":
                steps.add(line["step_id"])
                talk.kill()
                talk = consoles.enter_context(bob.begin("runs", "attach", host.name, run_id))
                before = list(range(line["seq"] + 1))
                assert [run_event(talk.until(is_line))["seq"] for _ in before] == before
            held.go()
            seen_to = line["seq"] + 1
            assert run_event(talk.until(is_line))["seq"] == seen_to
        ended = talk.ended()
    assert (ended.exit_code, ended.result["outcome"]) == (0, "done"), str(ended)
    assert {"user", "layer-engine", "settings", "slot-unit", "swap", "health"} <= steps
    assert serves(ann, host)
    assert (
        ann.fine("deploy", host.name, "--watch", "0", "-y", "--json").result["outcome"]
        == "unchanged"
    )


def test_a_console_killed_while_the_run_starts_leaves_none_or_a_whole_one(
    host: RigHost, ann: Console, bob: Console
) -> None:
    with ann.begin("restart", host.name, "-y") as talk:
        plan = talk.until(lambda event: event["event"] == "PlanReady")["plan"]
        talk.until(phase("run"))
        talk.kill()
    newest = bob.fine("runs", "list", host.name, "--json").events[0]
    if newest["run_id"] == plan["run_id"]:
        ended = bob.run("runs", "attach", host.name, plan["run_id"], "--json")
        assert (ended.exit_code, ended.result["outcome"]) == (0, "done"), str(ended)
    assert serves(bob, host)
    assert bob.fine("restart", host.name, "-y", "--json").result["outcome"] == "done"


RUNNER_DIES: dict[str, Wanted] = {
    "a file is written": at("step-done", "settings"),
    "the new slot is to start": at("step-progress", "swap", "Starting"),
    "the new slot is proven": at("step-progress", "swap", "answered a completion"),
    "the old slot is gone": at("step-done", "swap"),
}


@pytest.mark.parametrize("number", range(len(RUNNER_DIES)), ids=list(RUNNER_DIES))
def test_a_killed_runner_is_taken_back(
    host: RigHost, ann: Console, bob: Console, number: int
) -> None:
    before = as_it_is(host, ann)
    wanted = list(RUNNER_DIES.values())[number]
    context = str(256 + 32 * number)
    with (
        stops(host) as held,
        ann.begin("deploy", host.name, "--watch", "0", "-y", "--context", context) as talk,
    ):
        killed = False
        for event in talk:
            if not run_event(event):
                continue
            if wanted(event) and not killed:
                held.kill()
                killed = True
            else:
                held.go()
        ended = talk.ended()
    assert killed
    assert (ended.exit_code, ended.result["outcome"]) == (2, "undone"), str(ended)
    assert "killed" in ended.result["error"]["title"] + ended.result["title"]
    assert as_it_is(host, bob) == before
    assert serves(bob, host)


def test_a_power_cut_is_settled_before_the_next_deploy(
    host: RigHost, ann: Console, bob: Console
) -> None:
    before = as_it_is(host, ann)
    with (
        stops(host) as held,
        ann.begin("deploy", host.name, "--watch", "0", "-y", "--context", "640") as talk,
    ):
        run_id = wait_for(talk, held, at("step-started", "swap"))["run_id"]
        talk.kill()
        host.reboot(power_cut=True)
    runs = {run["run_id"]: run for run in bob.fine("runs", "list", host.name, "--json").events}
    assert runs[run_id]["outcome"] == "interrupted"
    ended = bob.run("deploy", host.name, "--watch", "0", "-y", "--context", "672", "--json")
    assert (ended.exit_code, ended.result["outcome"]) == (0, "done"), str(ended)
    runs = {run["run_id"]: run for run in bob.fine("runs", "list", host.name, "--json").events}
    assert runs[run_id]["outcome"] == "undone"
    assert runs[run_id]["finished_unix_s"] <= runs[ended.result["run_id"]]["started_unix_s"]
    assert serves(bob, host)
    assert len(as_it_is(host, bob)["releases"]) == len(before["releases"]) + 1


def test_a_power_cut_under_the_eyes_of_a_console_ends_as_undone(
    host: RigHost, ann: Console
) -> None:
    before = as_it_is(host, ann)
    with (
        stops(host) as held,
        ann.begin("deploy", host.name, "--watch", "0", "-y", "--context", "704") as talk,
    ):
        wait_for(talk, held, at("step-started", "swap"))
        # Beyond the block nothing stops, so that the settling goes through.
        host.reboot(power_cut=True)
        while_lines_come(talk, held)
        ended = talk.ended()
    assert (ended.exit_code, ended.result["outcome"]) == (2, "undone"), str(ended)
    assert as_it_is(host, ann) == before


def wait_for(talk: Talk, held: Stops, wanted: Wanted) -> Event:
    """Let the runner go on up to a line, and stand there."""
    for event in talk:
        if run_event(event):
            held.wait()
            if wanted(event):
                return event
            held.go()
    raise AssertionError("the run ended before")


def while_lines_come(talk: Talk, held: Stops) -> None:
    """Let whoever writes the journal go on to its end."""
    for event in talk:
        if run_event(event):
            held.go()


def is_line(event: Event) -> bool:
    return bool(run_event(event))


def serves(console: Console, host: RigHost) -> bool:
    """True where the service is ready, and answers a completion on the host's loopback."""
    [status] = console.fine("status", host.name, "--json").events
    script = (
        "import json,urllib.request as u;"
        "r=u.Request('http://127.0.0.1:8480/v1/completions',"
        "json.dumps({'prompt':'The','max_tokens':4}).encode(),{'Content-Type':'application/json'});"
        "print(json.load(u.urlopen(r,timeout=30))['choices'][0]['text'])"
    )
    answer = host.run("/usr/bin/python3", "-c", script, check=True).stdout
    return bool(status["state"] == "ready" and answer.strip())


def as_it_is(host: RigHost, console: Console) -> dict[str, Any]:
    """What an operator finds: who serves, what is there, and that nothing is at work."""
    [status] = console.fine("status", host.name, "--json").events
    script = (
        "ls /opt/aiconsole/releases; readlink /opt/aiconsole/slots/*; systemctl is-enabled "
        "aiconsole-inferd@a aiconsole-inferd@b"
    )
    found = status["status"]
    return {
        "releases": sorted(release["id"] for release in found["releases"]),
        "serving": (found["service"]["release_id"], found["service"]["slot"]),
        "previous": found["service"]["previous_release_id"],
        "state": status["state"],
        "links": host.run("sh", "-c", script).stdout,
        "failed": host.run("systemctl", "--failed", "--plain", "--no-legend").stdout,
        "temporary": json.dumps(host.run("ls", "-A", "/var/lib/aiconsole").stdout.split()),
    }
