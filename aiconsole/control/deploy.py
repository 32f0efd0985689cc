"""Deploy: bring one host to the release that the operator chose."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from aiconsole.bundle.layer import Platform, build_layer
from aiconsole.bundle.layer_set import SERVICE_LAYERS
from aiconsole.control.carry_out import Job, carry_out
from aiconsole.control.events import Event, PhaseStarted, PlanReady, Result
from aiconsole.control.inspection import inspect_host
from aiconsole.control.options import DeployOptions
from aiconsole.control.plan import deploy_steps, make_plan
from aiconsole.fleet.host import Host
from aiconsole.keys.client_key import new_client_key
from aiconsole.preflight.deploy import check_for_deploy
from aiconsole.question import Ask
from aiconsole.session.pool import Pool


async def deploy_host(
    pool: Pool, host: Host, options: DeployOptions, ask: Ask
) -> AsyncGenerator[Event, None]:
    """Yield the deploy's events; the last one is its Result.

    Raises:
        AiconsoleError: It ended before a run began; nothing was changed on the host.
    """
    yield PhaseStarted(host.name, "connect", f"Connect to {host.destination}")
    await pool.session(host)
    yield PhaseStarted(host.name, "inspect", "Read what the host is and holds")
    seen = await inspect_host(pool, host)
    yield PhaseStarted(host.name, "build", "Prepare layers and model")
    model_file = await _model_file(options, seen)
    platform = Platform.of(seen.facts)
    layers = [await build_layer(name, platform) for name in SERVICE_LAYERS]
    wanted = _want(options, seen, model_file, layers)
    verdicts = check_for_deploy(seen.facts, wanted.needs)
    verdicts.refuse_failures(host.name)
    client_key = new_client_key(f"first key of {host.name}")
    plan = make_plan(
        f"Deploy {wanted.release.id} to {host.name}",
        seen.line.layout,
        deploy_steps(
            wanted.release, _pieces(layers), wanted.address, wanted.swap,
            seen.status.service, client_key,
        ),
    )  # fmt: skip
    job = Job(
        line=seen.line,
        plan=plan,
        effect=f"Deploy {wanted.release.id} to {host.name}?",
        files=_files(layers, model_file),
        notes=(*wanted.notes, *verdicts.warnings),
        plan_only=options.plan_only,
        yes=options.yes,
    )
    shows_key = False
    async with aclosing(carry_out(job, ask)) as events:
        async for event in events:
            if isinstance(event, PlanReady):
                shows_key = any(
                    check.step_id == "client-keys" and check.change == "create"
                    for check in event.report.steps
                )
            if isinstance(event, Result):
                event = replace(event, release_id=wanted.release.id, url=wanted.url)
                if shows_key and event.outcome == "done":
                    event = replace(event, client_key=client_key.key)
            yield event
