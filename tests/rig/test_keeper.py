"""The same without systemd: an ordinary user of a real host, the packed tool, its keeper."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from aiconsole.bundle.tool import build_tool
from aiconsole.onhost.wire import DirectoryStep, HealthStep, HostLayout, StopStep, SwapStep
from tests.fixtures.standin_inferd import StandIn
from tests.load import load_process
from tests.rig.rig import Rig
from tests.rig.test_swap import Operated, release_steps, told

LAYOUT = HostLayout.of_user("/home/ann")
ADDRESS = "0.0.0.0:8000"


def swap_step(release_id: str, force: bool = False) -> SwapStep:
    return SwapStep(
        "swap", "Swap", LAYOUT, release_id, "overlap", force, 30.0, 20.0, 8, 0.0, ADDRESS
    )


@pytest.fixture(scope="module")
def site(rig: Rig) -> Iterator[Operated]:
    (host,) = rig.boot("keeper")
    host.add_user("ann")
    host.write_bytes("/home/ann/tool.pyz", build_tool().content)
    site = Operated(host, LAYOUT, "ann", "/home/ann/tool.pyz")
    events = site.run(
        DirectoryStep("opt", "Opt", LAYOUT.opt, 0o700),
        DirectoryStep("var", "Var", LAYOUT.var, 0o700),
        *release_steps("r1", StandIn(token_s=0.002), LAYOUT),
        *release_steps("r2", StandIn(token_s=0.002), LAYOUT),
        *release_steps("bad", StandIn(fail="tensor is missing"), LAYOUT),
        swap_step("r1"),
        HealthStep("health", "Health", LAYOUT),
    )
    assert events[-1].outcome == "done", told(events)
    yield site
    rig.destroy(host)


def test_ten_restarts_under_load_lose_no_request(site: Operated) -> None:
    with load_process(site.host.address, 8000, clients=50, keep_alive=0.5) as load:
        for number in range(10):
            events = site.run(swap_step("r1" if number % 2 else "r2"))
            assert events[-1].outcome == "done", told(events)
    print(load.report)
    assert load.report.failed == {}


def test_a_release_that_fails_leaves_the_old_one_serving(site: Operated) -> None:
    before = site.serving()["pid"]
    events = site.run(swap_step("bad"))
    assert events[-1].outcome == "undone"
    failed = next(event for event in events if event.kind == "step-failed")
    assert failed.data["log"][-1] == "tensor is missing"
    assert site.serving()["pid"] == before


def test_nothing_of_it_belongs_to_a_login_session(site: Operated) -> None:
    keeper = site.host.read(f"{LAYOUT.run}/keeper.pid").strip()
    stat = site.host.read(f"/proc/{keeper}/stat").rpartition(")")[2].split()
    assert (stat[1], stat[4]) == ("1", "0")  # Child of process 1, no terminal.
    open_files = site.host.run("ls", "-l", f"/proc/{keeper}/fd", check=True).stdout
    assert "pipe:" not in open_files


def test_a_reboot_loses_nothing_that_was_wanted(site: Operated) -> None:
    release_id = site.serving()["release_id"]
    site.host.reboot(power_cut=True)
    with pytest.raises(ConnectionRefusedError):
        site.serving()
    events = site.run(swap_step(release_id))
    assert events[-1].outcome in ("done", "unchanged"), told(events)
    assert site.serving()["release_id"] == release_id
    assert sorted(site.slots().values()) == ["ready", "stopped"]


def test_stop_leaves_no_process(site: Operated) -> None:
    events = site.run(StopStep("stop", "Stop", LAYOUT, drain_timeout_s=20.0))
    assert events[-1].outcome == "done", told(events)
    with pytest.raises(ConnectionRefusedError):
        site.serving()
    status = json.loads(site.tool("status", json.dumps(site.layout_json())).stdout)
    assert [slot["state"] for slot in status["slots"]] == ["stopped", "stopped"]
    processes = site.host.run("ps", "-u", "ann", "-o", "args=").stdout.splitlines()
    assert [line for line in processes if "launch.py" in line] == []
