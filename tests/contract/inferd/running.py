"""A daemon as a service manager runs it: launch.py of a release, socket as fd 3, notifications."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

import aiconsole
from aiconsole.onhost.inferd import launch

UP_S = 60.0
POLL_S = 0.02


def bound(host: str = "127.0.0.1") -> socket.socket:
    """A listening socket such as a service manager holds."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, 0))
    sock.listen(4096)
    return sock


def release(room: Path, settings: str, *, slot: str = "a") -> Path:
    """A release with the layers of this environment, and its slot; the path of the slot."""
    home = room / "releases" / f"tiny-{slot}"
    home.mkdir(parents=True)
    layers = [str(Path(aiconsole.__file__).parents[1]), sysconfig.get_path("purelib")]
    (home / "release.json").write_text(json.dumps({"id": f"tiny-{slot}", "layers": layers}))
    (home / "settings.toml").write_text(settings)
    shutil.copy(launch.__file__, home / "launch.py")
    link = room / "slots" / slot
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(home)
    return link


def settings_text(
    model: Path, *, engine: str = "", limits: str = "", auth: str = "", more: str = ""
) -> str:
    """settings.toml with what a test wants to be different."""
    return (
        f'[model]\nname = "tiny"\npath = "{model}"\n{more}\n[engine]\n{engine}\n'
        f"[limits]\n{limits}\n[auth]\n{auth}\n"
    )


@dataclass
class Running:
    """One daemon process and what it has said."""

    process: subprocess.Popen[bytes]
    run_dir: Path
    url: str
    notify: socket.socket
    log_path: Path
    told: list[str] = field(default_factory=list)

    def messages(self) -> list[str]:
        """All notifications so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.told.append(self.notify.recv(65536).decode())
        return self.told

    @property
    def said_ready(self) -> bool:
        return any("READY=1" in message for message in self.messages())

    def until_ready(self) -> Running:
        until(lambda: self.said_ready or self.process.poll() is not None, "READY or end")
        assert self.said_ready, self.log
        return self

    def wait(self, limit_s: float = 30.0) -> int:
        return self.process.wait(limit_s)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.wait()

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    @property
    def audit(self) -> list[dict[str, Any]]:
        """The audit lines so far."""
        return [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]

    @property
    def tally(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.run_dir / "tally.json").read_text())
        return found

    def audit_of(self, answer: httpx.Response) -> dict[str, Any]:
        """The audit line of one answer."""
        wanted = answer.headers["x-request-id"]
        until(lambda: any(line["id"] == wanted for line in self.audit), "the audit line")
        (line,) = [line for line in self.audit if line["id"] == wanted]
        return line

    def tally_after_stop(self) -> dict[str, Any]:
        """Stop it well; what it left behind."""
        assert self.stop() == 0, self.log
        return self.tally

    def status(self) -> dict[str, Any]:
        """Answer of the admin socket."""
        transport = httpx.HTTPTransport(uds=str(self.run_dir / "admin.sock"))
        with httpx.Client(transport=transport) as client:
            found: dict[str, Any] = client.get("http://admin/admin/status").json()
            return found

    def engine_pid(self) -> int:
        """The one child."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        (pid,) = children.split()
        return int(pid)


def until(met: Any, what: str, limit_s: float = UP_S) -> None:
    """Wait until something is so; fail if it never is."""
    deadline = time.monotonic() + limit_s
    while not met():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(POLL_S)


@contextlib.contextmanager
def daemon(
    room: Path,
    settings: str,
    *,
    slot: str = "a",
    sock: socket.socket | None = None,
    host: str = "127.0.0.1",
    credentials: Path | None = None,
    more: tuple[str, ...] = (),
) -> Iterator[Running]:
    """A daemon from start to end; it is not ready yet."""
    own = sock or bound(host)
    link = release(room, settings, slot=slot)
    run_dir = room / f"run-{slot}"
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify_path = room / f"notify-{slot}"
    notify.bind(str(notify_path))
    notify.setblocking(False)
    fd = own.fileno()
    log_path = room / f"log-{slot}"
    environment = {
        "PATH": os.environ["PATH"], "LISTEN_FDS": "1", "NOTIFY_SOCKET": str(notify_path),
    }  # fmt: skip
    if credentials is not None:
        environment["CREDENTIALS_DIRECTORY"] = str(credentials)
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(link / "launch.py"),
             "--slot", slot, "--run-dir", str(run_dir), *more],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env=environment,
            preexec_fn=lambda: os.dup2(fd, 3), pass_fds=(3,), cwd="/",
        )  # fmt: skip
    port = own.getsockname()[1]
    running = Running(process, run_dir, f"http://127.0.0.1:{port}", notify, log_path)
    try:
        yield running
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        notify.close()
        if sock is None:
            own.close()
