"""What a host is and holds now, read before any plan is made."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aiconsole.bundle.tool import PYTHON, build_tool
from aiconsole.control.line import HostLine
from aiconsole.errors import PreflightError
from aiconsole.fleet.facts import Facts, read_facts
from aiconsole.fleet.host import Host
from aiconsole.onhost.wire import HostLayout, HostStatus
from aiconsole.preflight.deploy import check_tool
from aiconsole.preflight.verdict import refuse_failures
from aiconsole.session.pool import Pool
from aiconsole.session.protocol import Session


@dataclass(frozen=True, slots=True)
class Inspection:
    """A host's facts, the line to its tool, and the service on it."""

    facts: Facts
    line: HostLine
    status: HostStatus


async def open_line(pool: Pool, host: Host) -> tuple[Facts, HostLine]:
    """Connect, read the facts and choose the layout; nothing changes on the host.

    Raises:
        HostError: The host cannot be used.
        PreflightError: It has no Python that the tool runs on.
    """
    session = await pool.session(host)
    facts = await read_facts(session)
    refuse_failures(host.name, check_tool(facts))
    layout = choose_layout(host, facts)
    sudo = layout.runtime == "systemd" and facts.uid != 0
    return facts, HostLine(host, pool, build_tool(), layout, sudo, facts.python_path or PYTHON)


async def inspect_host(pool: Pool, host: Host, *verbs: str) -> Inspection:
    """Read everything that a plan depends on.

    Args:
        pool: Leads to the host.
        host: Where to look.
        verbs: What comes next, opened meanwhile: the caller ends with `line.cool`.
    """
    guess = _usual_line(pool, host, await pool.session(host))
    early = asyncio.create_task(_status(guess, verbs)) if guess else None
    try:
        facts, line = await open_line(pool, host)
    except BaseException:
        await _forget(guess, early)
        raise
    if guess is not None and early is not None and guess == line:
        return Inspection(facts, guess, await early)
    await _forget(guess, early)
    return Inspection(facts, line, await _status(line, verbs))


def _usual_line(pool: Pool, host: Host, session: Session) -> HostLine | None:
    """The line of most hosts, so that the status is asked for beside the facts; None: no guess."""
    if host.runtime == "keeper" or host.endpoint.kind == "local" or not session.is_root:
        return None
    return HostLine(host, pool, build_tool(), HostLayout.system(), sudo=False, python=PYTHON)


async def _status(line: HostLine, verbs: tuple[str, ...]) -> HostStatus:
    """Ask for the status, and leave nothing open where that fails."""
    line.warm(*verbs)
    try:
        return line.shaped(HostStatus, await line.ask("status", line.layout_json))
    except BaseException:
        await line.cool()
        raise


async def _forget(line: HostLine | None, asking: asyncio.Task[HostStatus] | None) -> None:
    """Drop a guess that was wrong, with whatever error it met."""
    if line is None or asking is None:
        return
    asking.cancel()
    await asyncio.wait([asking])
    if not asking.cancelled():
        asking.exception()
    await line.cool()


def choose_layout(host: Host, facts: Facts) -> HostLayout:
    """Take systemd where it runs and root is within reach, else the user's own tree."""
    root_in_reach = facts.uid == 0 or facts.has_sudo
    if host.runtime == "keeper":
        return HostLayout.of_user(facts.home)
    if host.runtime == "systemd" or (facts.has_systemd and root_in_reach):
        if not facts.has_systemd:
            raise PreflightError(
                f"{host.name} does not run systemd",
                "hosts.toml asks for the runtime systemd",
                "set runtime to auto or keeper",
            )
        return HostLayout.system()
    return HostLayout.of_user(facts.home)
