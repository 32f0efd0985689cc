"""The way to this machine: subprocesses, never SSH."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import signal
from asyncio.subprocess import PIPE, SubprocessStreamProtocol

from aiconsole.errors import CommandError
from aiconsole.session.become import SudoGate, SudoPassword
from aiconsole.session.piped import PipedSession
from aiconsole.session.protocol import Forward
from aiconsole.session.relay import Reading, Relay, Writing

_CHUNK_BYTES = 64 * 1024
_REAP_S = 2.0


class LocalPipes:
    """The pipes of a program on this machine, in a process group of its own."""

    def __init__(
        self, transport: asyncio.SubprocessTransport, protocol: SubprocessStreamProtocol
    ) -> None:
        self._transport = transport
        self._process = asyncio.subprocess.Process(transport, protocol, asyncio.get_running_loop())

    @classmethod
    async def start(cls, argv: tuple[str, ...]) -> LocalPipes:
        """Start a program as a login shell on a host would: 127 where it is not found."""
        loop = asyncio.get_running_loop()
        try:
            transport, protocol = await loop.subprocess_exec(
                lambda: SubprocessStreamProtocol(_CHUNK_BYTES, loop),
                *("/bin/sh", "-c", 'exec "$@"', "sh", *argv),
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise CommandError(
                f"{argv[0]} could not be started on this machine", error.strerror or str(error)
            ) from error
        return cls(transport, protocol)

    async def send(self, data: bytes) -> None:
        """Write to stdin, and wait while the program does not read."""
        stdin = self._process.stdin
        assert stdin is not None
        if stdin.is_closing():
            raise BrokenPipeError
        try:
            stdin.write(data)
            await stdin.drain()
        except ConnectionResetError as error:
            raise BrokenPipeError from error

    async def send_eof(self) -> None:
        """Close stdin, after what is queued has gone out."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    async def receive(self) -> bytes:
        """Return the next bytes of stdout."""
        assert self._process.stdout is not None
        return await self._process.stdout.read(_CHUNK_BYTES)

    async def receive_error(self) -> bytes:
        """Return the next bytes of stderr."""
        assert self._process.stderr is not None
        return await self._process.stderr.read(_CHUNK_BYTES)

    async def exit_status(self) -> int:
        """Wait for the end."""
        status = await self._process.wait()
        return status if status >= 0 else 128 - status

    def kill(self) -> None:
        """Kill the program and its children."""
        if self._process.returncode is None:
            # A program of root's cannot be killed; it ends when its pipes are closed.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def close(self) -> None:
        """Kill what still runs and close the pipes."""
        self.kill()
        # Reaped here, unless it is root's and lives on: that one only loses its pipes.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), _REAP_S)
        self._transport.close()


class LocalSession(PipedSession):
    """The open way to this machine."""

    def __init__(
        self, host_name: str = "localhost", sudo_password: SudoPassword | None = None
    ) -> None:
        user = getpass.getuser()
        super().__init__(
            host_name, user, SudoGate(host_name, user, sudo_password or SudoPassword())
        )
        self._relays: list[Relay] = []
        self._closed = asyncio.Event()

    @property
    def is_root(self) -> bool:
        """True where this process has the effective uid 0."""
        return os.geteuid() == 0

    async def start(self, argv: tuple[str, ...]) -> LocalPipes:
        """Start a program with open pipes."""
        return await LocalPipes.start(argv)

    async def forward(self, remote_host: str, remote_port: int, local_port: int = 0) -> Forward:
        """Relay a port on 127.0.0.1 to an address that this machine reaches."""

        async def dial() -> tuple[Reading, Writing]:
            return await asyncio.open_connection(remote_host, remote_port)

        relay = await Relay.listen(dial, local_port)
        self._relays.append(relay)
        return relay

    async def wait_closed(self) -> None:
        """Wait until `close` was called: this machine is never lost."""
        await self._closed.wait()

    async def close(self) -> None:
        """Close the forwards."""
        for relay in self._relays:
            await relay.close()
        self._relays.clear()
        self._closed.set()
