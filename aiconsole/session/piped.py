"""Processes and sessions over pipes: everything that SSH and this machine have in common."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from aiconsole.errors import CommandError
from aiconsole.session.become import SudoGate, sudo_argv
from aiconsole.session.command import Command, Completed
from aiconsole.session.pipes import Pipes
from aiconsole.visible import visible

if TYPE_CHECKING:
    from aiconsole.session.protocol import Process

STDERR_TAIL_BYTES = 64 * 1024
_CHUNK_BYTES = 64 * 1024
_LAST_WORDS_S = 1.0
"""How long an error waits for what the ending program still says on stderr."""


class PipedProcess:
    """A running command over pipes; see `Process` for what each method promises."""

    def __init__(self, pipes: Pipes, command: Command, host_name: str, stderr: bytes) -> None:
        self._pipes = pipes
        self._command = command
        self._host_name = host_name
        self._stdout = bytearray()
        self._stderr = bytearray(stderr)
        self._started = time.monotonic()
        self._killed = False
        # stderr is read all the time: the host stops a program whose stderr nobody takes.
        self._listening = asyncio.create_task(self._listen())

    async def write(self, data: bytes) -> None:
        """Send bytes to stdin; waits while the host does not read."""
        view = memoryview(data)
        try:
            for start in range(0, len(view), _CHUNK_BYTES):
                await self._pipes.send(bytes(view[start : start + _CHUNK_BYTES]))
        except BrokenPipeError as error:
            await asyncio.wait({self._listening}, timeout=_LAST_WORDS_S)
            raise CommandError(
                f"{self._command.argv[0]} on {self._host_name} stopped reading its input",
                visible(self._stderr.decode(errors="replace").strip()),
                "The program ended early or refused the data; its last words are above.",
            ) from error

    async def write_eof(self) -> None:
        """Close stdin."""
        await self._pipes.send_eof()

    async def readline(self, limit_bytes: int = 16 * 1024 * 1024) -> bytes:
        r"""Read stdout up to and with the next `\n`; `b""` at the end."""
        searched = 0
        while True:
            end = self._stdout.find(b"\n", searched) + 1
            if end:
                return self._take(end)
            searched = len(self._stdout)
            if searched > limit_bytes:
                raise CommandError(
                    f"{self._command.argv[0]} on {self._host_name} sent a line without an end",
                    f"more than {limit_bytes} bytes came without a line feed",
                )
            chunk = await self._pipes.receive()
            if not chunk:
                return self._take(searched)
            self._stdout += chunk

    async def wait(self) -> Completed:
        """Wait for the end and return what was not read before."""
        while chunk := await self._pipes.receive():
            self._stdout += chunk
        await self._listening
        status = await self._pipes.exit_status()
        if self._killed:
            raise CommandError(
                f"{self._command.argv[0]} on {self._host_name} was stopped from here",
                "the console ended the command before it finished",
            )
        elapsed_s = time.monotonic() - self._started
        stdout = self._take(len(self._stdout))
        return Completed(self._command, status, stdout, bytes(self._stderr), elapsed_s)

    def kill(self) -> None:
        """Stop the program, without waiting."""
        self._killed = True
        self._pipes.kill()

    async def close(self) -> None:
        """Stop listening and give the pipes back."""
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        await self._pipes.close()

    async def _listen(self) -> None:
        while chunk := await self._pipes.receive_error():
            self._stderr += chunk
            del self._stderr[:-STDERR_TAIL_BYTES]

    def _take(self, count: int) -> bytes:
        taken = bytes(self._stdout[:count])
        del self._stdout[:count]
        return taken


class PipedSession(ABC):
    """What `run` and `open` do on every way to a host."""

    def __init__(self, host_name: str, user: str, gate: SudoGate) -> None:
        self._host_name = host_name
        self._user = user
        self._gate = gate

    @property
    def host_name(self) -> str:
        """The host's name in the fleet."""
        return self._host_name

    @property
    def user(self) -> str:
        """The login user on the host."""
        return self._user

    @property
    @abstractmethod
    def is_root(self) -> bool:
        """True where the login user has uid 0."""

    @abstractmethod
    async def start(self, argv: tuple[str, ...]) -> Pipes:
        """Start a program with open pipes."""

    async def run(self, command: Command) -> Completed:
        """Run a command to its end, whatever its exit status."""
        async with self.open(replace(command, stdin=b"")) as process:
            try:
                # The clock starts here: a question for sudo's password has all the time it needs.
                async with asyncio.timeout(command.timeout_s) as clock:
                    completed = await _converse(process, command.stdin)
            except TimeoutError as error:
                if not clock.expired():
                    raise
                process.kill()
                raise CommandError(
                    f"{command.argv[0]} on {self._host_name} did not end in time",
                    f"no end after {command.timeout_s:g} s: {visible(str(command))[:200]}",
                    "The host may be overloaded, or a disk or network mount on it may hang.",
                ) from error
        return replace(completed, command=command)

    @asynccontextmanager
    async def open(self, command: Command) -> AsyncIterator[Process]:
        """Start a command and talk to it."""
        process = await self._begin(command)
        try:
            if command.stdin:
                await process.write(command.stdin)
            yield process
        finally:
            await process.close()

    async def _begin(self, command: Command) -> PipedProcess:
        if not command.sudo or self.is_root:
            return PipedProcess(await self.start(command.argv), command, self._host_name, b"")
        nonce = self._gate.new_nonce()
        pipes = await self.start(sudo_argv(command.argv, nonce))
        try:
            stderr = await self._gate.pass_through(pipes, nonce)
        except BaseException:
            pipes.kill()
            await pipes.close()
            raise
        return PipedProcess(pipes, command, self._host_name, stderr)


async def _converse(process: Process, stdin: bytes) -> Completed:
    """Feed stdin and read the answer side by side, so that neither side blocks the other."""
    feeding = asyncio.create_task(_feed(process, stdin))
    try:
        return await process.wait()
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)


async def _feed(process: Process, stdin: bytes) -> None:
    try:
        await process.write(stdin)
        await process.write_eof()
    except CommandError:
        # The program did not want all of its input; its exit status says whether that is wrong.
        return
