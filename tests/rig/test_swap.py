"""Swaps under the real systemd of a real Debian, through the tool, as the console does them."""

from __future__ import annotations

import dataclasses
import http.client
import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import pytest

from aiconsole.bundle.tool import build_tool
from aiconsole.control.plan import new_run_id
from aiconsole.control.runtimes import systemd
from aiconsole.onhost.wire import (
    CheckReport,
    DirectoryStep,
    FileStep,
    HealthStep,
    HostLayout,
    Plan,
    RunEvent,
    SmokePrompt,
    Step,
    StopStep,
    SwapStep,
    SwapTally,
    UnitStep,
    UserStep,
    WatchStep,
    from_json,
    to_json,
)
from tests.fixtures.standin_inferd import LAUNCHER, StandIn
from tests.load import load_process
from tests.rig.host import RigHost
from tests.rig.rig import Rig

LAYOUT = HostLayout.system()
ADDRESS = "0.0.0.0:8000"
TOOL = "/root/tool.pyz"
STATE = LAYOUT.state_file


def release_steps(release_id: str, behaviour: StandIn, layout: HostLayout = LAYOUT) -> list[Step]:
    directory = layout.release(release_id)
    manifest = {"id": release_id, "layers": [], "model": {"name": "standin"}}
    files = {
        "launch.py": LAUNCHER.read_text(),
        "release.json": json.dumps(manifest),
        "standin.json": json.dumps(asdict(behaviour)),
    }
    steps: list[Step] = [DirectoryStep(f"dir-{release_id}", "Release", directory)]
    for name, content in files.items():
        steps.append(FileStep(f"{release_id}-{name}", name, f"{directory}/{name}", content))
    return steps


def ground_steps(address: str = ADDRESS) -> list[Step]:
    units = {
        systemd.SLOT_UNIT: systemd.slot_unit(LAYOUT, "aiconsole", gpu=False),
        systemd.ANCHOR_UNIT: systemd.anchor_unit(),
    }
    return [
        UserStep("user", "User", "aiconsole"),
        DirectoryStep("opt", "Opt", LAYOUT.opt),
        DirectoryStep("var", "Var", LAYOUT.var),
        DirectoryStep("etc", "Etc", LAYOUT.etc),
        *(UnitStep(f"unit-{i}", name, name, text) for i, (name, text) in enumerate(units.items())),
        UnitStep("socket", "Socket", systemd.SOCKET_UNIT, systemd.socket_unit(address),
                 enable=True, start=True, restart_on_change=True),
    ]  # fmt: skip


def swap_step(release_id: str, **how: Any) -> SwapStep:
    given = {"address": ADDRESS, "drain_timeout_s": 20.0, "ready_timeout_s": 30.0, **how}
    return SwapStep("swap", "Swap", LAYOUT, release_id=release_id, **given)


