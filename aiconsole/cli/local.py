"""up and down: the service on this machine, from nothing to an answer and back."""

from __future__ import annotations

import asyncio
import sys
from importlib import import_module
from typing import Annotated

import typer

from aiconsole.cli.ask import ask_terminal
from aiconsole.cli.curl import curl_line
from aiconsole.cli.follow import follow_events
from aiconsole.cli.operate import Listen, Model, ModelName
from aiconsole.control.completion import QUESTION, ask_service
from aiconsole.control.options import DeployOptions, RestartOptions, service_url
from aiconsole.control.release import model_of, settings_of
from aiconsole.fleet.host import LOCALHOST
from aiconsole.models.find import find_model
from aiconsole.services import Services, open_services
from aiconsole.visible import visible

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line; opens no screen.")]
NoScreen = Annotated[bool, typer.Option("--no-screen", help="Do not open the console.")]


def up(
    model: Model = None,
    model_name: ModelName = "",
    listen: Listen = "",
    no_screen: NoScreen = False,
    as_json: Json = False,
) -> None:
    """Serve on this machine, wait for a real answer, and open the console on it."""
    model, model_name = find_model(model, model_name)
    options = DeployOptions(model=model, model_name=model_name, listen=listen, yes=True)
    code = asyncio.run(_up(options, as_json))
    if code or as_json or no_screen or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise typer.Exit(code)
    # Late, so that no other command pays for the screen's libraries.
    raise typer.Exit(import_module("aiconsole.cli.screen").open_screen(host=LOCALHOST))


def down(as_json: Json = False) -> None:
    """Finish the requests at work on this machine, then stop."""
    raise typer.Exit(asyncio.run(_down(as_json)))


async def _up(options: DeployOptions, as_json: bool) -> int:
    async with open_services(ask_terminal) as services:
        host = services.inventory.get(LOCALHOST)
        events = services.operations.deploy([host], options, ask_terminal)
        code = await follow_events(events, 1, as_json=as_json, brief=True)
        if code == 0 and not as_json:
            print(await _how_to_ask(services))
        return code


async def _how_to_ask(services: Services) -> str:
    status = await services.operations.status(services.inventory.get(LOCALHOST))
    tls = settings_of(status, status.service.release_id).tls
    url = service_url(status.service.address, tls=tls)
    model = model_of(status, status.service.release_id).name
    answer = await ask_service(url, model)
    return (
        f"\n{visible(model)} answers on {url}\n\n  {QUESTION}\n  {answer}\n\n"
        f"Ask it yourself:\n\n{curl_line(url, model)}\n"
    )


async def _down(as_json: bool) -> int:
    async with open_services(ask_terminal) as services:
        host = services.inventory.get(LOCALHOST)
        status = await services.operations.status(host)
        if status.service.wanted != "running":
            print("nothing runs on this machine" if not as_json else '{"outcome": "unchanged"}')
            return 0
        stream = services.operations.stop([host], RestartOptions(yes=True), ask_terminal)
        return await follow_events(stream, 1, as_json=as_json, brief=True)
