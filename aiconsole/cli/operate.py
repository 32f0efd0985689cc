"""deploy, restart, rollback, stop, start: the operations on the service of hosts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from aiconsole.cli.ask import ask_operator, ask_terminal
from aiconsole.cli.follow import follow_events
from aiconsole.control.events import Event
from aiconsole.control.options import DeployOptions, RestartOptions
from aiconsole.control.own_tables import LONGEST_WATCH_S
from aiconsole.control.swap_mode import SwapWish
from aiconsole.fleet.host import Host
from aiconsole.fleet.select import select_hosts
from aiconsole.models.find import find_model
from aiconsole.services import Services, open_services

Hosts = Annotated[list[str], typer.Argument(help="Names, globs, @group or tag=value.")]
OneHost = Annotated[str, typer.Argument(help="A host of the fleet, or an alias of ssh_config.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")]
PlanOnly = Annotated[bool, typer.Option("--plan", help="Show the plan, change nothing.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
Drain = Annotated[float, typer.Option(help="Seconds that requests at work get to finish.", min=0)]
Model = Annotated[
    Path | None,
    typer.Option(
        metavar="NAME|PATH",
        help="A model of the catalogue, or a GGUF file; default: what the host serves, "
        "or the built-in.",
    ),
]
ModelName = Annotated[str, typer.Option(help="The name that clients ask for.")]
Listen = Annotated[str, typer.Option(help="address:port; beyond loopback clients need a key.")]
Slots = Annotated[int, typer.Option(help="Requests that run at once; 0: by the CPUs.", min=0)]
Context = Annotated[
    int, typer.Option(help="Tokens of context; 0: the model's own.", min=0, max=10_000_000)
]
Batch = Annotated[int, typer.Option(help="Hosts at work at the same time.", min=1)]
Swap = Annotated[
    SwapWish,
    typer.Option(help="overlap: both slots at once; held: one after the other; auto: by memory."),
]
Settings = Annotated[
    Path | None,
    typer.Option(help="TOML file with settings of the service; none: forget those of before."),
]
Credential = Annotated[
    list[str] | None,
    typer.Option(
        help="NAME=FILE, a secret that the settings name; NAME=- asks for it. Repeatable.",
    ),
]
WatchFor = Annotated[
    float | None,
    typer.Option(
        "--watch",
        help="Seconds to look at the new release, and back if it fails; 0: not. Default: 10.",
        min=0,
        max=LONGEST_WATCH_S,
    ),
]
NewKey = Annotated[
    bool, typer.Option("--new-key", help="A new client key in place of all that were given out.")
]

Stream: TypeAlias = Callable[[Services, Sequence[Host]], AsyncGenerator[Event, None]]


def deploy(
    hosts: Hosts,
    model: Model = None,
    model_name: ModelName = "",
    listen: Listen = "",
    new_key: NewKey = False,
    slots: Slots = 0,
    context: Context = 0,
    settings: Settings = None,
    credential: Credential = None,
    drain: Drain = 60.0,
    swap: Swap = "auto",
    watch: WatchFor = None,
    batch: Batch = 1,
    plan: PlanOnly = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Bring hosts to an inference service that answers."""
    model, model_name = find_model(model, model_name)
    options = DeployOptions(
        model=model, model_name=model_name, listen=listen, new_key=new_key, slots=slots,
        context_tokens=context, settings=settings, credentials=tuple(credential or ()),
        watch_s=watch, drain_timeout_s=drain, swap=swap, plan_only=plan, yes=yes, batch=batch,
    )  # fmt: skip
    _operate(hosts, as_json, lambda s, chosen: s.operations.deploy(chosen, options, ask_operator))


def restart(
    hosts: Hosts,
    drain: Drain = 60.0,
    swap: Swap = "auto",
    plan: PlanOnly = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Restart the service without losing a request."""
    options = RestartOptions(drain_timeout_s=drain, swap=swap, plan_only=plan, yes=yes)
    _operate(hosts, as_json, lambda s, chosen: s.operations.restart(chosen, options, ask_operator))


def rollback(
    host: OneHost,
    release: Annotated[str, typer.Argument(help="Default: the release before this one.")] = "",
    drain: Drain = 60.0,
    swap: Swap = "auto",
    plan: PlanOnly = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Serve with an earlier release again."""
    options = RestartOptions(release, drain_timeout_s=drain, swap=swap, plan_only=plan, yes=yes)
    _operate(
        [host], as_json, lambda s, chosen: s.operations.rollback(chosen, options, ask_operator)
    )


def stop(
    hosts: Hosts,
    drain: Drain = 60.0,
    plan: PlanOnly = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Finish the requests at work, then stop the service."""
    options = RestartOptions(drain_timeout_s=drain, plan_only=plan, yes=yes)
    _operate(hosts, as_json, lambda s, chosen: s.operations.stop(chosen, options, ask_operator))


def start(hosts: Hosts, plan: PlanOnly = False, yes: Yes = False, as_json: Json = False) -> None:
    """Start the service that was stopped."""
    options = RestartOptions(plan_only=plan, yes=yes)
    _operate(hosts, as_json, lambda s, chosen: s.operations.start(chosen, options, ask_operator))


def _operate(selectors: list[str], as_json: bool, stream: Stream) -> None:
    raise typer.Exit(asyncio.run(_follow(selectors, as_json, stream)))


async def _follow(selectors: list[str], as_json: bool, stream: Stream) -> int:
    async with open_services(ask_terminal) as services:
        hosts = select_hosts(services.inventory, selectors)
        return await follow_events(stream(services, hosts), len(hosts), as_json=as_json)
