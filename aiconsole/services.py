"""The composition root: builds what the CLI and the TUI use, and closes it again."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from aiconsole.control.operations import Operations
from aiconsole.fleet.host import Host
from aiconsole.fleet.inventory import Inventory
from aiconsole.question import Ask
from aiconsole.session.pool import Pool
from aiconsole.telemetry.collector import Collector


class Services:
    """The console without a screen."""

    def __init__(self, inventory: Inventory, pool: Pool) -> None:
        self.inventory = inventory
        self.pool = pool
        self.operations = Operations(pool)

    def collector(self, hosts: Sequence[Host]) -> Collector:
        """A collector over the pool; start it with `async with`."""
        return Collector(self.pool, hosts)

    async def close(self) -> None:
        """Close every connection; what runs on hosts goes on."""
        await self.pool.close()


@asynccontextmanager
async def open_services(ask: Ask) -> AsyncGenerator[Services, None]:
    """Build the services; `ask` answers for passwords and host keys.

    Raises:
        SettingsError: hosts.toml is wrong.
    """
    services = Services(Inventory.load(), Pool(ask))
    try:
        yield services
    finally:
        await services.close()