@dataclass
class Operated:
    """A host, and what a console has the tool do on it."""

    host: RigHost
    layout: HostLayout = LAYOUT
    user: str = "root"
    tool_path: str = TOOL

    def tool(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        argv = ("/usr/bin/python3", "-I", self.tool_path, *arguments)
        return self.host.run(*argv, input=stdin, user=self.user, timeout_s=120.0)

    def layout_json(self) -> Any:
        return to_json(self.layout)

    def run(self, *steps: Step) -> list[RunEvent]:
        """Start a run and follow it to its end."""
        plan = Plan(new_run_id(), "Test", "inferd", self.layout, tuple(steps), "me@here")
        request = json.dumps({"plan": to_json(plan), "secrets": {}})
        done = self.tool("start", stdin=request + "\n")
        said = (json.loads(line) for line in done.stdout.splitlines())
        lines = [line for line in said if "beat" not in line]
        assert lines, done.stderr
        assert lines[0] == {"started": plan.run_id}, lines
        return [from_json(RunEvent, line) for line in lines[1:] if "seq" in line]

    def check(self, *steps: Step) -> CheckReport:
        plan = Plan(new_run_id(), "Test", "inferd", self.layout, tuple(steps), "me@here")
        done = self.tool("check", stdin=json.dumps(to_json(plan)) + "\n")
        return from_json(CheckReport, json.loads(done.stdout))

    def swap(self, release_id: str, **how: Any) -> SwapTally:
        events = self.run(swap_step(release_id, **how), HealthStep("health", "Health", LAYOUT))
        assert events[-1].outcome == "done", told(events)
        data = next(event.data for event in events if "swap" in event.data)
        return from_json(SwapTally, data["swap"])

    def serving(self) -> dict[str, Any]:
        connection = http.client.HTTPConnection(self.host.address, 8000, timeout=30)
        try:
            connection.request("GET", "/health")
            return dict(json.loads(connection.getresponse().read()))
        finally:
            connection.close()

    def slots(self) -> dict[str, str]:
        done = self.tool("status", json.dumps(self.layout_json()))
        return {slot["slot"]: slot["state"] for slot in json.loads(done.stdout)["slots"]}

    def enabled(self) -> list[str]:
        names = [f"aiconsole-inferd@{slot}.service" for slot in "ab"]
        out = self.host.run("systemctl", "is-enabled", *names).stdout.split()
        return [slot for slot, state in zip("ab", out, strict=True) if state == "enabled"]


def told(events: list[RunEvent]) -> list[tuple[str, str, Any]]:
    return [(event.kind, event.text, event.data.get("log")) for event in events]


@pytest.fixture(scope="module")
def deployed(rig: Rig) -> Iterator[Operated]:
    (host,) = rig.boot("swapper")
    host.write_bytes(TOOL, build_tool().content)
    operated = Operated(host)
    events = operated.run(
        *ground_steps(),
        *release_steps("r1", StandIn(token_s=0.002)),
        *release_steps("r2", StandIn(token_s=0.002)),
        *release_steps("slow", StandIn(load_s=3.0, token_s=0.002)),
        *release_steps("bad", StandIn(fail="tensor is missing")),
        *release_steps("sour", StandIn(token_s=0.002, sour_after_s=2.0)),
        swap_step("r1"),
        HealthStep("health", "Health", LAYOUT),
    )
    assert events[-1].outcome == "done", told(events)
    yield operated
    rig.destroy(host)


@pytest.fixture
def site(deployed: Operated) -> Operated:
    """The host with r1 serving, whatever the test before left."""
    if deployed.serving()["release_id"] != "r1":
        deployed.swap("r1")
    return deployed


def test_the_unit_is_hardened(site: Operated) -> None:
    out = site.host.run("systemd-analyze", "security", "--no-pager", "aiconsole-inferd@a.service")
    found = re.search(r"Overall exposure level for \S+: (\d+\.\d+)", out.stdout)
    assert found, out.stdout + out.stderr
    print(f"systemd-analyze security: {found[1]}")
    assert float(found[1]) <= 2.0


def test_ten_restarts_under_load_lose_no_request(site: Operated) -> None:
    tallies = []
    with load_process(site.host.address, 8000, clients=50, keep_alive=0.5) as load:
        for number in range(10):
            tallies.append(site.swap("r1" if number % 2 else "r2"))
    print(f"{load.report}, the longest probe {max(t.longest_wait_s for t in tallies):.3f} s")
    assert load.report.failed == {}
    assert load.report.served > 1000
    assert sum(t.requests_failed + t.probes_failed for t in tallies) == 0
    assert all(t.requests_served > 0 and t.probes > 0 for t in tallies)


def test_a_second_run_changes_nothing(site: Operated) -> None:
    pid = site.serving()["pid"]
    steps = [*ground_steps(), swap_step("r1"), HealthStep("health", "Health", LAYOUT)]
    assert {step.change for step in site.check(*steps[:-1]).steps} == {"none"}
    assert site.run(*steps)[-1].outcome == "unchanged"
    assert site.serving()["pid"] == pid


def test_the_old_slot_does_not_freeze_while_the_new_one_loads(site: Operated) -> None:
    with load_process(site.host.address, 8000, clients=20) as load:
        tally = site.swap("slow")
    assert tally.load_s >= 3.0
    assert load.report.failed == {}
    assert load.report.longest_wait_s < 0.8 * tally.load_s
    assert tally.longest_wait_s < 0.8 * tally.load_s


def test_held_queues_everybody_while_the_new_one_loads(site: Operated) -> None:
    with load_process(site.host.address, 8000, clients=50) as load:
        tally = site.swap("slow", mode="held")
    print(f"held: {tally}, {load.report}")
    assert load.report.failed == {}
    assert tally.requests_failed == tally.probes_failed == 0
    assert tally.longest_wait_s >= 2.0
    assert load.report.longest_wait_s < tally.elapsed_s + 3.0


def test_a_release_that_fails_leaves_the_old_one_serving(site: Operated) -> None:
    before = (site.serving()["pid"], site.host.read(STATE), site.slots(), site.enabled())
    with load_process(site.host.address, 8000, clients=20) as load:
        events = site.run(swap_step("bad"))
    assert load.report.failed == {}
    assert events[-1].outcome == "undone"
    failed = next(event for event in events if event.kind == "step-failed")
    assert "tensor is missing" in failed.data["log"]
    assert (site.serving()["pid"], site.host.read(STATE), site.slots(), site.enabled()) == before


def test_held_brings_the_old_one_back_when_the_new_one_fails(site: Operated) -> None:
    with load_process(site.host.address, 8000, clients=20) as load:
        events = site.run(swap_step("bad", mode="held"))
    assert load.report.failed == {}
    assert events[-1].outcome == "undone"
    assert site.serving()["release_id"] == "r1"


def test_a_release_that_turns_bad_after_the_switch_is_taken_back(site: Operated) -> None:
    fine = SmokePrompt("Are you there?", expect="word")
    watch = WatchStep("watch", "Watch", LAYOUT, seconds=30.0, max_failed_ratio=0.2)
    with load_process(site.host.address, 8000, clients=20) as load:
        events = site.run(swap_step("sour", smoke=(fine,)), watch)
    assert events[-1].outcome == "undone", told(events)
    failed = next(event for event in events if event.kind == "step-failed")
    counts = failed.data["watch"]
    print(f"{failed.text}; clients: {load.report}")
    assert failed.step_id == "watch"
    assert counts["failed"] > 0.2 * counts["served"]
    assert f"{counts['served']} requests served, {counts['failed']} failed" in failed.text
    assert any("standin sour loads" in line for line in failed.data["log"])
    assert set(load.report.failed) == {"status-500"}, "nobody was refused or cut on the way back"
    assert site.serving()["release_id"] == "r1"
    assert site.enabled() == [site.serving()["slot"]]
    wrong = SmokePrompt("Are you there?", expect="no word")
    events = site.run(swap_step("r2", smoke=(fine, wrong)), watch)
    assert events[-1].outcome == "undone", told(events)
    assert "`word word word word `" in next(e.text for e in events if e.kind == "step-failed")
    assert site.serving()["release_id"] == "r1"


def test_a_killed_runner_is_settled_and_nobody_notices(site: Operated) -> None:
    before = (site.serving()["pid"], site.slots(), site.enabled())

    def when_it_loads() -> None:
        units = [f"aiconsole-inferd@{slot}.service" for slot in "ab"]
        while "loading" not in site.host.run("systemctl", "show", "-pStatusText", *units).stdout:
            pass
        site.host.run("systemctl", "kill", "--signal=KILL", "aiconsole-run-inferd", check=True)

    killing = threading.Thread(target=when_it_loads)
    with load_process(site.host.address, 8000, clients=20) as load:
        killing.start()
        events = site.run(swap_step("slow"))
        killing.join()
    assert load.report.failed == {}
    assert events[-1].outcome == "undone", told(events)
    assert (site.serving()["pid"], site.slots(), site.enabled()) == before


def test_an_edited_socket_unit_is_put_right_and_the_socket_stays(site: Operated) -> None:
    path = f"/etc/systemd/system/{systemd.SOCKET_UNIT}"
    text, pid = site.host.read(path), site.serving()["pid"]
    for last, outcome in ((swap_step("r1"), "done"), (swap_step("bad"), "undone")):
        edited = text.replace("Backlog=4096", "Backlog=128")
        site.host.write_bytes(path, edited.encode())
        site.host.run("systemctl", "daemon-reload", check=True)
        with load_process(site.host.address, 8000, clients=10) as load:
            events = site.run(*ground_steps(), last)
        assert events[-1].outcome == outcome, told(events)
        assert load.report.failed == {}
        assert site.serving()["pid"] == pid
        assert site.host.read(path) == (text if outcome == "done" else edited)
    assert site.run(*ground_steps())[-1].outcome == "done"
    assert {step.change for step in site.check(*ground_steps()).steps} == {"none"}


def test_a_crashed_slot_comes_back(site: Operated) -> None:
    pid = site.serving()["pid"]
    slot = site.serving()["slot"]
    site.host.run("kill", "-KILL", str(pid), check=True)
    assert site.serving()["pid"] != pid
    assert site.slots()[slot] == "ready"


def test_a_boot_starts_the_slot_that_served(site: Operated) -> None:
    site.swap("r2")
    site.host.reboot()
    deadline = time.monotonic() + 30
    while True:
        try:
            now = site.serving()
            break
        except OSError:
            assert time.monotonic() < deadline
    assert now["release_id"] == "r2"
    assert site.slots() == {now["slot"]: "ready", "b" if now["slot"] == "a" else "a": "stopped"}


def test_stop_closes_the_socket_and_start_opens_it(site: Operated) -> None:
    stop = StopStep("stop", "Stop", LAYOUT, drain_timeout_s=20.0)
    assert site.run(stop)[-1].outcome == "done"
    assert site.slots() == {"a": "stopped", "b": "stopped"}
    with pytest.raises(ConnectionRefusedError):
        site.serving()
    assert site.run(stop)[-1].outcome == "unchanged"
    failing = site.run(swap_step("r1"), dataclasses.replace(swap_step("bad"), id="bad"))
    assert failing[-1].outcome == "undone"
    with pytest.raises(ConnectionRefusedError):
        site.serving()
    site.swap("r1")
    assert site.serving()["release_id"] == "r1"
    undone = site.run(stop, swap_step("bad"))
    assert undone[-1].outcome == "undone"
    assert site.serving()["release_id"] == "r1"
    assert site.enabled() == [site.serving()["slot"]]


def test_the_service_moves_to_another_address_and_back_where_that_fails(site: Operated) -> None:
    def move(release_id: str, address: str) -> list[RunEvent]:
        socket = UnitStep("socket", "Socket", systemd.SOCKET_UNIT, systemd.socket_unit(address),
                          enable=True, start=True, restart_on_change=True)  # fmt: skip
        stop = StopStep("move", "Move", LAYOUT, drain_timeout_s=20.0)
        return site.run(stop, socket, swap_step(release_id, address=address))

    events = move("bad", "0.0.0.0:8002")
    assert events[-1].outcome == "undone", told(events)
    assert site.serving()["release_id"] == "r1"
    assert site.enabled() == [site.serving()["slot"]]
    events = move("r2", "0.0.0.0:8002")
    assert events[-1].outcome == "done", told(events)
    with pytest.raises(ConnectionRefusedError):
        site.serving()
    assert json.loads(site.host.read(STATE))["address"] == "0.0.0.0:8002"
    events = move("r1", ADDRESS)
    assert events[-1].outcome == "done", told(events)
    assert site.serving()["release_id"] == "r1"


def test_the_port_of_another_program_is_named_before_the_change(site: Operated) -> None:
    code = (
        "import socket,sys; s=socket.create_server(('',8001)); print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        site.host.enter("/usr/bin/python3", "-c", code),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as other:  # fmt: skip
        assert other.stdout
        other.stdout.readline()
        report = site.check(swap_step("r1", address="0.0.0.0:8001"))
        other.communicate()
    assert re.fullmatch(r"0\.0\.0\.0:8001 is taken by python3 \(pid \d+\)", report.steps[0].problem)
    assert site.check(swap_step("r2")).steps[0].problem == ""
