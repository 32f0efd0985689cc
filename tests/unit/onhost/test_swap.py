"""Swaps between real processes on one real socket, with clients that count what they lose."""

from __future__ import annotations

import dataclasses
import http.client
import json
import os
import signal
import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from aiconsole.onhost.keeper import KeeperClient, ensure_keeper
from aiconsole.onhost.runner import runtimes
from aiconsole.onhost.runner.cancel import Cancel, Cancelled
from aiconsole.onhost.runner.registry import kind_of
from aiconsole.onhost.runner.status import service_state
from aiconsole.onhost.runner.steps.kind import Context, StepError
from aiconsole.onhost.wire import (
    HealthStep,
    HostLayout,
    Step,
    StepCheck,
    StopStep,
    SwapStep,
    SwapTally,
    from_json,
    to_json,
)
from tests.fixtures.standin_inferd import StandIn, install
from tests.load import load_process
from tests.unit.onhost.conftest import TOOL
from tests.unit.onhost.test_keeper import get, until


@dataclass
class Host:
    """Does single steps as the runner does them."""

    layout: HostLayout
    address: str
    directory: Path
    said: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    saved: dict[str, Any] = field(default_factory=dict)

    def context(self, cancel: Cancel | None = None) -> Context:
        return Context(
            self.layout, "run-1", self.directory, TOOL, self.say, cancel or Cancel()
        )  # fmt: skip

    def say(
        self,
        text: str = "",
        done_bytes: int = 0,
        total_bytes: int = 0,
        data: dict[str, Any] | None = None,
    ) -> None:
        self.said.append(text)
        self.data.update(data or {})

    def check(self, step: Step) -> StepCheck:
        return kind_of(step).check(step, self.context())

    def begin(self, step: Step, cancel: Cancel | None = None) -> None:
        self.context().undo_dir(step.id).mkdir(parents=True, exist_ok=True)
        saved = kind_of(step).save(step, self.context())
        self.saved = json.loads(json.dumps(saved))
        kind_of(step).apply(step, self.context(cancel))

    def undo(self, step: Step) -> None:
        kind_of(step).undo(step, self.context(), self.saved)

    def do(self, step: Step, cancel: Cancel | None = None) -> None:
        """Apply, and take back where it fails."""
        try:
            self.begin(step, cancel)
        except (StepError, Cancelled):
            self.undo(step)
            raise

    def swap(self, release_id: str, **how: Any) -> SwapTally:
        self.do(self.step(release_id, **how))
        return from_json(SwapTally, to_json(self.data["swap"]))

    def step(self, release_id: str, **how: Any) -> SwapStep:
        given = {"drain_timeout_s": 10.0, "ready_timeout_s": 20.0, "address": self.address, **how}
        return SwapStep("swap", "Swap", self.layout, release_id=release_id, **given)

    def states(self) -> dict[str, str]:
        return {slot.slot: slot.state for slot in runtimes.of(self.layout).slots()}

    def enabled(self) -> str:
        return str(KeeperClient(self.layout).status()["enabled"])

    def links(self) -> dict[str, str]:
        slots = Path(self.layout.slot("a")).parent
        return {link.name: link.readlink().name for link in slots.iterdir()}


@pytest.fixture
def host(layout: HostLayout, address: str, tmp_path: Path, keeper: KeeperClient) -> Host:
    install(layout, "r1", StandIn(token_s=0.002))
    install(layout, "r2", StandIn(token_s=0.002))
    return Host(layout, address, tmp_path)


def port_of(host: Host) -> int:
    return int(host.address.partition(":")[2])


def test_a_first_deploy_just_starts(host: Host) -> None:
    step = host.step("r1")
    assert host.check(step).note == "start slot a"
    tally = host.swap("r1")
    assert host.states() == {"a": "ready", "b": "stopped"}
    assert tally.probes == tally.requests_failed == 0
    state = service_state(host.layout)
    assert (state.release_id, state.slot, state.wanted) == ("r1", "a", "running")
    assert (state.address, state.previous_release_id) == (host.address, "")
    assert host.enabled() == "a"
    assert host.check(step).change == "none"
    host.do(HealthStep("health", "Health", host.layout))


def test_a_first_deploy_that_is_taken_back_leaves_nothing(host: Host) -> None:
    host.swap("r1")
    host.undo(host.step("r1"))
    assert host.states() == {"a": "stopped", "b": "stopped"}
    assert host.links() == {}
    assert not Path(host.layout.state_file).exists()
    assert host.enabled() == ""
    with pytest.raises(ConnectionRefusedError):
        get(host.address)


