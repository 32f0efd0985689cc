"""A command is a value; only a session runs it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Command:
    """One program to run on a host, without a shell between.

    Nothing in `argv` may be secret: an argv is public on the host. Secrets travel in `stdin`.
    """

    argv: tuple[str, ...]
    """Program and arguments, each passed as it is (quoted for the remote login shell by ssh)."""
    stdin: bytes = field(default=b"", repr=False)
    """Sent whole, then closed. For a dialogue use `Session.open`. Never shown: it may be secret."""
    timeout_s: float | None = 30.0
    """Of `run`, once the program runs; None waits for ever. A lost link always ends the wait."""
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
    stdout: bytes = field(repr=False)
    stderr: bytes = field(repr=False)
    elapsed_s: float

    @property
    def ok(self) -> bool:
        """True where the program exited with 0."""
        return self.exit_status == 0
