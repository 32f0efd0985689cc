"""The only place with worker loops: what the services stream becomes messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from textual.message import Message

from aiconsole import paths
from aiconsole.control.options import DeployOptions
from aiconsole.errors import AiconsoleError, SettingsError, UnknownHostError
from aiconsole.onhost.wire import RunSummary
from aiconsole.question import Ask
from aiconsole.telemetry.sample import FleetSnapshot
from aiconsole.tui.commands.console import Choices, Verb

if TYPE_CHECKING:
    from textual.app import App

    from aiconsole.control.events import Event
    from aiconsole.fleet.host import Host
    from aiconsole.services import Services
    from aiconsole.telemetry.collector import Collector

OpenServices: TypeAlias = "Callable[[Ask], AbstractAsyncContextManager[Services]]"


class FleetKnown(Message):
    """The inventory was read."""

    def __init__(self, hosts: tuple[Host, ...]) -> None:
        super().__init__()
        self.hosts = hosts


class FleetUnread(Message):
    """hosts.toml is wrong; what was known before stays."""

    def __init__(self, error: SettingsError) -> None:
        super().__init__()
        self.error = error


class FleetTick(Message):
    """The newest readings of all hosts, once in a refresh interval."""

    def __init__(self, snapshot: FleetSnapshot) -> None:
        super().__init__()
        self.snapshot = snapshot


class OperationTold(Message):
    """An operation told something."""

    def __init__(self, number: int, event: Event) -> None:
        super().__init__()
        self.number = number
        self.event = event


class OperationEnded(Message):
    """An operation has no more to tell; `error` says why where it ended by surprise."""

    def __init__(self, number: int, error: AiconsoleError | None = None) -> None:
        super().__init__()
        self.number = number
        self.error = error


class Told(Message):
    """Something small is done."""

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self.title = title
        self.text = text


class RunsListed(Message):
    """The newest runs of a host; `error` where they could not be read."""

    def __init__(
        self, host: str, runs: tuple[RunSummary, ...], error: AiconsoleError | None = None
    ) -> None:
        super().__init__()
        self.host = host
        self.runs = runs
        self.error = error


class ReleasesListed(Message):
    """The releases on a host, newest first."""

    def __init__(self, host: str, releases: tuple[str, ...]) -> None:
        super().__init__()
        self.host = host
        self.releases = releases


class Bridge:
    """Iterates what the services stream and posts messages to the app; touches no widget."""

    def __init__(
        self, app: App[None], open_services: OpenServices, ask: Ask, interval_s: float
    ) -> None:
        self._app = app
        self._open_services = open_services
        self._ask = ask
        self._interval_s = interval_s
        self._services: Services | None = None
        self._hosts: dict[str, Host] = {}
        self._operations: set[asyncio.Task[None]] = set()

    @property
    def services(self) -> Services:
        """The open services.

        Raises:
            AiconsoleError: They are still being opened.
        """
        if self._services is None:
            raise AiconsoleError("Not ready yet", "the fleet is still being read", "try again")
        return self._services

    async def live(self) -> None:
        """Open the services and pass readings on until cancelled."""
        while True:
            seen = await asyncio.to_thread(_version_of, paths.hosts_file())
            try:
                async with self._open_services(self._ask) as services:
                    await self._watch(services)
            except SettingsError as error:
                # Before the first good state there is nothing to fall back on but to wait.
                self._app.post_message(FleetUnread(error))
            # A file tells nobody that it has changed.
            while await asyncio.to_thread(_version_of, paths.hosts_file()) == seen:  # noqa: ASYNC110
                await asyncio.sleep(self._interval_s)

    async def _watch(self, services: Services) -> None:
        self._services = services
        seen = await asyncio.to_thread(_version_of, services.inventory.file)
        hosts = self._know(services)
        async with services.collector(hosts) as collector:
            async for snapshot in collector.changes(self._interval_s):
                self._app.post_message(FleetTick(snapshot))
                version = await asyncio.to_thread(_version_of, services.inventory.file)
                if version != seen:
                    seen = version
                    await self._read_again(services, collector)

    async def _read_again(self, services: Services, collector: Collector) -> None:
        """Take over a changed hosts.toml; a wrong one changes nothing and is told."""
        try:
            await asyncio.to_thread(services.inventory.reload)
        except SettingsError as error:
            self._app.post_message(FleetUnread(error))
        else:
            await collector.watch(self._know(services))

    def _know(self, services: Services) -> tuple[Host, ...]:
        hosts = tuple(services.inventory.hosts)
        self._hosts = {host.name: host for host in hosts}
        self._app.post_message(FleetKnown(hosts))
        return hosts

    async def operate(
        self, number: int, verb: Verb, names: tuple[str, ...], choices: Choices
    ) -> None:
        """Carry an operation out and pass on what it tells."""
        await self._pass_on(number, self._stream(verb, names, choices))

    async def attach(self, number: int, name: str, run_id: str) -> None:
        """Follow a run that is at work already."""
        stream = self.services.operations.attach(self._host(name), run_id)
        await self._pass_on(number, stream)

    async def cancel(self, name: str, run_id: str) -> None:
        """Ask a run to stop and undo; what follows is told by whoever follows it."""
        await self.services.operations.cancel(self._host(name), run_id)

    async def trust(self, name: str) -> None:
        """Ask whether the key that a host shows is its own, and try the host again."""
        # Loaded here: it brings SSH, which the first frame does not wait for.
        from aiconsole.fleet.trust import trust_anew

        host, pool = self._host(name), self.services.pool
        fingerprint = await trust_anew(pool, host, self._ask)
        pool.retry_now(host)
        text = f"trusted with {fingerprint}" if fingerprint else "its key was trusted already"
        self._app.post_message(Told(name, text))

    async def list_runs(self, name: str) -> None:
        """Read the newest runs of a host."""
        try:
            runs = await self.services.operations.runs(self._host(name))
        except AiconsoleError as error:
            self._app.post_message(RunsListed(name, (), error))
        else:
            self._app.post_message(RunsListed(name, runs))

    async def list_releases(self, name: str) -> None:
        """Read which releases lie on a host."""
        status = await self.services.operations.status(self._host(name))
        ids = tuple(str(release.get("id", "")) for release in status.releases)
        self._app.post_message(ReleasesListed(name, tuple(filter(None, ids))))

    def select(self, selectors: tuple[str, ...]) -> tuple[str, ...]:
        """The hosts of the fleet that names, globs, `@group` and `tag=value` choose."""
        # Loaded with the services by now: it brings TOML, which the first frame does not wait for.
        from aiconsole.fleet.select import select_hosts

        return tuple(host.name for host in select_hosts(self.services.inventory, selectors))

    def _host(self, name: str) -> Host:
        host = self._hosts.get(name)
        if host is None:
            raise UnknownHostError(f"There is no host {name}", "it is not in the fleet any more")
        return host

    def _stream(self, verb: Verb, names: tuple[str, ...], choices: Choices) -> AsyncIterator[Event]:
        operations = self.services.operations
        hosts = [self._host(name) for name in names]
        if isinstance(choices, DeployOptions):
            return operations.deploy(hosts, choices, self._ask)
        begin = {
            "restart": operations.restart, "rollback": operations.rollback,
            "stop": operations.stop, "start": operations.start,
        }[verb]  # fmt: skip
        return begin(hosts, choices, self._ask)

    async def _pass_on(self, number: int, stream: AsyncIterator[Event]) -> None:
        try:
            async for event in stream:
                self._app.post_message(OperationTold(number, event))
        except AiconsoleError as error:
            self._app.post_message(OperationEnded(number, error))
        else:
            self._app.post_message(OperationEnded(number))


def _version_of(file: Path) -> tuple[int, ...]:
    """Changes whenever the file does; empty where there is none."""
    try:
        found = file.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino
