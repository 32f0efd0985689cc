"""forward: bring a host's service to a port of this machine, over SSH."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer

from aiconsole.cli.ask import ask_terminal
from aiconsole.cli.curl import curl_line
from aiconsole.cli.output import print_json
from aiconsole.control.options import loopback_address
from aiconsole.control.release import model_of, settings_of
from aiconsole.errors import HostError, NotFoundError
from aiconsole.fleet.host import Host
from aiconsole.services import Services, open_services
from aiconsole.session.protocol import Forward, Session
from aiconsole.visible import visible

_RETRY_S = 2.0
"""Between two attempts to come back."""


def forward(
    host: Annotated[str, typer.Argument(help="A host of the fleet.")],
    port: Annotated[int, typer.Option(help="Port here; 0: any free one.", min=0, max=65535)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the URL as JSON.")] = False,
) -> None:
    """Bring a host's service to a local port, until Ctrl-C."""
    asyncio.run(_forward(host, port, as_json))


async def _forward(name: str, port: int, as_json: bool) -> None:
    async with open_services(ask_terminal) as services:
        host = services.inventory.get(name)
        status = await services.operations.status(host)
        if not status.service.address:
            raise NotFoundError(f"Nothing serves on {name}", "", f"aiconsole deploy {name}")
        address = loopback_address(status.service.address)
        session = await services.pool.session(host)
        opened = await session.forward(*address, port)
        tls = settings_of(status, status.service.release_id).tls
        url = f"{'https' if tls else 'http'}://127.0.0.1:{opened.local_port}"
        model = model_of(status, status.service.release_id).name
        if as_json:
            print_json({"url": url, "host": name, "model": model})
        else:
            print(f"{url} leads to {name} until Ctrl-C\n\n{curl_line(url, model)}", flush=True)
        await _look_after(services, host, address, session, opened)


async def _look_after(
    services: Services, host: Host, address: tuple[str, int], session: Session, opened: Forward
) -> None:
    """Open the port again over a new connection each time the line was lost."""
    port = opened.local_port
    while True:
        await session.wait_closed()
        await opened.close()
        session, opened = await _open_again(services, host, address, port)
        print(f"the line to {host.name} is back", file=sys.stderr, flush=True)


async def _open_again(
    services: Services, host: Host, address: tuple[str, int], port: int
) -> tuple[Session, Forward]:
    while True:
        try:
            session = await services.pool.session(host)
            return session, await session.forward(*address, port)
        except HostError as error:
            print(f"{visible(str(error))}; trying again", file=sys.stderr, flush=True)
            await asyncio.sleep(_RETRY_S)
