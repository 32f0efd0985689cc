"""status and releases: the service of hosts as it is now."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from aiconsole.cli.ask import ask_terminal
from aiconsole.cli.output import print_json, print_table
from aiconsole.control.inspection import Inspection, inspect_host
from aiconsole.control.release import settings_of
from aiconsole.errors import AiconsoleError
from aiconsole.fleet.host import Host
from aiconsole.fleet.select import select_hosts
from aiconsole.onhost.wire import HostStatus, to_json
from aiconsole.services import Services, open_services
from aiconsole.units import UNKNOWN, memory_text, moment_text, span_text
from aiconsole.visible import visible

Json = Annotated[bool, typer.Option("--json", help="JSON, one object a line.")]


def status(
    hosts: Annotated[list[str] | None, typer.Argument(help="Default: the whole fleet.")] = None,
    as_json: Json = False,
) -> None:
    """Show the service of hosts.

    Exits 1 where one is not ready, 2 where one is out of reach.
    """
    raise typer.Exit(asyncio.run(_status(hosts or ["*"], as_json)))


def releases(
    host: Annotated[str, typer.Argument(help="A host of the fleet.")], as_json: Json = False
) -> None:
    """List the releases on a host: what it serves, and what it can go back to."""
    asyncio.run(_releases(host, as_json))


def service_state(host_status: HostStatus) -> str:
    """One word for the service: the state of its slot, `stopped`, `down` or `not deployed`.

    `stopped`: on purpose. `down`: it should run, and its slot does not.
    """
    service = host_status.service
    if not service.release_id:
        return "not deployed"
    if service.wanted != "running":
        return "stopped"
    states = {slot.slot: slot.state for slot in host_status.slots}
    state = states.get(service.slot, "stopped")
    return "down" if state == "stopped" else state


async def _status(selectors: list[str], as_json: bool) -> int:
    async with open_services(ask_terminal) as services:
        hosts = select_hosts(services.inventory, selectors)
        answers = await asyncio.gather(*(_inspect(services, host) for host in hosts))
    pairs = list(zip(hosts, answers, strict=True))
    if as_json:
        for host, answer in pairs:
            print_json(_document(host, answer))
    else:
        head = ("HOST", "INFERD", "RELEASE", "SLOT", "ADDRESS", "MEMORY FREE", "UP")
        print_table(head, (_row(host, answer) for host, answer in pairs))
        for host, answer in pairs:
            if isinstance(answer, Inspection):
                for remark in remarks(answer.status):
                    print(f"{visible(host.name)}: {visible(remark)}")
    return max((_exit_code(answer) for answer in answers), default=0)


def remarks(host_status: HostStatus) -> list[str]:
    """What the daemon that serves says beyond its state; it comes from the host, as it is."""
    service = host_status.service
    told = host_status.daemons.get(service.slot)
    if not isinstance(told, dict):
        return []
    engine = settings_of(host_status, service.release_id).engine
    found = [f"engine {engine}"] if engine != "llama" else []
    if restarts := told.get("engine_restarts"):
        why = told.get("engine_fault") or "nobody knows why"
        found.append(f"its engine was started again, times: {restarts}; last: {why}")
    if reason := told.get("reason"):
        found.append(f"{reason}")
    reload = told.get("reload")
    if isinstance(reload, dict) and reload.get("fault"):
        found.append(f"its settings were not read again: {reload['fault']}")
    if isinstance(reload, dict) and (keys := reload.get("needs_swap")):
        names = ", ".join(map(str, keys)) if isinstance(keys, list) else str(keys)
        found.append(f"needs a restart to take: {names}")
    cache = told.get("cache")
    if isinstance(cache, dict) and (cache.get("down") or cache.get("fault")):
        found.append(f"its cache is down: {cache.get('fault') or cache.get('down')}")
    return found


async def _inspect(services: Services, host: Host) -> Inspection | AiconsoleError:
    try:
        return await inspect_host(services.pool, host)
    except AiconsoleError as error:
        return error


def _row(host: Host, answer: Inspection | AiconsoleError) -> tuple[str, ...]:
    if isinstance(answer, AiconsoleError):
        return (host.name, answer.title)
    service, facts = answer.status.service, answer.facts
    return (
        host.name,
        service_state(answer.status),
        service.release_id or UNKNOWN,
        service.slot or UNKNOWN,
        service.address or UNKNOWN,
        f"{memory_text(facts.memory_available_bytes)} of {memory_text(facts.memory_total_bytes)}",
        span_text(facts.uptime_s),
    )


def _document(host: Host, answer: Inspection | AiconsoleError) -> dict[str, Any]:
    if isinstance(answer, AiconsoleError):
        return {"host": host.name, **answer.as_json()}
    return {
        "host": host.name,
        "state": service_state(answer.status),
        "status": to_json(answer.status),
        "facts": to_json(answer.facts),
    }


def _exit_code(answer: Inspection | AiconsoleError) -> int:
    if isinstance(answer, AiconsoleError):
        return 2
    return 0 if service_state(answer.status) in ("ready", "stopped", "not deployed") else 1


async def _releases(name: str, as_json: bool) -> None:
    async with open_services(ask_terminal) as services:
        host_status = await services.operations.status(services.inventory.get(name))
    service = host_status.service
    marks = {service.release_id: "serves", service.previous_release_id: "previous"}
    if as_json:
        for document in host_status.releases:
            print_json({**document, "mark": marks.get(str(document.get("id")), "")})
        return
    if not host_status.releases:
        print(f"{name} has no release yet")
        return
    rows = (_release_row(document, marks) for document in host_status.releases)
    print_table(("RELEASE", "", "MODEL", "CREATED"), rows)


def _release_row(document: dict[str, Any], marks: dict[str, str]) -> tuple[str, ...]:
    """One release; its document comes from the host and may hold anything."""
    release_id, model = str(document.get("id", "")), document.get("model")
    name = str(model.get("name", "")) if isinstance(model, dict) else ""
    created = moment_text(document.get("created_unix_s"), "%Y-%m-%d %H:%M")
    return (release_id, marks.get(release_id, ""), name, created)
