"""A command is a value; only a session runs it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """One program to run on a host, without a shell between.

    Nothing in `argv` may be secret: an argv is public on the host. Secrets travel in `stdin`.
    """

    argv: tuple[str, ...]
    """Program and arguments, each passed as it is (quoted for the remote login shell by ssh)."""
    stdin: bytes = b""
    """Sent whole, then closed. For a dialogue use `Session.open`."""
    timeout_s: float | None = 30.0
    """None waits for ever; a lost link still ends the wait."""
    sudo: bool = False
    """Run as root; ignored where the session's user is root already."""

    def __post_init__(self) -> None:
        if not self.argv or not all(isinstance(part, str) for part in self.argv):
            raise ValueError("a Command needs a non-empty argv of strings")
        if any("\0" in part for part in self.argv):
            raise ValueError("an argument may not contain a NUL byte")

    def __str__(self) -> str:
        return shlex.join(self.argv)


@dataclass(frozen=True, slots=True)
class Completed:
    """What a finished command left behind. A command whose end is unknown never yields one."""

    command: Command
    exit_status: int
    """0 to 255; a command killed by signal N gives 128 + N."""
    stdout: bytes
    stderr: bytes
    elapsed_s: float

    @property
    def ok(self) -> bool:
        """True where the program exited with 0."""
        return self.exit_status == 0
