"""The real command line in a process of its own, with a home that nobody else uses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from typing import Any

from tests.rig.host import RigHost

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0
"""No test waits longer for one line; a console that is silent for so long hangs."""

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended."""

    exit_code: int
    out: str
    err: str

    @property
    def events(self) -> list[Event]:
        """Its output, where that is JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def result(self) -> Event:
        """The last line of its output."""
        return self.events[-1]

    def __str__(self) -> str:
        return f"exit {self.exit_code}\n{self.out[-6000:]}\n{self.err[-3000:]}"


@dataclass
class Console:
    """One operator's console.

    Attributes:
        home: Holds its inventory and what it remembers; the caches are everybody's.
        operator: The user name that others see.
    """

    home: Path
    operator: str = "ann"
    variables: dict[str, str] = field(default_factory=dict)

    def add(self, host: RigHost, *options: str, user: str = "root") -> None:
        """Bring a host into the fleet, with its key's fingerprint as the operator knows it."""
        key = subprocess.run(
            ["ssh-keygen", "-l", "-f", "-"],
            input=host.host_public_key, capture_output=True, text=True, check=True,
        )  # fmt: skip
        login = f"{user}@{host.address}:{host.port}"
        argv = ["hosts", "add", host.name, login, "-i", str(host.key_path)]
        self.fine(*argv, "--accept-fingerprint", key.stdout.split()[1], *options)

    def run(self, *argv: str, timeout_s: float = PATIENCE_S) -> Ended:
        """Run a command to its end, without a terminal."""
        done = subprocess.run(
            [*_COMMAND, *argv], cwd=ROOT, env=self.environment(), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=timeout_s, check=False,
        )  # fmt: skip
        return Ended(done.returncode, done.stdout, done.stderr)

    def fine(self, *argv: str) -> Ended:
        """Run a command that has to end well."""
        ended = self.run(*argv)
        assert ended.exit_code == 0, f"{argv}: {ended}"
        return ended

    @contextmanager
    def begin(self, *argv: str) -> Iterator[Talk]:
        """Start a command with --json and read its events as they come; killed at the end."""
        talk = Talk([*_COMMAND, *argv, "--json"], self.environment())
        try:
            yield talk
        finally:
            talk.kill()

    def environment(self) -> dict[str, str]:
        """Of this process only the PATH, the caches, the language, and whom it trusts."""
        self.home.mkdir(exist_ok=True)
        trusted = ("SSL_CERT_FILE", "SSL_CERT_DIR")  # a package index may have its own authority
        cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self.home),
            "LOGNAME": self.operator,
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "XDG_STATE_HOME": str(self.home / "state"),
            "XDG_CACHE_HOME": cache,
            "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", f"{cache}/uv"),
            **{name: os.environ[name] for name in trusted if name in os.environ},
            **self.variables,
        }

    @staticmethod
    def argv(*argv: str) -> list[str]:
        """The whole command, for callers with a terminal of their own."""
        return [*_COMMAND, *argv]


class Talk:
    """A command at work: its events, and how it is killed."""

    def __init__(self, argv: Sequence[str], environment: dict[str, str]) -> None:
        self.seen: list[Event] = []
        self._process = subprocess.Popen(
            argv, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._lines: Queue[str] = Queue()
        self._err: list[str] = []
        self._readers = [
            threading.Thread(target=self._read_out, daemon=True),
            threading.Thread(target=self._read_err, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def __iter__(self) -> Iterator[Event]:
        """Events as they come, to the end."""
        while line := self._lines.get(timeout=PATIENCE_S):
            self.seen.append(json.loads(line))
            yield self.seen[-1]
        self._lines.put("")  # for whoever reads again

    def until(self, wanted: Callable[[Event], bool]) -> Event:
        """Read up to the first event of a kind; without one the test fails."""
        for event in self:
            if wanted(event):
                return event
        raise AssertionError(f"it never came; {self.ended()}")

    def ended(self) -> Ended:
        """Read to the end."""
        for _ in self:
            pass
        exit_code = self._process.wait(PATIENCE_S)
        self._readers[1].join()
        return Ended(exit_code, "\n".join(map(json.dumps, self.seen)), "".join(self._err))

    def kill(self) -> None:
        """Kill -9, as a machine that loses its power does."""
        self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join()
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()

    def _read_out(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def _read_err(self) -> None:
        assert self._process.stderr is not None
        self._err.extend(self._process.stderr)


def run_event(event: Event) -> Event:
    """The journal's line within an event; empty for every other event."""
    found: Event = event.get("journal", {})
    return found


_COMMAND = (sys.executable, "-m", "aiconsole")
