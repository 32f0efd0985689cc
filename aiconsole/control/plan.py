"""The plans of this room: which steps bring a host from where it is to where it should be."""

from __future__ import annotations

import getpass
import os
import secrets
import socket
import time
from collections.abc import Sequence
from dataclasses import replace

from aiconsole.bundle.cache import Layer
from aiconsole.control.credentials import Keeping, outside_steps, unit_lines
from aiconsole.control.options import is_loopback
from aiconsole.control.release import Release
from aiconsole.control.runtimes import systemd
from aiconsole.control.service_settings import ServiceSettings
from aiconsole.control.swap_mode import SwapChoice
from aiconsole.keys.client_key import ClientKey
from aiconsole.onhost.wire import (
    DirectoryStep,
    FileStep,
    HealthStep,
    HostLayout,
    PlaceStep,
    Plan,
    PruneStep,
    ServiceState,
    SmokePrompt,
    Step,
    StopStep,
    SwapStep,
    UnitStep,
    UnpackStep,
    UserStep,
    WatchStep,
)

NOTHING_KEPT = Keeping()

LOCK = "inferd"
"""Everything that changes the service on a host holds this one lock."""

SERVICE_USER = "aiconsole"
"""The system user of inferd under systemd."""


def new_run_id() -> str:
    """Time in UTC and a random part; sorts by time."""
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(3)}"


