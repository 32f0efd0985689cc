"""runs: what was done to a host, followed while it goes on, cancelled."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from aiconsole.cli.ask import ask_terminal, asking
from aiconsole.cli.follow import follow_events
from aiconsole.cli.output import print_json, print_table
from aiconsole.errors import NotConfirmedError, NotFoundError
from aiconsole.fleet.host import Host
from aiconsole.onhost.wire import RunSummary, to_json
from aiconsole.question import Question
from aiconsole.services import Services, open_services
from aiconsole.units import moment_text, seconds_text
from aiconsole.visible import visible

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="What was done to a host: list, attach, cancel.",
)

OneHost = Annotated[str, typer.Argument(help="A host of the fleet.")]
RunId = Annotated[str, typer.Argument(help="The run; default: the newest.")]
Json = Annotated[bool, typer.Option("--json", help="JSON, one object a line.")]


@app.command("list")
def list_runs(host: OneHost, as_json: Json = False) -> None:
    """List the runs that the host remembers, newest first."""
    asyncio.run(_list(host, as_json))


@app.command()
def attach(host: OneHost, run_id: RunId = "", as_json: Json = False) -> None:
    """Follow a run from its first step, whoever started it."""
    raise typer.Exit(asyncio.run(_attach(host, run_id, as_json)))


@app.command()
def cancel(
    host: OneHost,
    run_id: RunId = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Stop a run; the host takes back what it had done."""
    asyncio.run(_cancel(host, run_id, yes, as_json))


async def _list(name: str, as_json: bool) -> None:
    async with open_services(ask_terminal) as services:
        runs = await services.operations.runs(services.inventory.get(name))
    if as_json:
        for run in runs:
            print_json(to_json(run))
        return
    if not runs:
        print(f"{name} remembers no run")
        return
    print_table(("RUN", "STARTED", "TOOK", "OUTCOME", "BY", "TITLE"), map(_row, runs))


def _row(run: RunSummary) -> tuple[str, ...]:
    started = moment_text(run.started_unix_s)
    took_s = run.finished_unix_s - run.started_unix_s if run.finished_unix_s else None
    return (run.run_id, started, seconds_text(took_s), run.outcome, run.operator, run.title)


async def _attach(name: str, run_id: str, as_json: bool) -> int:
    async with open_services(ask_terminal) as services:
        host = services.inventory.get(name)
        run_id = run_id or (await _newest(services, host)).run_id
        return await follow_events(services.operations.attach(host, run_id), 1, as_json=as_json)


async def _cancel(name: str, run_id: str, yes: bool, as_json: bool) -> None:
    async with open_services(ask_terminal) as services:
        host = services.inventory.get(name)
        run_id = run_id or (await _newest(services, host)).run_id
        question = Question("confirm", f"Cancel run {run_id} on {name}?", danger=True)
        if await asking(yes)(question) is not True:
            raise NotConfirmedError("The run was not cancelled")
        await services.operations.cancel(host, run_id)
    if as_json:
        print_json({"cancelled": run_id})
    else:
        print(f"asked {name} to cancel {visible(run_id)}")
        print(f"  → watch it: aiconsole runs attach {name} {visible(run_id)}")


async def _newest(services: Services, host: Host) -> RunSummary:
    runs = await services.operations.runs(host)
    if not runs:
        raise NotFoundError(f"{host.name} remembers no run", "", f"aiconsole deploy {host.name}")
    return runs[0]
