"""What a host is and holds now, read before any plan is made."""

from __future__ import annotations

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


async def inspect_host(pool: Pool, host: Host) -> Inspection:
    """Read everything that a plan depends on."""
    facts, line = await open_line(pool, host)
    status = line.shaped(HostStatus, await line.ask("status", line.layout_json))
    return Inspection(facts, line, status)


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
