"""A real SSH server in this process: asyncssh on the loopback, each command in a real shell."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh


@dataclass
class Server:
    """What a test may look at and change."""

    port: int = 0
    host_key: asyncssh.SSHKey = field(
        default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519")
    )
    client_key_file: Path = Path()
    password: str | None = None
    logins: list[str] = field(default_factory=list)
    password_attempts: int = 0
    connections: list[asyncssh.SSHServerConnection] = field(default_factory=list)
    handshakes_now: int = 0
    handshakes_most: int = 0
    channels_now: int = 0
    channels_most: int = 0
    forwards: list[tuple[str, int]] = field(default_factory=list)
    hold_logins: asyncio.Event | None = None
    """Where it is set, a login waits for it."""
    acceptor: Any = None
    programs: set[asyncio.Task[None]] = field(default_factory=set)

    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, reached: Callable[[], bool]) -> None:
        """Wait until something that a test counts has come so far."""
        while not reached():
            self.changed.clear()
            await self.changed.wait()

    def cut(self) -> None:
        """Drop every connection as a dying network does: no message, no goodbye."""
        for connection in self.connections:
            connection.abort()

    async def close(self) -> None:
        self.acceptor.close()
        self.cut()
        await asyncio.gather(
            *(connection.wait_closed() for connection in self.connections), return_exceptions=True
        )
        await self.acceptor.wait_closed()
        await asyncio.gather(*self.programs, return_exceptions=True)


class _Door(asyncssh.SSHServer):
    def __init__(self, server: Server, keys: bytes) -> None:
        self._server = server
        self._keys = keys
        self._counted = False

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._server.connections.append(conn)
        self._server.handshakes_now += 1
        self._counted = True
        self._server.changed.set()
        self._server.handshakes_most = max(
            self._server.handshakes_most, self._server.handshakes_now
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()

    def _leave(self) -> None:
        if self._counted:
            self._counted = False
            self._server.handshakes_now -= 1

    async def begin_auth(self, username: str) -> bool:
        if self._server.hold_logins is not None:
            await self._server.hold_logins.wait()
        self._connection.set_authorized_keys(asyncssh.import_authorized_keys(self._keys.decode()))
        return True

    def auth_completed(self) -> None:
        self._leave()

    def password_auth_supported(self) -> bool:
        return self._server.password is not None

    def validate_password(self, username: str, password: str) -> bool:
        self._server.password_attempts += 1
        return password == self._server.password

    def session_requested(self) -> Any:
        return self._connection.create_server_channel(encoding=None), _Program(self._server)

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> bool:
        self._server.forwards.append((dest_host, dest_port))
        return True


class _Program(asyncssh.SSHServerSession[bytes]):
    """One command in `sh -c`, in a session of its own, as OpenSSH runs it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._channel: Any = None
        self._process: asyncio.subprocess.Process | None = None
        self._input: asyncio.Queue[bytes] = asyncio.Queue()
        self._writable = asyncio.Event()
        self._writable.set()
        self._gone = False

    def connection_made(self, chan: Any) -> None:
        self._channel = chan
        self._server.channels_now += 1
        self._server.changed.set()
        self._server.channels_most = max(self._server.channels_most, self._server.channels_now)

    def exec_requested(self, command: str) -> bool:
        self._command = command
        return True

    def session_started(self) -> None:
        task = asyncio.ensure_future(self._run())
        self._server.programs.add(task)
        task.add_done_callback(self._server.programs.discard)

    def data_received(self, data: bytes, datatype: Any) -> None:
        self._input.put_nowait(data)
        if self._input.qsize() > 16:
            self._channel.pause_reading()

    def eof_received(self) -> bool:
        self._input.put_nowait(b"")
        return True

    def signal_received(self, name: str) -> None:
        self._kill(signal.Signals[f"SIG{name}"])

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.channels_now -= 1
        self._gone = True
        self._writable.set()
        self._kill(signal.SIGKILL)
        self._input.put_nowait(b"")

    def _kill(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    async def _run(self) -> None:
        pipe = asyncio.subprocess.PIPE
        self._process = process = await asyncio.create_subprocess_exec(
            "sh", "-c", self._command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
        if self._gone:
            self._kill(signal.SIGKILL)
        feeding = asyncio.ensure_future(self._feed())
        await asyncio.gather(
            self._copy(process.stdout, None),
            self._copy(process.stderr, asyncssh.EXTENDED_DATA_STDERR),
        )
        status = await process.wait()
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        assert process.stdin is not None
        process.stdin.close()
        with contextlib.suppress(OSError):
            await process.stdin.wait_closed()
        if self._channel.is_closing():
            return
        if status < 0:
            self._channel.exit_with_signal(signal.Signals(-status).name.removeprefix("SIG"))
        else:
            self._channel.exit(status)

    async def _copy(self, stream: Any, datatype: Any) -> None:
        while data := await stream.read(65536):
            await self._writable.wait()
            if self._channel.is_closing():
                continue
            with contextlib.suppress(OSError):
                self._channel.write(data, datatype)

    async def _feed(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            while data := await self._input.get():
                self._process.stdin.write(data)
                await self._process.stdin.drain()
                if self._input.qsize() < 4:
                    self._channel.resume_reading()
        self._process.stdin.close()
        self._channel.resume_reading()


async def start_server(tmp_path: Path, port: int = 0) -> Server:
    """Start a server that knows one client key; the key's file is in `tmp_path`."""
    client_key = asyncssh.generate_private_key("ssh-ed25519")
    server = Server()
    server.client_key_file = tmp_path / f"id_test_{id(server):x}"
    client_key.write_private_key(server.client_key_file)
    client_key.write_public_key(f"{server.client_key_file}.pub")
    keys = client_key.export_public_key()
    server.acceptor = await asyncssh.listen(
        "127.0.0.1",
        port,
        server_factory=lambda: _Door(server, keys),
        server_host_keys=[server.host_key],
    )
    server.port = server.acceptor.get_port()
    return server
