"""Deploy: bring one host to the release that the operator chose."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from aiconsole.bundle.layer import Layer, build_layer
from aiconsole.bundle.layer_set import GATEWAY_LAYERS, SERVICE_LAYERS
from aiconsole.bundle.model import refuse_unservable
from aiconsole.bundle.platform import Platform
from aiconsole.control.agree import (
    refuse_audit_path,
    refuse_disagreement,
    refuse_open_door,
    refuse_unknown,
)
from aiconsole.control.bring import Brought
from aiconsole.control.carry_out import Job, carry_out
from aiconsole.control.choose_model import choose_model
from aiconsole.control.credentials import Keeping
from aiconsole.control.events import Event, PhaseStarted, PlanReady, Progress, Result
from aiconsole.control.inspection import Inspection, inspect_host
from aiconsole.control.options import (
    DEFAULT_ADDRESS,
    DeployOptions,
    is_loopback,
    parse_address,
    service_url,
)
from aiconsole.control.plan import deploy_steps, make_plan
from aiconsole.control.release import (
    ModelChoice,
    Release,
    ServiceChoice,
    held_digests,
    served_choices,
    settings_of,
)
from aiconsole.control.service_settings import ServiceSettings, check_settings, read_file
from aiconsole.control.swap_mode import choose_swap
from aiconsole.control.telling import Done, Tell, telling
from aiconsole.errors import CommandError, RefusedError, SettingsError
from aiconsole.fleet.host import Host
from aiconsole.keys.client_key import ClientKey, new_client_key
from aiconsole.onhost.wire import ServiceState, Upload
from aiconsole.preflight.deploy import DeployNeeds, check_deploy, check_machine
from aiconsole.preflight.verdict import refuse_failures, warnings
from aiconsole.question import Ask
from aiconsole.secret import Secret
from aiconsole.session.pool import Pool

_LAUNCH = Path(__file__).parents[1] / "onhost" / "inferd" / "launch.py"
"""Read as text: the wings share no import."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the host should serve, and with what it gets there."""

    release: Release
    address: str
    layers: tuple[Layer, ...]
    model_path: Path | None
    """The model on this machine; None where only the host has it."""


@dataclass(frozen=True, slots=True)
class Given:
    """What the operator brings, looked at before any host is asked for anything."""

    options: DeployOptions
    settings: ServiceSettings | None
    """None keeps those of the host."""
    secrets: dict[str, Secret]
    """Credentials by name."""


async def deploy_host(
    pool: Pool, host: Host, options: DeployOptions, brought: Brought, ask: Ask
) -> AsyncGenerator[Event, None]:
    """Yield the deploy's events; the last one is its Result.

    Raises:
        AiconsoleError: It ended before a run began; nothing was changed on the host.
    """
    given = await _given(options, brought, ask)
    yield PhaseStarted(host.name, "connect", f"Connect to {host.endpoint}")
    await pool.session(host)
    yield PhaseStarted(host.name, "inspect", "Read what the host is and holds")
    seen = await inspect_host(pool, host, "check")
    async with seen.line.cooling(), aclosing(_deploy(seen, given, ask)) as events:
        async for event in events:
            yield event


async def _deploy(seen: Inspection, given: Given, ask: Ask) -> AsyncGenerator[Event, None]:
    host = seen.line.host
    settings = given.settings
    if settings is None:
        settings = await _kept(seen, given)
    machine = check_machine(seen.facts, computes=settings.engine == "llama")
    refuse_failures(host.name, machine)
    yield PhaseStarted(host.name, "build", "Prepare layers and model")
    async with aclosing(telling(partial(_want, given.options, settings, seen))) as items:
        async for item in items:
            if isinstance(item, Done):
                wanted = item.value
            else:
                yield item
    client_key = new_client_key(f"first key of {host.name}")
    job = _job(wanted, seen, given, client_key, warnings(machine))
    key_is_new = False
    async with aclosing(carry_out(job, ask)) as events:
        async for event in events:
            if isinstance(event, PlanReady):
                key_is_new = any(
                    check.step_id == "client-keys" and check.change != "none"
                    for check in event.report.steps
                )
            elif isinstance(event, Result):
                url = service_url(wanted.address, host.endpoint.address, tls=settings.tls)
                event = replace(event, release_id=wanted.release.id, url=url)
                if key_is_new and event.outcome in ("done", "unknown"):
                    event = replace(event, client_key=client_key.key)
            yield event


async def _given(options: DeployOptions, brought: Brought, ask: Ask) -> Given:
    """Look at what the operator chose before any host is asked for anything."""
    if options.listen:
        parse_address(options.listen)
    if options.model is not None:
        await refuse_unservable(options.model)
    settings = None
    if options.settings is not None:
        text = await asyncio.to_thread(read_file, options.settings)
        settings = await check_settings(str(options.settings), text)
        refuse_disagreement(settings, options)
    secrets = await brought.secrets(ask)
    if settings is not None:
        refuse_unknown(settings, secrets)
    return Given(options, settings, secrets)


async def _kept(seen: Inspection, given: Given) -> ServiceSettings:
    """The settings of what the host serves, checked anew: this daemon may be a newer one."""
    text = settings_of(seen.status, seen.status.service.release_id).text
    try:
        settings = await check_settings(f"settings kept on {seen.line.host.name}", text)
    except SettingsError as error:
        way_on = "Give --settings FILE, or --settings none to forget them"
        raise SettingsError(error.title, error.detail, way_on) from error
    refuse_disagreement(settings, given.options)
    refuse_unknown(settings, given.secrets)
    return settings


