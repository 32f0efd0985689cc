"""Which steps a deploy has, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiconsole.bundle.cache import Layer
from aiconsole.control.plan import deploy_steps
from aiconsole.control.release import ModelChoice, Release, ServiceChoice
from aiconsole.control.swap_mode import SwapChoice
from aiconsole.keys.client_key import ClientKey, new_client_key
from aiconsole.onhost.wire import FileStep, HostLayout, ServiceState, Step, StopStep

OVERLAP = SwapChoice("overlap", 0.0, "")
LAYER = Layer("code", "a" * 64, Path("/cache/a"), 10, 20)


def steps(
    address: str = "127.0.0.1:8480",
    layout: HostLayout | None = None,
    state: ServiceState | None = None,
    key: ClientKey | None = None,
    *,
    new_key: bool = False,
) -> list[Step]:
    release = Release(
        layout=layout or HostLayout.system(),
        layers=("a" * 64,),
        model=ModelChoice("m", "b" * 64, 1, 2),
        service=ServiceChoice(),
        launch="",
    )
    return deploy_steps(
        release,
        [LAYER],
        address,
        OVERLAP,
        state or ServiceState(),
        key or new_client_key("first"),
        new_key=new_key,
    )


def ids(planned: list[Step]) -> list[str]:
    return [step.id for step in planned]


def test_everything_that_a_slot_reads_is_there_before_it_starts() -> None:
    order = ids(steps("0.0.0.0:8480"))
    swap = order.index("swap")
    for before in ("user", "layer-code", "model", "manifest", "client-keys", "socket-unit"):
        assert order.index(before) < swap
    assert order[swap:] == ["swap", "health", "prune"]
    assert len(set(order)) == len(order)


def test_loopback_goes_without_keys_and_the_keeper_without_units() -> None:
    assert "client-keys" not in ids(steps())
    planned = steps(layout=HostLayout.of_user("/home/ann"))
    assert not {"user", "slot-unit", "socket-unit"} & set(ids(planned))


@pytest.mark.parametrize("new_key", [False, True])
def test_keys_that_were_given_out_stay_unless_new_ones_are_asked_for(new_key: bool) -> None:
    key = new_client_key("first")
    (file,) = (
        step
        for step in steps("0.0.0.0:8480", key=key, new_key=new_key)
        if isinstance(step, FileStep) and step.id == "client-keys"
    )
    assert file.create_only is not new_key
    assert file.mode == 0o600
    assert key.key.reveal() not in file.content
    assert key.id in file.content


def test_a_move_closes_the_old_address_before_the_new_one_opens() -> None:
    running = ServiceState(release_id="r", slot="a", address="127.0.0.1:1", wanted="running")
    planned = steps("127.0.0.1:2", state=running)
    order = ids(planned)
    assert isinstance(planned[order.index("move")], StopStep)
    assert order.index("move") < order.index("socket-unit") < order.index("swap")
    assert "move" not in ids(steps("127.0.0.1:1", state=running))
