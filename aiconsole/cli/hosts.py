"""hosts: bring machines into the fleet, look at them, trust their keys, take them out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

import typer

from aiconsole.cli.ask import ask_terminal
from aiconsole.cli.facts_view import facts_document, facts_fields, facts_summary
from aiconsole.cli.output import print_fields, print_json, print_table
from aiconsole.errors import RefusedError, SettingsError
from aiconsole.fleet.facts import read_facts
from aiconsole.fleet.host import LOCALHOST, Host, check_name, parse_login
from aiconsole.fleet.inventory import Inventory
from aiconsole.fleet.trust import connect_trusting, trust_anew
from aiconsole.session.host_keys import HostKeys
from aiconsole.session.pool import Pool

app = typer.Typer(rich_markup_mode=None, add_completion=False, help="The machines of the fleet.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing that a yes would answer.")]
Name = Annotated[str, typer.Argument(help="Name in the fleet, or an alias of ssh_config.")]
Accepted = Annotated[
    list[str] | None,
    typer.Option(
        "--accept-fingerprint",
        metavar="SHA256:...",
        help="Trust a host key with this fingerprint without asking; once for each hop.",
    ),
]


@app.command()
def add(
    name: Name,
    login: Annotated[
        str, typer.Argument(metavar="[USER@]ADDRESS[:PORT]", help="Default: as ssh_config says.")
    ] = "",
    identity: Annotated[
        list[str] | None, typer.Option("--identity", "-i", help="Private key to offer.")
    ] = None,
    jump: Annotated[
        str, typer.Option("--jump", "-J", help="Jump host: of the fleet, or [user@]address[:port].")
    ] = "",
    group: Annotated[list[str] | None, typer.Option(help="Group, chosen as @GROUP.")] = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Tag.")] = None,
    protected: Annotated[
        bool, typer.Option("--protected", help="Destructive acts want the name typed.")
    ] = False,
    runtime: Annotated[str, typer.Option(help="auto, systemd or keeper.")] = "auto",
    accept: Accepted = None,
    as_json: Json = False,
) -> None:
    """Bring a host into the fleet: compare its key, log in to prove it, store it."""
    if runtime not in ("auto", "systemd", "keeper"):
        raise typer.BadParameter("expected auto, systemd or keeper", param_hint="--runtime")
    user, address, port = parse_login(login) if login else ("", "", 0)
    host = Host(
        name=check_name(name),
        address="" if address == name else address,
        user=user,
        port=port,
        identity_files=tuple(identity or ()),
        proxy_jump=jump,
        groups=tuple(group or ()),
        tags=_tags(tag or ()),
        protected=protected,
        runtime=runtime,  # type: ignore[arg-type] # checked above
    )
    asyncio.run(_add(host, tuple(accept or ()), as_json))


@app.command("list")
def list_hosts(as_json: Json = False) -> None:
    """List the fleet as the inventory has it; nothing is contacted."""
    inventory = Inventory.load()
    if as_json:
        print_json([_document(host) for host in inventory.hosts])
        return
    head = ("HOST", "DESTINATION", "JUMP", "GROUPS", "TAGS", "RUNTIME")
    print_table(head, (_row(host) for host in inventory.hosts))


@app.command()
def show(name: Name, accept: Accepted = None, as_json: Json = False) -> None:
    """Log in to a host and show what it is."""
    asyncio.run(_show(name, tuple(accept or ()), as_json))


@app.command()
def trust(name: Name, accept: Accepted = None, as_json: Json = False) -> None:
    """Trust the key that a host shows now, in place of any other."""
    asyncio.run(_trust(name, tuple(accept or ()), as_json))


@app.command()
def remove(name: Name, yes: Yes = False, as_json: Json = False) -> None:
    """Take a host out of the fleet, and forget its key; nothing changes on the host."""
    if name == LOCALHOST:
        raise RefusedError("localhost is always part of the fleet")
    inventory = Inventory.load()
    endpoint = inventory.get(name).endpoint
    inventory.remove(name)
    # Another host of the fleet may stand behind the same address, and needs the key.
    shared = any(host.endpoint.key_name == endpoint.key_name for host in inventory.hosts)
    forgotten = 0 if shared else HostKeys().remove(endpoint.key_name)
    if as_json:
        print_json({"removed": name, "keys_forgotten": forgotten})
    else:
        print(f"{name} is out of the fleet")


async def _add(host: Host, accepted: tuple[str, ...], as_json: bool) -> None:
    inventory = Inventory.load()
    if host.is_local:
        raise RefusedError("localhost is always part of the fleet")
    if inventory.has(host.name):
        raise RefusedError(
            f"{host.name} is in the fleet already",
            f"as {inventory.get(host.name).destination}",
            f"Edit {inventory.file}, or run `aiconsole hosts remove {host.name}` first.",
        )
    host = inventory.prepare(host)
    pool = Pool(ask_terminal)
    try:
        session = await connect_trusting(pool, host, ask_terminal, accepted)
        facts = await read_facts(session)
    finally:
        await pool.close()
    inventory.add(replace(host, jumps=()))
    if as_json:
        print_json({**_document(host), "facts": facts_document(facts)})
    else:
        print(f"{host.name} is in the fleet: {facts_summary(facts)}")


async def _show(name: str, accepted: tuple[str, ...], as_json: bool) -> None:
    host = Inventory.load().get(name)
    pool = Pool(ask_terminal)
    try:
        session = await connect_trusting(pool, host, ask_terminal, accepted)
        facts = await read_facts(session)
    finally:
        await pool.close()
    if as_json:
        print_json({**_document(host), "facts": facts_document(facts)})
        return
    print_fields([("host", f"{host.name} ({host.destination})"), *facts_fields(facts)])


async def _trust(name: str, accepted: tuple[str, ...], as_json: bool) -> None:
    host = Inventory.load().get(name)
    pool = Pool(ask_terminal)
    try:
        key = await trust_anew(pool, host, ask_terminal, accepted)
    finally:
        await pool.close()
    if as_json:
        print_json({"host": name, "trusted": key})
    elif key:
        print(f"{name} is trusted with {key}")
    else:
        print(f"the key of {name} was trusted already")


def _tags(pairs: Sequence[str]) -> dict[str, str]:
    tags = dict(pair.partition("=")[::2] for pair in pairs)
    if not all(tags) or any("=" not in pair for pair in pairs):
        raise SettingsError("This is not a tag", f"{' '.join(pairs)}: expected name=value")
    return tags


def _row(host: Host) -> tuple[str, ...]:
    name = f"{host.name} (protected)" if host.protected else host.name
    tags = " ".join(f"{tag}={value}" for tag, value in host.tags.items())
    return (name, host.destination, host.proxy_jump, " ".join(host.groups), tags, host.runtime)


def _document(host: Host) -> dict[str, Any]:
    return {
        "name": host.name,
        "address": host.address or host.name,
        "user": host.user,
        "port": host.port,
        "identity_files": list(host.identity_files),
        "proxy_jump": host.proxy_jump,
        "groups": list(host.groups),
        "tags": dict(host.tags),
        "protected": host.protected,
        "runtime": host.runtime,
    }
