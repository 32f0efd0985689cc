"""The way to a remote host: one SSH connection, its channels, and forwards over it."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shlex
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import asyncssh

from aiconsole.errors import LinkLostError, LoginError
from aiconsole.session.become import SudoGate, SudoPassword
from aiconsole.session.endpoint import Endpoint
from aiconsole.session.faults import (
    connect_error,
    damaged_key_error,
    host_key_error,
    link_faults,
    link_lost,
    locked_key_error,
    login_error,
)
from aiconsole.session.host_keys import HostKeys
from aiconsole.session.login import CONNECT_TIMEOUT_S, Client, offered_keys, options_for
from aiconsole.session.login_secrets import LoginSecrets
from aiconsole.session.piped import PipedSession
from aiconsole.session.protocol import Forward
from aiconsole.session.relay import Reading, Relay, Writing

CHANNELS = 8
"""Programs at once on one connection; sshd's usual limit is 10 (MaxSessions)."""
_CHUNK_BYTES = 64 * 1024
_CLOSE_TIMEOUT_S = 2.0
_FULL_WAITS_S = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
"""Waits between attempts to open a channel where the host has no place for one."""


class SshPipes:
    """The pipes of a program behind an SSH channel."""

    def __init__(
        self, session: SshSession, process: asyncssh.SSHClientProcess[bytes], mark: bytes
    ) -> None:
        self._session = session
        self._process = process
        self._mark = mark
        self._group: int | None = None
        self._heard = b""
        self._killed = False

    async def send(self, data: bytes) -> None:
        """Write to stdin, and wait while the host takes no more."""
        try:
            self._process.stdin.write(data)
            await self._process.stdin.drain()
        except (asyncssh.Error, OSError) as error:
            # With the link alive, it is the program that takes no more.
            self._session.check()
            raise BrokenPipeError from error

    async def send_eof(self) -> None:
        """Close stdin."""
        # A channel that is closed already needs no end of file.
        with contextlib.suppress(OSError):
            self._process.stdin.write_eof()

    async def receive(self) -> bytes:
        """Return the next bytes of stdout."""
        return await self._read(self._process.stdout)

    async def receive_error(self) -> bytes:
        """Return the next bytes of stderr, without the line that tells the process group."""
        data = await self._read(self._process.stderr)
        if self._group is not None:
            return data
        self._heard += data
        before, mark, rest = self._heard.partition(self._mark)
        number, end, rest = rest.partition(b"\n")
        if mark and end:
            self._group = int(number)
            data = before + rest or await self._read(self._process.stderr)
        elif data and len(self._heard) < _CHUNK_BYTES:
            data = await self.receive_error()
        else:
            data, self._heard = self._heard, b""
        return data

    async def exit_status(self) -> int:
        """Wait for the end; no exit status means that nobody knows how it ended."""
        with link_faults(self._session.host_name):
            await self._process.wait_closed()
        if self._process.exit_signal is not None:
            return 128 + _signal_number(self._process.exit_signal[0])
        if self._process.exit_status is not None:
            return self._process.exit_status
        if self._killed:
            return 128 + signal.SIGKILL
        self._session.check()
        raise link_lost(self._session.host_name, None)

    def kill(self) -> None:
        """Kill the program's process group on the host, and close the channel."""
        self._killed = True
        self._process.channel.abort()
        if self._group is not None and self._process.exit_status is None:
            self._session.kill_group(self._group)
            self._group = None

    async def close(self) -> None:
        """Close the channel; its place is free again when the host has closed it too."""
        if self._process.exit_status is None:
            self.kill()
        else:
            self._process.channel.abort()
        self._session.retire(self._process)

    async def _read(self, reader: asyncssh.SSHReader[bytes]) -> bytes:
        with link_faults(self._session.host_name):
            data = await reader.read(_CHUNK_BYTES)
        if not data and not self._killed and self._process.exit_status is None:
            self._session.check()
        return data