def operator_name() -> str:
    """Who starts runs here: `user@machine`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid{os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def make_plan(title: str, layout: HostLayout, steps: Sequence[Step]) -> Plan:
    """Wrap steps into a plan with a fresh run id."""
    return Plan(
        run_id=new_run_id(),
        title=title,
        lock=LOCK,
        layout=layout,
        steps=tuple(steps),
        operator=operator_name(),
    )


def deploy_steps(
    release: Release,
    layers: Sequence[Layer],
    address: str,
    swap: SwapChoice,
    state: ServiceState,
    client_key: ClientKey,
    *,
    new_key: bool,
    keep: Keeping = NOTHING_KEPT,
    watch_s: float | None = None,
) -> list[Step]:
    """The steps of a deploy: what the release needs, then the swap onto it.

    The only one that interrupts the service is the move to another address, which no second
    slot can bridge: the old socket closes first.
    """
    layout, settings = release.layout, release.settings
    steps: list[Step] = _ground(layout)
    steps += outside_steps(layout, settings, SERVICE_USER, keep)
    steps += [_unpack(layout, layer) for layer in layers]
    if release.model.sha256:
        steps.append(_place_model(release))
    steps += _release_files(release)
    if not is_loopback(address) or release.service.auth_required:
        steps.append(_keys(layout, client_key, replace=new_key))
    if state.wanted == "running" and state.address and state.address != address:
        title = f"Close {state.address} to move to {address}"
        steps.append(StopStep("move", title, layout, release.service.drain_timeout_s))
    if layout.runtime == "systemd":
        steps.append(slot_unit_step(layout, release.service.drain_timeout_s, settings, keep))
        steps += _socket_units(address)
    drain_timeout_s = release.service.drain_timeout_s
    serving = _swap(layout, release.id, address, swap, drain_timeout_s, smoke=settings.own.prompts)
    # A daemon reads its secrets at its start.
    rotated = tuple(f"credential-{name}" for name in settings.credentials if name in keep.brought)
    steps.append(replace(serving, force_after=rotated))
    steps.append(HealthStep("health", "Answer a completion", layout))
    steps += _watch(layout, settings, state, watch_s)
    steps.append(PruneStep("prune", "Remove what nothing refers to", layout))
    return steps


def swap_steps(
    layout: HostLayout,
    release_id: str,
    address: str,
    swap: SwapChoice,
    drain_timeout_s: float,
    *,
    force: bool,
    smoke: tuple[SmokePrompt, ...] = (),
) -> list[Step]:
    """The steps of a restart (`force`) or of a way back to an earlier release."""
    return [
        _swap(layout, release_id, address, swap, drain_timeout_s, force=force, smoke=smoke),
        HealthStep("health", "Answer a completion", layout),
    ]


def stop_steps(layout: HostLayout, drain_timeout_s: float) -> list[Step]:
    """The steps that end the service and keep what is needed to start it again."""
    return [StopStep("stop", "Drain and stop every slot", layout, drain_timeout_s)]


def _swap(
    layout: HostLayout,
    release_id: str,
    address: str,
    swap: SwapChoice,
    drain_timeout_s: float,
    *,
    force: bool = False,
    smoke: tuple[SmokePrompt, ...] = (),
) -> SwapStep:
    return SwapStep(
        "swap",
        f"Serve {release_id} on {address}",
        layout,
        release_id=release_id,
        mode=swap.mode,
        force=force,
        drain_timeout_s=drain_timeout_s,
        expected_stall_s=swap.expected_stall_s,
        address=address,
        smoke=smoke,
    )


def _watch(
    layout: HostLayout, settings: ServiceSettings, state: ServiceState, watch_s: float | None
) -> list[Step]:
    """The look at a release after its swap; without one before it there is no way back."""
    table = settings.own.watch
    seconds = watch_s if watch_s is not None else table.seconds
    if seconds <= 0 or (watch_s is None and state.wanted != "running"):
        return []
    return [
        WatchStep(
            "watch",
            f"Watch the release for {seconds:g} s",
            layout,
            seconds=float(seconds),
            swap="swap",
            max_failed_ratio=table.max_failed_ratio,
            min_requests=table.min_requests,
        )
    ]


def _ground(layout: HostLayout) -> list[Step]:
    private = layout.runtime == "keeper"
    directories = [
        ("opt", "Directory of the installation", layout.opt),
        ("layers", "Directory of layers", f"{layout.opt}/layers"),
        ("releases", "Directory of releases", f"{layout.opt}/releases"),
        ("slots", "Directory of slots", f"{layout.opt}/slots"),
        ("var", "Directory of models and runs", layout.var),
        ("models", "Directory of models", f"{layout.var}/models"),
        ("etc", "Directory of settings", layout.etc),
    ]
    mode = 0o700 if private else 0o755
    steps: list[Step] = [
        DirectoryStep(name, title, path, mode) for name, title, path in directories
    ]
    if not private:
        groups = ("video", "render")
        steps.insert(0, UserStep("user", f"User {SERVICE_USER}", SERVICE_USER, groups=groups))
    return steps


def _unpack(layout: HostLayout, layer: Layer) -> UnpackStep:
    return UnpackStep(
        f"layer-{layer.name}",
        f"Unpack the {layer.name} layer",
        layout.layer(layer.sha256),
        layout.upload(layer.sha256),
        layer.sha256,
        layer.unpacked_bytes,
    )


def _place_model(release: Release) -> PlaceStep:
    model, layout = release.model, release.layout
    return PlaceStep(
        "model",
        f"Model {model.name}",
        layout.model(model.sha256),
        layout.upload(model.sha256),
        model.sha256,
        model.size_bytes,
    )


def _release_files(release: Release) -> list[Step]:
    directory = release.layout.release(release.id)
    return [
        DirectoryStep("release", f"Release {release.id}", directory),
        FileStep("settings", "Its settings", f"{directory}/settings.toml", release.settings_toml()),
        FileStep("launch", "Its launcher", f"{directory}/launch.py", release.launch),
        FileStep("manifest", "Its manifest", f"{directory}/release.json", release.release_json()),
    ]


def _keys(layout: HostLayout, client_key: ClientKey, *, replace: bool) -> FileStep:
    return FileStep(
        "client-keys",
        "A new client key in place of all others" if replace else "A first client key, as a hash",
        layout.keys_file,
        client_key.keys_file,
        mode=0o600,
        owner=SERVICE_USER if layout.runtime == "systemd" else "",
        create_only=not replace,
    )


def slot_unit_step(
    layout: HostLayout, drain_timeout_s: float, settings: ServiceSettings, keep: Keeping
) -> UnitStep:
    """The template of both slots, with what the settings need of it."""
    lines = unit_lines(layout, settings, keep)
    text = systemd.slot_unit(layout, SERVICE_USER, False, drain_timeout_s, lines)
    return UnitStep("slot-unit", "The slots' unit", systemd.SLOT_UNIT, text)


def _socket_units(address: str) -> list[Step]:
    return [
        UnitStep("anchor-unit", "The socket's anchor", systemd.ANCHOR_UNIT, systemd.anchor_unit()),
        UnitStep("socket-unit", f"The socket on {address}", systemd.SOCKET_UNIT,
                 systemd.socket_unit(address), enable=True, start=True, restart_on_change=True),
    ]  # fmt: skip
