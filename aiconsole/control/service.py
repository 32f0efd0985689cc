"""Restart, roll back, stop and start the service of one host."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import TypeAlias

from aiconsole.control.carry_out import Job, carry_out
from aiconsole.control.credentials import Keeping, outside_steps
from aiconsole.control.events import Event, PhaseStarted, Result
from aiconsole.control.inspection import Inspection, inspect_host
from aiconsole.control.options import DEFAULT_ADDRESS, RestartOptions, service_url
from aiconsole.control.plan import (
    SERVICE_USER,
    make_plan,
    slot_unit_step,
    stop_steps,
    swap_steps,
)
from aiconsole.control.release import model_of, service_of, settings_of
from aiconsole.control.service_settings import ServiceSettings
from aiconsole.control.swap_mode import SwapChoice, choose_swap
from aiconsole.errors import NotFoundError, RefusedError
from aiconsole.fleet.host import Host
from aiconsole.onhost.wire import Step
from aiconsole.question import Ask
from aiconsole.session.pool import Pool

Verb: TypeAlias = Callable[[Inspection, RestartOptions], "Act"]


class Act:
    """One act on a service: its steps and what to ask before them."""

    def __init__(
        self,
        title: str,
        question: str,
        steps: list[Step],
        swap: SwapChoice | None = None,
        *,
        tls: bool = False,
    ) -> None:
        self.title = title
        self.question = question
        self.steps = steps
        self.tls = tls
        self.notes = (swap.note,) if swap and swap.note else ()


async def act_on_service(
    pool: Pool, host: Host, verb: Verb, options: RestartOptions, ask: Ask
) -> AsyncGenerator[Event, None]:
    """Yield the act's events; the last one is its Result.

    Raises:
        AiconsoleError: It ended before a run began; nothing was changed on the host.
    """
    yield PhaseStarted(host.name, "connect", f"Connect to {host.endpoint}")
    await pool.session(host)
    yield PhaseStarted(host.name, "inspect", "Read what the host is and holds")
    seen = await inspect_host(pool, host, "check")
    async with seen.line.cooling(), aclosing(_carry_out(seen, verb, options, ask)) as events:
        async for event in events:
            yield event


async def _carry_out(
    seen: Inspection, verb: Verb, options: RestartOptions, ask: Ask
) -> AsyncGenerator[Event, None]:
    host, act = seen.line.host, verb(seen, options)
    job = Job(
        line=seen.line,
        plan=make_plan(act.title, seen.line.layout, act.steps),
        effect=act.question,
        notes=act.notes,
        plan_only=options.plan_only,
        yes=options.yes,
        next_verbs=("start",),
    )
    async with aclosing(carry_out(job, ask)) as events:
        async for event in events:
            if isinstance(event, Result) and verb is not stop:
                url = service_url(_address(seen), host.endpoint.address, tls=act.tls)
                event = replace(event, url=url)
            yield event


def restart(seen: Inspection, options: RestartOptions) -> Act:
    """Serve with the same release in the other slot."""
    host, state = seen.line.host.name, seen.status.service
    _refuse_undeployed(seen)
    if state.wanted != "running":
        raise RefusedError(
            f"inferd on {host} is stopped", "a restart needs it running", f"aiconsole start {host}"
        )
    return _swap(
        seen, options, state.release_id, "Restart", f"Restart inferd on {host}?", force=True
    )


def rollback(seen: Inspection, options: RestartOptions) -> Act:
    """Serve with an earlier release that is still on the host."""
    host, state = seen.line.host.name, seen.status.service
    _refuse_undeployed(seen)
    wanted = options.release_id or state.previous_release_id
    known = [str(document.get("id", "")) for document in seen.status.releases]
    if not wanted or wanted not in known:
        raise NotFoundError(
            f"{host} has no release {wanted}" if wanted else f"{host} has no earlier release",
            f"it holds {', '.join(known)}",
            f"aiconsole releases {host}",
        )
    question = f"Roll {host} back from {state.release_id} to {wanted}?"
    return _swap(seen, options, wanted, "Roll back to", question, force=False)


def start(seen: Inspection, options: RestartOptions) -> Act:
    """Serve again with the release that was stopped."""
    host = seen.line.host.name
    _refuse_undeployed(seen)
    release_id = seen.status.service.release_id
    return _swap(seen, options, release_id, "Start", f"Start inferd on {host}?", force=False)


def stop(seen: Inspection, options: RestartOptions) -> Act:
    """Drain every slot and close the socket."""
    host = seen.line.host.name
    _refuse_undeployed(seen)
    steps = stop_steps(seen.line.layout, options.drain_timeout_s)
    return Act(
        f"Stop inferd on {host}",
        f"Stop inferd on {host}? Requests at work are finished, new ones are refused.",
        steps,
    )


def _swap(
    seen: Inspection,
    options: RestartOptions,
    release_id: str,
    verb: str,
    question: str,
    *,
    force: bool,
) -> Act:
    model = model_of(seen.status, release_id)
    available_bytes = seen.facts.usable_memory_bytes
    swap = choose_swap(model.memory_bytes, available_bytes, seen.status.service, options.swap)
    settings = settings_of(seen.status, release_id)
    steps = swap_steps(
        seen.line.layout,
        release_id,
        _address(seen),
        swap,
        options.drain_timeout_s,
        force=force,
        smoke=settings.own.prompts,
    )
    steps = [*_needed(seen, release_id, settings), *steps]
    title = f"{verb} {release_id} on {seen.line.host.name}"
    return Act(title, question, steps, swap, tls=settings.tls)


def _needed(seen: Inspection, release_id: str, settings: ServiceSettings) -> list[Step]:
    """What another release than the one of now needs of the host: its secrets, and the unit's."""
    state, layout = seen.status.service, seen.line.layout
    before = settings_of(seen.status, state.release_id)
    if release_id == state.release_id or settings == before:
        return []
    keep = Keeping(encrypted=seen.facts.has_systemd_creds, before=before)
    steps = outside_steps(layout, settings, SERVICE_USER, keep)
    if layout.runtime == "systemd":
        drain_timeout_s = service_of(seen.status, release_id).drain_timeout_s
        steps.append(slot_unit_step(layout, drain_timeout_s, settings, keep))
    return steps


def _address(seen: Inspection) -> str:
    return seen.status.service.address or DEFAULT_ADDRESS


def _refuse_undeployed(seen: Inspection) -> None:
    if not seen.status.service.release_id:
        host = seen.line.host.name
        raise NotFoundError(
            f"Nothing is deployed on {host}", "it has no release", f"aiconsole deploy {host}"
        )