def test_ten_swaps_under_load_lose_no_request(host: Host) -> None:
    host.swap("r1")
    served = failed = 0
    longest_s = 0.0
    with load_process("127.0.0.1", port_of(host), clients=50, keep_alive=0.5) as load:
        for number in range(10):
            tally = host.swap("r1" if number % 2 else "r2")
            served += tally.requests_served
            failed += tally.requests_failed + tally.probes_failed
            longest_s = max(longest_s, tally.longest_wait_s)
            assert tally.probes > 0
            assert tally.requests_served > 0
    report = load.report
    print(f"10 swaps: {report}, the host counted {served}, longest probe {longest_s:.3f} s")
    assert report.failed == {}
    assert failed == 0
    assert 0 < served <= report.served + 10 * 50 + 1000
    assert service_state(host.layout).previous_release_id == "r2"


def test_a_release_that_fails_leaves_the_old_one_serving(host: Host) -> None:
    install(host.layout, "bad", StandIn(fail="tensor is missing"))
    host.swap("r1")
    before = (service_state(host.layout), host.links(), get(host.address)["pid"])
    with (
        load_process("127.0.0.1", port_of(host), clients=20) as load,
        pytest.raises(StepError) as caught,
    ):
        host.swap("bad")
    assert load.report.failed == {}
    assert caught.value.data["log"][-1] == "tensor is missing"
    assert (service_state(host.layout), host.links(), get(host.address)["pid"]) == before
    assert host.states() == {"a": "ready", "b": "stopped"}
    assert host.enabled() == "a"


def test_a_release_that_answers_nothing_is_not_taken(host: Host) -> None:
    install(host.layout, "mute", StandIn(mute=True))
    host.swap("r1")
    with pytest.raises(StepError, match="empty completion") as caught:
        host.swap("mute")
    assert "standin mute loads in slot b" in caught.value.data["log"]
    assert get(host.address)["release_id"] == "r1"


def test_held_queues_everybody_while_the_new_one_loads(host: Host) -> None:
    install(host.layout, "slow", StandIn(load_s=1.5))
    host.swap("r1")
    step = host.step("slow", mode="held", expected_stall_s=2.0)
    note = host.check(step).note
    assert note == "stop slot a, then start slot b: requests wait about 2 s"
    with load_process("127.0.0.1", port_of(host), clients=50) as load:
        tally = host.swap("slow", mode="held")
    assert load.report.failed == {}
    assert tally.requests_failed == tally.probes_failed == 0
    assert tally.load_s >= 1.5
    assert tally.longest_wait_s >= 1.0
    assert host.states() == {"a": "stopped", "b": "ready"}


def test_held_brings_the_old_one_back_when_the_new_one_fails(host: Host) -> None:
    install(host.layout, "bad", StandIn(fail="no memory"))
    host.swap("r1")
    with (
        load_process("127.0.0.1", port_of(host), clients=20) as load,
        pytest.raises(StepError, match="did not start"),
    ):
        host.swap("bad", mode="held")
    assert load.report.failed == {}
    assert get(host.address)["release_id"] == "r1"
    assert host.enabled() == "a"
    assert host.links() == {"a": "r1"}


def test_a_restart_of_the_same_release_is_a_swap_only_by_force(host: Host) -> None:
    host.swap("r1")
    first = get(host.address)["pid"]
    assert host.check(host.step("r1")).change == "none"
    host.swap("r1", force=True)
    assert get(host.address)["pid"] != first
    assert service_state(host.layout).previous_release_id == ""


def test_a_finished_swap_can_be_taken_back(host: Host) -> None:
    host.swap("r1")
    with load_process("127.0.0.1", port_of(host), clients=20) as load:
        host.swap("r2")
        host.undo(host.step("r2"))
        host.undo(host.step("r2"))
    assert load.report.failed == {}
    assert get(host.address)["release_id"] == "r1"
    assert host.states() == {"a": "ready", "b": "stopped"}
    assert service_state(host.layout).release_id == "r1"
    assert host.enabled() == "a"


def test_a_cancel_while_the_new_one_loads_goes_back(host: Host) -> None:
    install(host.layout, "endless", StandIn(hang=True))
    host.swap("r1")
    cancel = Cancel()

    def when_it_loads() -> None:
        until(lambda: host.states()["b"] == "loading")
        cancel.request()

    waiting = threading.Thread(target=when_it_loads)
    waiting.start()
    with pytest.raises(Cancelled):
        host.do(host.step("endless"), cancel)
    waiting.join()
    assert host.states() == {"a": "ready", "b": "stopped"}
    assert get(host.address)["release_id"] == "r1"


