"""One connection for each host, opened when it is needed and opened again when it is lost."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Protocol

from aiconsole.errors import HostError
from aiconsole.question import Ask, ask_nobody
from aiconsole.session.backoff import Backoff
from aiconsole.session.endpoint import Endpoint
from aiconsole.session.host_keys import HostKeys
from aiconsole.session.local import LocalSession
from aiconsole.session.login_secrets import LoginSecrets
from aiconsole.session.protocol import Session

if TYPE_CHECKING:
    from aiconsole.session.ssh import SshSession

HANDSHAKES = 8
"""Logins at once over the whole fleet; sshd starts to drop them at 10 (MaxStartups)."""


class Reachable(Protocol):
    """Whatever leads to an endpoint: a host of the fleet."""

    @property
    def endpoint(self) -> Endpoint:
        """Where to log in."""


class _Place:
    """What the pool knows of one endpoint."""

    def __init__(self) -> None:
        self.session: SshSession | None = None
        self.backoff = Backoff()
        self.lock = asyncio.Lock()
        self.retry_now = asyncio.Event()


class Pool:
    """Hands out the session of a host; equal endpoints share one."""

    def __init__(self, ask: Ask = ask_nobody, host_keys: HostKeys | None = None) -> None:
        self._host_keys = host_keys or HostKeys()
        self._secrets = LoginSecrets(ask)
        self._places: dict[Endpoint, _Place] = {}
        self._local: dict[Endpoint, LocalSession] = {}
        self._handshakes = asyncio.Semaphore(HANDSHAKES)
        self._closed = False

    @property
    def host_keys(self) -> HostKeys:
        """The trusted host keys; `accept` takes a key that a HostKeyError has shown."""
        return self._host_keys

    async def session(self, host: Reachable, *, now: bool = False) -> Session:
        """Return the open session of a host, and connect where there is none.

        After a failed attempt the next one waits its time first: callers that try again in a
        loop are paced by that.

        Args:
            host: Where to go; its jump hosts are connected and shared in the same way.
            now: The operator wants it: try at once, whatever failed before.

        Raises:
            HostKeyError: A host's key on the way is unknown or has changed.
            LoginError: A host on the way accepted no key and no password.
            UnreachableError: A host on the way could not be reached.
            SettingsError: ssh_config or a known_hosts file is damaged.
        """
        endpoint = host.endpoint
        if endpoint.kind == "local":
            return self._local_session(endpoint)
        return await self._ssh_session(endpoint, now=now)

    def retry_now(self, host: Reachable) -> None:
        """End the wait before the next attempt, if somebody waits."""
        self._place(host.endpoint).retry_now.set()

    def retry_in_s(self, host: Reachable) -> float:
        """Seconds until a host is tried again; 0 where nothing holds it back."""
        return max(0.0, self._place(host.endpoint).backoff.not_before - time.monotonic())

    async def drop(self, host: Reachable) -> None:
        """Close the connection of one host, so that the next session proves a new login."""
        await self._drop(host.endpoint)

    async def _drop(self, endpoint: Endpoint) -> None:
        place = self._place(endpoint)
        session, place.session = place.session, None
        if session is not None:
            await session.close()

    async def close(self) -> None:
        """Close every connection: those that go over a jump host before the jump host's."""
        self._closed = True
        for endpoint in sorted(self._places, key=_depth, reverse=True):
            await self._drop(endpoint)
        for session in self._local.values():
            await session.close()
        self._places.clear()
        self._local.clear()

    def _place(self, endpoint: Endpoint) -> _Place:
        return self._places.setdefault(endpoint, _Place())

    def _local_session(self, endpoint: Endpoint) -> LocalSession:
        if endpoint not in self._local:
            self._local[endpoint] = LocalSession(
                endpoint.host_name, self._secrets.sudo_password(endpoint)
            )
        return self._local[endpoint]

    async def _ssh_session(self, endpoint: Endpoint, *, now: bool) -> SshSession:
        place = self._place(endpoint)
        if now:
            place.retry_now.set()
        async with place.lock:
            if place.session is None or not place.session.is_open:
                await self._wait_for_turn(place)
                place.session = await self._connect(endpoint, place.backoff, now=now)
            return place.session

    async def _wait_for_turn(self, place: _Place) -> None:
        """Wait as long as the backoff says, or until the operator does not want to."""
        wait_s = place.backoff.not_before - time.monotonic()
        if wait_s > 0 and not place.retry_now.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(place.retry_now.wait(), wait_s)
        place.retry_now.clear()

    async def _connect(self, endpoint: Endpoint, backoff: Backoff, *, now: bool) -> SshSession:
        # Late, so that work on this machine alone never loads asyncssh.
        from aiconsole.session.ssh import connect

        # The jump host first: it must not wait for a turn that this handshake holds.
        jump = await self._ssh_session(endpoint.via, now=now) if endpoint.via else None
        async with self._handshakes:
            try:
                session = await connect(endpoint, self._host_keys, self._secrets, jump)
            except HostError as error:
                backoff.failed(error, time.monotonic())
                raise
        backoff.succeeded()
        if self._closed:
            await session.close()
            raise HostError(f"The connection to {endpoint.host_name} is not wanted any more")
        return session


def _depth(endpoint: Endpoint) -> int:
    """Count the jump hosts on the way."""
    return 0 if endpoint.via is None else 1 + _depth(endpoint.via)
