"""The way to a remote host: one SSH connection, its channels, and forwards over it."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import signal
from pathlib import Path

import asyncssh

from aiconsole.errors import LoginError
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


class SshPipes:
    """The pipes of a program behind an SSH channel."""

    def __init__(self, session: SshSession, process: asyncssh.SSHClientProcess[bytes]) -> None:
        self._session = session
        self._process = process
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
        """Return the next bytes of stderr."""
        return await self._read(self._process.stderr)

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
        """Ask the host to kill the program's process group, and close the channel."""
        self._killed = True
        with contextlib.suppress(OSError):
            self._process.send_signal("KILL")
        self._process.channel.abort()

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
        try:
            self.check()
            with link_faults(self._host_name):
                process = await self._connection.create_process(
                    f"exec {shlex.join(argv)}", encoding=None
                )
        except BaseException:
            self._places.release()
            raise
        return SshPipes(self, process)

    def retire(self, process: asyncssh.SSHClientProcess[bytes]) -> None:
        """Free a channel's place when the host has closed the channel."""
        task = asyncio.create_task(self._free_place(process))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

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
        self._connection.close()
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._connection.wait_closed()
        except TimeoutError:
            self._connection.abort()
        await asyncio.gather(*self._retiring, return_exceptions=True)

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