@pytest.mark.parametrize("mode", ["overlap", "held"])
@pytest.mark.parametrize(
    "phase", ["Starting r2", "is ready after", "answered a completion", "the end"]
)
def test_a_runner_that_is_killed_in_any_phase_can_be_settled(
    host: Host, mode: str, phase: str
) -> None:
    class Killed(BaseException):
        pass

    host.swap("r1")
    before = (service_state(host.layout), host.links())
    say = host.say

    def until_phase(text: str = "", *args: Any, **kwargs: Any) -> None:
        say(text, *args, **kwargs)
        if phase in text:
            raise Killed

    step = host.step("r2", mode=mode)
    host.say = until_phase  # type: ignore[method-assign]
    if phase == "the end":
        host.begin(step)
    else:
        with pytest.raises(Killed):
            host.begin(step)
    host.say = say  # type: ignore[method-assign]
    host.undo(step)
    assert (service_state(host.layout), host.links()) == before
    assert host.states() == {"a": "ready", "b": "stopped"}
    assert get(host.address)["release_id"] == "r1"


def test_what_comes_up_after_a_boot_is_not_started_twice(host: Host) -> None:
    install(host.layout, "slow", StandIn(load_s=1.5))
    host.swap("slow")
    KeeperClient(host.layout).quit(5)
    ensure_keeper(host.layout, TOOL)
    until(lambda: host.states()["a"] in ("starting", "loading"))
    host.do(host.step("slow"))
    assert host.states() == {"a": "ready", "b": "stopped"}
    assert "slow has come up by itself in slot a" in host.said


def test_a_dead_old_slot_is_replaced(host: Host) -> None:
    host.swap("r1")
    install(host.layout, "r1", StandIn(fail="the disk broke"))
    os.kill(get(host.address)["pid"], signal.SIGKILL)
    until(lambda: host.states()["a"] == "failed")
    host.swap("r2")
    assert host.states() == {"a": "stopped", "b": "ready"}
    assert get(host.address)["release_id"] == "r2"


def test_requests_that_outlast_the_drain_are_cut_and_told(host: Host) -> None:
    install(host.layout, "long", StandIn(token_s=1.0, tokens=1))
    host.swap("long")
    behaviour = dataclasses.asdict(StandIn(token_s=60.0, tokens=1))
    (Path(host.layout.release("long")) / "standin.json").write_text(json.dumps(behaviour))
    KeeperClient(host.layout).stop("a", 5)
    KeeperClient(host.layout).start("a", 10)
    asking = http.client.HTTPConnection(host.address)
    asking.request("POST", "/v1/completions", body=b"{}")
    until(lambda: get(host.address)["in_flight"] == 2)  # This look is the second one.
    host.swap("r2", drain_timeout_s=1.0)
    with pytest.raises(http.client.RemoteDisconnected):
        asking.getresponse()
    asking.close()
    assert "Slot a did not finish within 1 s and was ended" in host.said
    assert get(host.address)["release_id"] == "r2"


def test_the_port_of_another_program_is_found_before_the_change(host: Host) -> None:
    with socket.create_server(("127.0.0.1", port_of(host))):
        problem = host.check(host.step("r1")).problem
    assert problem.startswith(f"{host.address} is taken by ")
    assert f"(pid {os.getpid()})" in problem


@pytest.mark.parametrize(
    ("address", "told"),
    [("nonsense", "expected HOST:PORT"), ("127.0.0.1:99999", "65535"),
     ("203.0.113.7:8000", "no address of this host"), ("no.such.invalid:80", "not known")],
)  # fmt: skip
def test_an_address_that_cannot_be_is_found_before_the_change(
    host: Host, address: str, told: str
) -> None:
    assert told in host.check(host.step("r1", address=address)).problem


def test_a_release_that_is_not_there_is_found_before_the_change(host: Host) -> None:
    assert host.check(host.step("nothing")).problem == "there is no release nothing here"


def test_stop_ends_everything_and_can_be_taken_back(host: Host) -> None:
    host.swap("r1")
    stop = StopStep("stop", "Stop", host.layout, drain_timeout_s=10)
    assert host.check(stop).note == "stop slot a"
    host.do(stop)
    assert host.states() == {"a": "stopped", "b": "stopped"}
    assert (service_state(host.layout).wanted, service_state(host.layout).slot) == ("stopped", "")
    assert service_state(host.layout).release_id == "r1"
    assert host.enabled() == ""
    assert host.check(stop).change == "none"
    with pytest.raises(ConnectionRefusedError):
        get(host.address)
    with pytest.raises(StepError, match="no slot serves"):
        host.begin(HealthStep("health", "Health", host.layout))
    host.swap("r1")
    host.begin(stop)
    host.undo(stop)
    assert get(host.address)["release_id"] == "r1"
    assert host.enabled() == service_state(host.layout).slot
    assert service_state(host.layout).wanted == "running"
