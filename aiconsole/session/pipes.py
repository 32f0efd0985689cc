"""The three pipes of a running program; SSH and this machine both provide them."""

from __future__ import annotations

from typing import Protocol


class Pipes(Protocol):
    """Raw bytes to and from one program; `piped.py` builds the public `Process` on it."""

    async def send(self, data: bytes) -> None:
        """Write to stdin, and wait while too much is under way.

        Raises:
            LinkLostError: The link died.
            BrokenPipeError: The program closed its stdin or ended.
        """

    async def send_eof(self) -> None:
        """Close stdin; does nothing where it is closed already."""

    async def receive(self) -> bytes:
        """Return the next bytes of stdout, `b""` at its end.

        Raises:
            LinkLostError: The link died.
        """

    async def receive_error(self) -> bytes:
        """Return the next bytes of stderr, `b""` at its end.

        Raises:
            LinkLostError: The link died.
        """

    async def exit_status(self) -> int:
        """Wait for the program's end; 128 + N where signal N killed it.

        Raises:
            LinkLostError: The link died first.
        """

    def kill(self) -> None:
        """Stop the program as far as this is possible, without waiting."""

    async def close(self) -> None:
        """Give everything back; kills the program where it still runs."""
