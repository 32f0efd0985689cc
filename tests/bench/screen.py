"""How quick and how quiet the screen is: one live host beside three dead ones, in a real terminal.

`python -m tests.bench.screen`. This machine is the live host; the dead ones are two addresses that
nobody has and one that answers nothing. Beside it stands htop or btop, where one is installed.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shutil
import signal
import statistics
import struct
import sys
import tempfile
import termios
import time
from pathlib import Path

COLUMNS, ROWS = 120, 40
_IDLE_S = 20.0
_SETTLE_S = 12.0
_KEYS = 60
_DEAD = """
[hosts.dead1]
address = "192.0.2.1"
[hosts.dead2]
address = "198.51.100.7"
[hosts.dead3]
address = "127.0.0.1"
port = 9
"""


class Terminal:
    """A program in a pseudo-terminal; what it writes is counted."""

    def __init__(self, argv: list[str], environment: dict[str, str]) -> None:
        self.began_s = time.monotonic()
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.execvpe(argv[0], argv, environment)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))

    def read(self, wait_s: float) -> bytes:
        """What it writes within a time; empty where it is silent."""
        ready, _, _ = select.select([self._fd], [], [], wait_s)
        return os.read(self._fd, 65536) if ready else b""

    def read_for(self, seconds: float) -> bytes:
        """Everything that it writes in a time."""
        end_s, got = time.monotonic() + seconds, b""
        while (left_s := end_s - time.monotonic()) > 0:
            got += self.read(left_s)
        return got

    def read_until(self, words: bytes, limit_s: float) -> float:
        """Seconds since the start until these words are written."""
        got = b""
        while words not in got:
            if time.monotonic() - self.began_s > limit_s:
                sys.exit(f"{words.decode()!r} never came")
            got += self.read(0.5)
        return time.monotonic() - self.began_s

    def press(self, key: bytes) -> float:
        """Seconds from a key to the first byte that answers it."""
        began_s = time.monotonic()
        os.write(self._fd, key)
        while not self.read(5.0):
            pass
        return time.monotonic() - began_s

    def close(self) -> None:
        """End the program."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._fd)


def environment_in(home: str) -> dict[str, str]:
    """A user without settings, in a terminal of 256 colours."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "NO_COLOR"))}
    return {**kept, "HOME": home, "TERM": "xterm-256color", "LANG": "C.UTF-8"}


def keys_of(terminal: Terminal) -> list[float]:
    """Times from key to paint: the cursor down and up, each after a pause of its own length."""
    times: list[float] = []
    for number in range(_KEYS):
        # Away from the clock's own ticks, and never in step with them.
        terminal.read_for(0.13 + number * 0.007)
        times.append(terminal.press(b"k" if number % 2 else b"j"))
    return times


def console(home: str) -> None:
    """First paint, keys, and the bytes of an idle screen."""
    settings = Path(home, ".config", "aiconsole")
    settings.mkdir(parents=True)
    (settings / "hosts.toml").write_text(_DEAD)
    terminal = Terminal([sys.executable, "-m", "aiconsole"], environment_in(home))
    first_s = terminal.read_until(b"Reading the fleet", 30)
    live_s = terminal.read_until(b"localhost", 60)
    terminal.read_for(_SETTLE_S)
    idle = len(terminal.read_for(_IDLE_S)) / _IDLE_S
    times = sorted(keys_of(terminal))
    terminal.press(b"\x1b[F")
    os.write(terminal._fd, b"\r")
    terminal.read_for(3.0)
    host = len(terminal.read_for(_IDLE_S)) / _IDLE_S
    terminal.close()
    p95 = times[int(len(times) * 0.95)]
    print(f"aiconsole: first paint {first_s:.2f} s, hosts named {live_s:.2f} s")
    print(f"  key to paint p50 {statistics.median(times) * 1e3:.0f} ms, p95 {p95 * 1e3:.0f} ms")
    print(f"  idle at {COLUMNS}x{ROWS}: fleet {idle:.0f} B/s, one host {host:.0f} B/s")


def peer(name: str, home: str) -> None:
    """The same of another monitor, in its own default pace."""
    terminal = Terminal([name], environment_in(home))
    while not terminal.read(5.0):
        pass
    first_s = time.monotonic() - terminal.began_s
    terminal.read_for(4.0)
    idle = len(terminal.read_for(_IDLE_S)) / _IDLE_S
    keys = (b"\x1b[A", b"\x1b[B")
    times: list[float] = []
    for number in range(_KEYS // 2):
        terminal.read_for(0.13 + number * 0.007)
        times.append(terminal.press(keys[number % 2 == 0]))
    terminal.close()
    times.sort()
    p95 = times[int(len(times) * 0.95)]
    print(f"{name}: first paint {first_s:.2f} s, key to paint p50 "
          f"{statistics.median(times) * 1e3:.0f} ms, p95 {p95 * 1e3:.0f} ms, "
          f"idle {idle:.0f} B/s")  # fmt: skip


def main() -> None:
    """Measure the console, then what is installed beside it."""
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as home:
        console(home)
    for name in ("btop", "htop"):
        if shutil.which(name):
            with tempfile.TemporaryDirectory() as home:
                peer(name, home)
        else:
            print(f"{name} is not installed: skipped")


if __name__ == "__main__":
    main()
