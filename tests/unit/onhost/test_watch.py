"""A release that answers badly does not serve, and one that turns bad does not stay."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path
from typing import Any

import pytest

from aiconsole.onhost.keeper import KeeperClient
from aiconsole.onhost.runner.cancel import Cancel, Cancelled
from aiconsole.onhost.runner.status import service_state, status
from aiconsole.onhost.runner.steps.kind import StepError
from aiconsole.onhost.wire import HostLayout, SmokePrompt, WatchStep
from tests.fixtures.standin_inferd import StandIn, install
from tests.load import load_process
from tests.unit.onhost.test_keeper import get, until
from tests.unit.onhost.test_swap import Host, port_of


@pytest.fixture
def host(layout: HostLayout, address: str, tmp_path: Path, keeper: KeeperClient) -> Host:
    install(layout, "r1", StandIn(token_s=0.002))
    host = Host(layout, address, tmp_path)
    host.swap("r1")
    return host


def watch(host: Host, **how: Any) -> WatchStep:
    return WatchStep("watch", "Watch", host.layout, **{"seconds": 20.0, **how})


def watched(host: Host, release_id: str, step: WatchStep) -> StepError:
    """Swap, watch until that fails, and take the swap back as a run does."""
    swap = host.step(release_id)
    host.begin(swap)
    saved = host.saved
    with pytest.raises(StepError) as caught:
        host.begin(step)
    host.saved = saved
    host.undo(swap)
    return caught.value


@pytest.mark.parametrize(
    ("smoke", "said"),
    [
        (
            SmokePrompt("Who are you?", expect="llama"),
            "was answered `a cat`, which does not hold `llama`",
        ),
        (SmokePrompt("Count", matches=r"^\d+$"), r"does not match `^\d+$`"),
    ],
)
def test_a_smoke_prompt_that_is_answered_badly_keeps_the_old_release(
    host: Host, smoke: SmokePrompt, said: str
) -> None:
    install(host.layout, "cat", StandIn(says="a cat"))
    fine = SmokePrompt("Who are you?", expect="cat", matches="^a", chat=False)
    with (
        load_process("127.0.0.1", port_of(host), clients=10) as load,
        pytest.raises(StepError) as caught,
    ):
        host.swap("cat", smoke=(fine, smoke))
    assert load.report.failed == {}
    assert caught.value.text.startswith("smoke prompt 2 (")
    assert said in caught.value.text
    assert caught.value.data["smoke"] == {"prompt": smoke.prompt, "answer": "a cat"}
    assert "standin cat loads in slot b" in caught.value.data["log"]
    assert get(host.address)["release_id"] == "r1"
    host.swap("cat", smoke=(fine,))
    assert get(host.address)["release_id"] == "cat"


def test_a_release_that_turns_bad_under_load_is_taken_back(host: Host) -> None:
    install(host.layout, "sour", StandIn(token_s=0.002, sour_after_s=1.5))
    with load_process("127.0.0.1", port_of(host), clients=10) as load:
        error = watched(host, "sour", watch(host, max_failed_ratio=0.2, min_requests=10))
    assert "turned bad after the switch" in error.text
    assert "requests failed" in error.text
    counts = error.data["watch"]
    assert counts["failed"] >= 10 * 0.2
    assert "standin sour loads in slot b" in error.data["log"]
    assert load.report.failures >= counts["failed"]
    assert get(host.address)["release_id"] == "r1"
    assert service_state(host.layout).release_id == "r1"
    assert host.states() == {"a": "ready", "b": "stopped"}


def test_a_release_that_crashes_is_not_hidden_by_its_restart(host: Host) -> None:
    install(host.layout, "frail", StandIn(crash_after_s=1.0))
    error = watched(host, "frail", watch(host))
    assert "crashed" in error.text or "it is failed" in error.text
    assert any("standin breaks down" in line for line in error.data["log"])
    assert get(host.address)["release_id"] == "r1"


def test_a_good_release_stays_and_its_counts_are_told(host: Host) -> None:
    install(host.layout, "r2", StandIn())
    host.begin(host.step("r2"))
    with load_process("127.0.0.1", port_of(host), clients=5):
        host.begin(watch(host, seconds=1.2))
    assert host.data["watch"]["served"] > 0
    assert host.data["watch"]["failed"] == 0
    assert any(text.startswith("1 of 1.2 s: ") for text in host.said)


def test_a_watch_can_be_cancelled(host: Host) -> None:
    cancel = Cancel()
    timer = threading.Timer(0.3, cancel.request)
    timer.start()
    with pytest.raises(Cancelled):
        host.begin(watch(host), cancel)
    timer.join()


def test_a_run_that_swapped_nothing_has_nothing_to_watch(host: Host) -> None:
    step = watch(host)
    assert host.check(step).note == "nothing was swapped"
    host.context().undo_dir("swap").parent.mkdir(parents=True, exist_ok=True)
    host.context().undo_dir("swap").with_suffix(".json").write_text("{}")
    assert host.check(step).change == "act"
    assert host.check(dataclasses.replace(step, seconds=0.0)).note == "turned off"


def test_a_secret_that_has_changed_has_the_same_release_start_again(host: Host) -> None:
    step = host.step("r1", force_after=("credential-key",))
    assert host.check(step).change == "none"
    mark = host.context().undo_dir("credential-key").with_suffix(".json")
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text("{}")
    before = get(host.address)["pid"]
    assert host.check(step).change == "act"
    host.begin(step)
    assert get(host.address)["pid"] != before


def test_the_keeper_tells_its_slots_where_credentials_lie(host: Host) -> None:
    def told() -> bytes:
        pid = get(host.address)["pid"]
        return Path(f"/proc/{pid}/environ").read_bytes()

    assert b"CREDENTIALS_DIRECTORY" not in told()
    Path(host.layout.credentials).mkdir(parents=True)
    host.swap("r1", force=True)
    assert f"CREDENTIALS_DIRECTORY={host.layout.credentials}\0".encode() in told()


def test_the_status_holds_what_a_daemon_says_of_itself(host: Host) -> None:
    until(lambda: "a" in status(host.layout).daemons)
    assert status(host.layout).daemons["a"]["release_id"] == "r1"
