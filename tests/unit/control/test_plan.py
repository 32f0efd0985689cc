"""Which steps a deploy has, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiconsole.bundle.cache import Layer
from aiconsole.control.credentials import Keeping
from aiconsole.control.plan import deploy_steps
from aiconsole.control.release import ModelChoice, Release, ServiceChoice
from aiconsole.control.service_settings import ServiceSettings
from aiconsole.control.swap_mode import SwapChoice
from aiconsole.keys.client_key import ClientKey, new_client_key
from aiconsole.onhost.wire import (
    CredentialStep,
    FileStep,
    HostLayout,
    RequireStep,
    ServiceState,
    Step,
    StopStep,
    SwapStep,
    UnitStep,
    WatchStep,
)

OVERLAP = SwapChoice("overlap", 0.0, "")
LAYER = Layer("code", "a" * 64, Path("/cache/a"), 10, 20)


def steps(
    address: str = "127.0.0.1:8480",
    layout: HostLayout | None = None,
    state: ServiceState | None = None,
    key: ClientKey | None = None,
    *,
    new_key: bool = False,
    settings: ServiceSettings | None = None,
    model: ModelChoice | None = None,
    keep: Keeping | None = None,
    watch_s: float | None = None,
) -> list[Step]:
    release = Release(
        layout=layout or HostLayout.system(),
        layers=("a" * 64,),
        model=model or ModelChoice("m", "b" * 64, 1, 2),
        service=ServiceChoice(),
        launch="",
        settings=settings or ServiceSettings(),
    )
    return deploy_steps(
        release,
        [LAYER],
        address,
        OVERLAP,
        state or ServiceState(),
        key or new_client_key("first"),
        new_key=new_key,
        keep=keep or Keeping(),
        watch_s=watch_s,
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


RUNNING = ServiceState(release_id="r", slot="a", address="127.0.0.1:8480", wanted="running")
NAMES_TWO = ServiceSettings("x = 1\n", ("new", "old"), ("/etc/tls/c.pem",))


def one(planned: list[Step], step_id: str) -> Step:
    return next(step for step in planned if step.id == step_id)


def test_a_release_without_a_file_places_none() -> None:
    planned = ids(steps(model=ModelChoice("far", "", 0, 0)))
    assert "model" not in planned
    assert "manifest" in planned


def test_the_swap_is_watched_where_there_is_a_way_back() -> None:
    assert "watch" not in ids(steps())
    order = ids(steps(state=RUNNING))
    assert order[-4:] == ["swap", "health", "watch", "prune"]
    watch = one(steps(state=RUNNING), "watch")
    assert isinstance(watch, WatchStep)
    assert (watch.seconds, watch.swap) == (10.0, "swap")
    assert "watch" not in ids(steps(state=RUNNING, watch_s=0))
    assert isinstance(one(steps(watch_s=5), "watch"), WatchStep)


@pytest.mark.parametrize(
    ("encrypted", "line", "path"),
    [
        (True, "LoadCredentialEncrypted=new:{}", "/etc/aiconsole/credentials/new.cred"),
        (False, "LoadCredential=new:{}", "/etc/aiconsole/credentials/new"),
    ],
)
def test_secrets_lie_there_before_the_unit_names_them(
    encrypted: bool, line: str, path: str
) -> None:
    before = ServiceSettings("y = 1\n", ("gone",), tree={"audit": {"path": "/srv/audit/a.jsonl"}})
    keep = Keeping(frozenset({"new"}), encrypted, before)
    planned = steps(settings=NAMES_TWO, keep=keep, state=RUNNING)
    order = ids(planned)
    assert order.index("credentials") < order.index("credential-new") < order.index("slot-unit")
    new, old = one(planned, "credential-new"), one(planned, "credential-old")
    assert isinstance(new, CredentialStep)
    assert isinstance(old, CredentialStep)
    assert (new.brought, old.brought, new.path) == (True, False, path)
    unit = one(planned, "slot-unit")
    assert isinstance(unit, UnitStep)
    assert line.format(path) in unit.content.splitlines()
    assert "gone:" in unit.content, "the release before may come back"
    assert "ReadWritePaths=-/srv/audit" in unit.content
    swap = one(planned, "swap")
    assert isinstance(swap, SwapStep)
    assert swap.force_after == ("credential-new",)


def test_files_that_the_settings_name_are_looked_at_as_the_services_user() -> None:
    files = one(steps(settings=NAMES_TWO), "files")
    assert isinstance(files, RequireStep)
    assert (files.paths, files.reader) == (("/etc/tls/c.pem",), "aiconsole")
    assert "/home" in files.hidden
    private = steps(layout=HostLayout.of_user("/home/ann"), settings=NAMES_TWO)
    files, secret = one(private, "files"), one(private, "credential-old")
    assert isinstance(files, RequireStep)
    assert isinstance(secret, CredentialStep)
    assert (files.reader, files.hidden) == ("", ())
    assert secret.path.endswith("/etc/credentials/old")