class SshSession(PipedSession):
    """The open SSH connection to one host."""

    def __init__(
        self,
        endpoint: Endpoint,
        connection: asyncssh.SSHClientConnection,
        client: Client,
        sudo_password: SudoPassword,
    ) -> None:
        gate = SudoGate(endpoint.host_name, endpoint.user, sudo_password)
        super().__init__(endpoint.host_name, endpoint.user, gate)
        self._connection = connection
        self._client = client
        self._places = asyncio.Semaphore(CHANNELS)
        self._retiring: set[asyncio.Task[None]] = set()
        self._relays: list[Relay] = []

    @property
    def is_root(self) -> bool:
        """True for the user root; another user with uid 0 goes through sudo, which lets it pass."""
        return self._user == "root"

    @property
    def connection(self) -> asyncssh.SSHClientConnection:
        """The connection itself, to jump over it to another host."""
        return self._connection

    @property
    def is_open(self) -> bool:
        """True while the link is not known to be dead."""
        return not self._connection.is_closed()

    def check(self) -> None:
        """Raise LinkLostError where the link is dead."""
        if self._connection.is_closed():
            raise link_lost(self._host_name, self._client.lost)

    async def start(self, argv: tuple[str, ...]) -> SshPipes:
        """Start a program with open pipes; waits while eight others have theirs open."""
        await self._places.acquire()
        mark = f"group-{secrets.token_hex(8)}-"
        script = f'printf "{mark}%s\\n" $$ >&2; exec "$@"'
        try:
            self.check()
            with link_faults(self._host_name):
                process = await self._create(shlex.join(("sh", "-c", script, "sh", *argv)))
        except BaseException:
            self._places.release()
            raise
        return SshPipes(self, process, mark.encode())

    def kill_group(self, group: int) -> None:
        """Kill a process group over a channel of its own.

        sshd takes no signal for a login as root (seen with 9.2), so that it has to be a command.
        """
        self._keep_going(self._kill_group(group))

    def retire(self, process: asyncssh.SSHClientProcess[bytes]) -> None:
        """Free a channel's place when the host has closed the channel."""
        self._keep_going(self._free_place(process))

    async def forward(self, remote_host: str, remote_port: int, local_port: int = 0) -> Forward:
        """Bring an address of the host's side to a port on 127.0.0.1 here."""

        async def dial() -> tuple[Reading, Writing]:
            with link_faults(self._host_name):
                return await self._connection.open_connection(
                    remote_host, remote_port, encoding=None
                )

        self.check()
        relay = await Relay.listen(dial, local_port)
        self._relays.append(relay)
        return relay

    async def wait_closed(self) -> None:
        """Wait until the connection has ended, whoever ended it."""
        await self._connection.wait_closed()

    async def close(self) -> None:
        """Close the forwards and the connection."""
        for relay in self._relays:
            await relay.close()
        self._relays.clear()
        if self._retiring:
            await asyncio.wait(self._retiring, timeout=_CLOSE_TIMEOUT_S)
        self._connection.close()
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._connection.wait_closed()
        except TimeoutError:
            self._connection.abort()
        await asyncio.gather(*self._retiring, return_exceptions=True)

    def _keep_going(self, work: Coroutine[Any, Any, None]) -> None:
        """Let work go on beside the caller; `close` waits for it."""
        task = asyncio.create_task(work)
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def _create(self, line: str) -> asyncssh.SSHClientProcess[bytes]:
        """Open a channel; sshd counts a program for a moment after it has closed its channel."""
        for wait_s in _FULL_WAITS_S:
            try:
                return await self._connection.create_process(f"exec {line}", encoding=None)
            except asyncssh.ChannelOpenError:
                self.check()
                await asyncio.sleep(wait_s)
        return await self._connection.create_process(f"exec {line}", encoding=None)

    async def _kill_group(self, group: int) -> None:
        # A program of root's, started by sudo, cannot be killed so; nor can one behind a dead link.
        with contextlib.suppress(asyncssh.Error, OSError, LinkLostError):
            killer = await self._create(f"sh -c 'kill -s KILL -- -{group}'")
            await killer.wait()

    async def _free_place(self, process: asyncssh.SSHClientProcess[bytes]) -> None:
        try:
            await process.wait_closed()
        finally:
            self._places.release()


async def connect(
    endpoint: Endpoint,
    host_keys: HostKeys,
    login_secrets: LoginSecrets,
    jump: SshSession | None = None,
) -> SshSession:
    """Open a connection and log in.

    Raises:
        HostKeyError: The host's key is unknown or has changed; `HostKeys.accept` takes it.
        LoginError: No key and no password was accepted.
        UnreachableError: There was no connection.
        SettingsError: A known_hosts file is damaged.
    """
    _require_files(endpoint)
    trusted = host_keys.lookup(endpoint)
    clock = asyncio.timeout(CONNECT_TIMEOUT_S)
    client = Client(endpoint, host_keys, login_secrets, clock)
    options = options_for(endpoint, client, trusted)
    tunnel = jump.connection if jump else None
    try:
        async with clock:
            connection = await asyncssh.connect(tunnel=tunnel, **options)
    except asyncssh.HostKeyNotVerifiable as error:
        raise host_key_error(endpoint, client.shown_key, trusted) from error
    except asyncssh.PermissionDenied as error:
        login_secrets.forget_password(endpoint)
        # The host had accepted such a key before asyncssh wanted its passphrase.
        for file, passphrase in client.passphrases.items():
            raise locked_key_error(endpoint, file, passphrase is not None) from error
        offered = await offered_keys(endpoint)
        raise login_error(endpoint, offered, client.password is not None) from error
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        raise damaged_key_error(endpoint, str(error)) from error
    except (asyncssh.Error, OSError, ValueError) as error:
        raise connect_error(endpoint, error) from error
    client.keep_secrets()

    return SshSession(endpoint, connection, client, login_secrets.sudo_password(endpoint))


def _require_files(endpoint: Endpoint) -> None:
    for file in endpoint.identity_files:
        if not Path(file).expanduser().is_file():
            raise LoginError(
                f"The identity file of {endpoint.host_name} is missing",
                f"{file} does not exist or is not a file",
                "Correct identity_files in the inventory, or create the key with ssh-keygen.",
            )


def _signal_number(name: str) -> int:
    try:
        return signal.Signals[f"SIG{name}"].value
    except KeyError:
        return signal.SIGTERM.value