async def _want(
    options: DeployOptions, settings: ServiceSettings, seen: Inspection, tell: Tell
) -> Wanted:
    """Decide what to serve: what was asked for, else what the host serves, else the built-in."""
    served = _served(options, seen)
    service = served[1] if served else ServiceChoice()
    address = options.listen or seen.status.service.address or DEFAULT_ADDRESS
    refuse_open_door(settings, address)
    refuse_audit_path(settings, seen.line.layout)
    auth_required = not is_loopback(address) or settings.get("auth.required") is True
    if options.new_key and not auth_required:
        raise RefusedError(
            f"inferd on {seen.line.host.name} asks for no key",
            f"it listens on {address}, where only the host itself reaches it",
            "Leave --new-key out, or choose another address with --listen",
        )
    service = ServiceChoice(
        slots=options.slots or service.slots,
        context_tokens=options.context_tokens or service.context_tokens,
        drain_timeout_s=float(settings.said("limits.drain_timeout_s", options.drain_timeout_s)),
        auth_required=auth_required,
    )
    model, path = await choose_model(
        options, settings, seen, service, served[0] if served else None, tell
    )
    layers = await _layers(seen, settings, tell)
    release = Release(
        layout=seen.line.layout,
        layers=tuple(layer.sha256 for layer in layers),
        model=model,
        service=service,
        launch=await asyncio.to_thread(_LAUNCH.read_text, "utf-8"),
        settings=settings,
    )
    return Wanted(release, address, layers, path)


def _served(options: DeployOptions, seen: Inspection) -> tuple[ModelChoice, ServiceChoice] | None:
    """What the host was told last; a release that is damaged counts only where it is needed."""
    try:
        return served_choices(seen.status)
    except CommandError:
        if options.model is None:
            raise
        return None


async def _layers(seen: Inspection, settings: ServiceSettings, tell: Tell) -> tuple[Layer, ...]:
    facts, host = seen.facts, seen.line.host.name
    assert facts.python_version is not None, "the inspection refuses a host without Python"
    major, minor, _ = facts.python_version
    platform = Platform(facts.architecture, f"{major}.{minor}", facts.glibc)

    def building(line: str) -> None:
        tell(Progress(host, "build", line, 0, 0))

    names = GATEWAY_LAYERS if settings.engine == "remote" else SERVICE_LAYERS
    return tuple([await build_layer(name, platform, building) for name in names])


def _job(
    wanted: Wanted,
    seen: Inspection,
    given: Given,
    client_key: ClientKey,
    warned: tuple[str, ...],
) -> Job:
    """Check the host against what the release needs, and plan.

    Raises:
        PreflightError: The host does not fulfil it.
    """
    host, release, state = seen.line.host, wanted.release, seen.status.service
    options = given.options
    needs = _needs(wanted, seen)
    refuse_failures(host.name, check_deploy(seen.facts, needs))
    available_bytes = seen.facts.usable_memory_bytes
    swap = choose_swap(release.model.memory_bytes, available_bytes, state, options.swap)
    before = settings_of(seen.status, state.release_id)
    steps = deploy_steps(
        release,
        wanted.layers,
        wanted.address,
        swap,
        state,
        client_key,
        new_key=options.new_key,
        keep=Keeping(frozenset(given.secrets), seen.facts.has_systemd_creds, before),
        watch_s=options.watch_s,
    )
    notes = (swap.note,) if swap.note else ()
    return Job(
        line=seen.line,
        plan=make_plan(f"Deploy {release.id} to {host.name}", release.layout, steps),
        effect=f"Deploy {release.id} to {host.name}?",
        files=_files(wanted),
        secrets=given.secrets,
        notes=(*notes, *warned),
        plan_only=options.plan_only,
        yes=options.yes,
        next_verbs=_next_verbs(wanted, state, needs),
    )


def _next_verbs(wanted: Wanted, state: ServiceState, needs: DeployNeeds) -> tuple[str, ...]:
    """What will follow the check, as far as it can be told before."""
    if state.release_id == wanted.release.id and state.wanted == "running":
        return ()
    return ("receive", "start") if needs.upload_bytes else ("start",)


def _needs(wanted: Wanted, seen: Inspection) -> DeployNeeds:
    """Count what the host does not hold yet; a file that is half there counts whole."""
    held = held_digests(seen.status)
    layers = [layer for layer in wanted.layers if layer.sha256 not in held]
    model = wanted.release.model
    model_bytes = 0 if not model.sha256 or model.sha256 in held else model.size_bytes
    state = seen.status.service
    in_place = state.wanted == "running" and state.address == wanted.address
    return DeployNeeds(
        layout=wanted.release.layout,
        memory_bytes=model.memory_bytes,
        upload_bytes=sum(layer.size_bytes for layer in layers) + model_bytes,
        unpacked_bytes=sum(layer.unpacked_bytes for layer in layers),
        port=0 if in_place else parse_address(wanted.address)[1],
    )


def _files(wanted: Wanted) -> tuple[tuple[Upload, Path], ...]:
    files = [(Upload(layer.sha256, layer.size_bytes), layer.archive) for layer in wanted.layers]
    if wanted.model_path is not None:
        model = wanted.release.model
        files.append((Upload(model.sha256, model.size_bytes), wanted.model_path))
    return tuple(files)
