"""What every way to a host can do; asyncssh and the local machine both stand behind it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from aiconsole.session.command import Command, Completed


class Process(Protocol):
    """A running command with open pipes; leaving its context closes the channel."""

    async def write(self, data: bytes) -> None:
        """Send bytes to stdin; waits while the host does not read.

        Raises:
            LinkLostError: The link died.
            CommandError: The program closed its stdin or ended; detail holds its stderr's end.
        """

    async def write_eof(self) -> None:
        """Close stdin."""

    async def readline(self, limit_bytes: int = 16 * 1024 * 1024) -> bytes:
        r"""Read stdout up to and with the next `\n`; `b""` at the end.

        Raises:
            LinkLostError: The link died.
            CommandError: The line is longer than the limit.
        """

    async def wait(self) -> Completed:
        """Wait for the end; stdout holds what was not read, stderr its last 64 KiB.

        Raises:
            LinkLostError: The link died, so the end is unknown.
            CommandError: The program was stopped by `kill`.
        """

    def kill(self) -> None:
        """Stop the program at once, without waiting; `wait` then raises CommandError.

        A program that runs as root for an ordinary user cannot be killed; its pipes are closed,
        so that it ends at its next read or write.
        """


class Forward(Protocol):
    """A local port that leads to an address on the host's side."""

    @property
    def local_port(self) -> int:
        """The port on 127.0.0.1 of this machine."""

    async def close(self) -> None:
        """Stop listening and cut the connections."""


class Session(Protocol):
    """The open way to one host."""

    @property
    def host_name(self) -> str:
        """The host's name in the fleet."""

    @property
    def user(self) -> str:
        """The login user on the host."""

    @property
    def is_root(self) -> bool:
        """True where the login user has uid 0, so that `sudo` is not needed."""

    async def run(self, command: Command) -> Completed:
        """Run a command to its end, whatever its exit status.

        Raises:
            LinkLostError: The link died first: nobody knows whether the command finished.
            CommandError: The command did not end within its `timeout_s`.
            SudoError: sudo refused (after exactly one attempt with a password).
        """

    def open(self, command: Command) -> AbstractAsyncContextManager[Process]:
        """Start a command and talk to it; raises as `run` does.

        `command.stdin` is sent first, and stdin stays open. `command.timeout_s` does not
        apply: the caller decides how long the talk may last. Leaving the context stops a program
        that still runs.
        """

    async def forward(self, remote_host: str, remote_port: int, local_port: int = 0) -> Forward:
        """Bring an address of the host's side to a port on 127.0.0.1 here (0: any free one)."""

    async def wait_closed(self) -> None:
        """Wait until the connection has ended, whoever ended it."""

    async def close(self) -> None:
        """Close the connection; a second call does nothing."""
