"""Everything that can be done to the service of a host: the one door for cli and tui."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from aiconsole.control import service
from aiconsole.control.batch import in_batches
from aiconsole.control.bring import Brought
from aiconsole.control.carry_out import watch
from aiconsole.control.deploy import deploy_host
from aiconsole.control.events import Event
from aiconsole.control.inspection import inspect_host, open_line
from aiconsole.control.options import DeployOptions, RestartOptions
from aiconsole.fleet.host import Host
from aiconsole.onhost.wire import HostStatus, RunSummary
from aiconsole.question import Ask, in_turn
from aiconsole.session.pool import Pool


class Operations:
    """Operations over the pool's hosts.

    The streams end with one Result a host and never raise for a host's fault. A caller that stops
    consuming stops following; what runs on a host goes on.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def deploy(
        self, hosts: Sequence[Host], options: DeployOptions, ask: Ask
    ) -> AsyncGenerator[Event, None]:
        """Bring hosts to the chosen release, `options.batch` at a time."""
        ask, brought = in_turn(ask), Brought(options.credentials)
        return in_batches(
            hosts, options.batch, lambda host: deploy_host(self._pool, host, options, brought, ask)
        )

    def restart(
        self, hosts: Sequence[Host], options: RestartOptions, ask: Ask
    ) -> AsyncGenerator[Event, None]:
        """Serve with the same release in the other slot, one host after another."""
        return self._act(service.restart, hosts, options, ask)

    def rollback(
        self, hosts: Sequence[Host], options: RestartOptions, ask: Ask
    ) -> AsyncGenerator[Event, None]:
        """Serve with `options.release_id`, or the previous release."""
        return self._act(service.rollback, hosts, options, ask)

    def stop(
        self, hosts: Sequence[Host], options: RestartOptions, ask: Ask
    ) -> AsyncGenerator[Event, None]:
        """Drain and stop."""
        return self._act(service.stop, hosts, options, ask)

    def start(
        self, hosts: Sequence[Host], options: RestartOptions, ask: Ask
    ) -> AsyncGenerator[Event, None]:
        """Serve again after a stop."""
        return self._act(service.start, hosts, options, ask)

    async def status(self, host: Host) -> HostStatus:
        """The service on a host as it is now."""
        return (await inspect_host(self._pool, host)).status

    async def runs(self, host: Host) -> tuple[RunSummary, ...]:
        """The runs that a host remembers, newest first."""
        _, line = await open_line(self._pool, host)
        lines = await line.call("runs", line.layout_json)
        return tuple(line.shaped(RunSummary, message) for message in lines)

    def attach(self, host: Host, run_id: str) -> AsyncGenerator[Event, None]:
        """Follow a run that somebody started; an empty `run_id` takes the newest."""
        return in_batches([host], 1, lambda host: self._attach(host, run_id))

    async def cancel(self, host: Host, run_id: str) -> None:
        """Stop a run; the host takes back what it had done.

        Raises:
            NotFoundError: It does not run.
        """
        _, line = await open_line(self._pool, host)
        await line.ask("cancel", run_id, line.layout_json)

    def _act(
        self, verb: service.Verb, hosts: Sequence[Host], options: RestartOptions, ask: Ask
    ) -> AsyncGenerator[Event, None]:
        return in_batches(
            hosts, 1, lambda host: service.act_on_service(self._pool, host, verb, options, ask)
        )

    async def _attach(self, host: Host, run_id: str) -> AsyncGenerator[Event, None]:
        _, line = await open_line(self._pool, host)
        async for event in watch(line, run_id):
            yield event
