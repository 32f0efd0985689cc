"""What clients notice of a restart: `python -m tests.bench.swap [RESTARTS]`.

Fifty clients, half of them keep-alive, ask a host of the rig for completions while the service is
restarted: by aiconsole, by `systemctl restart` of the same slot with its socket held by systemd,
and by `systemctl restart` of a service that opens its port itself, as install scripts set it up.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.load import Report, load_process
from tests.rig.console import Console
from tests.rig.host import RigHost
from tests.rig.rig import open_rig

_CLIENTS = 50
_PORT = 8480
_PLAIN_PORT = 8490
_PAUSE_S = 1.0


@dataclass(frozen=True)
class Way:
    """One way to restart."""

    title: str
    port: int
    restart: Callable[[], None]


def main() -> None:
    """Deploy, then restart in each way under the same load."""
    restarts = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    with tempfile.TemporaryDirectory() as home, open_rig() as rig:
        (host,) = rig.boot("swap")
        console = Console(Path(home))
        console.add(host)
        listen = f"0.0.0.0:{_PORT}"
        deployed = console.fine("deploy", host.name, "--listen", listen, "--yes", "--json")
        header = f"Authorization: Bearer {deployed.result['client_key']}"
        _start_plain(host)
        print(f"{restarts} restarts, {_CLIENTS} clients, half keep-alive, 4 tokens a request\n")
        print(f"{'':<44}{'served':>8}{'failed':>8}{'longest wait':>14}")
        ways = (
            Way("aiconsole restart", _PORT, lambda: _swap(console, host)),
            Way("systemctl restart, socket held", _PORT, lambda: _restart_slot(host)),
            Way("systemctl restart, own port", _PLAIN_PORT, lambda: _restart_plain(host)),
        )
        for way in ways:
            report = _under_load(way, host, header, restarts)
            print(
                f"{way.title:<44}{report.served:>8,}{report.failures:>8,}"
                f"{report.longest_wait_s:>12.2f} s  {report.failed or ''}"
            )


def _under_load(way: Way, host: RigHost, header: str, restarts: int) -> Report:
    with load_process(host.address, way.port, _CLIENTS, 0.5, [header]) as load:
        for _ in range(restarts):
            way.restart()
            time.sleep(_PAUSE_S)
    return load.report


def _swap(console: Console, host: RigHost) -> None:
    console.fine("restart", host.name, "--yes", "--json")


def _restart_slot(host: RigHost) -> None:
    units = host.run("systemctl", "list-units", "--plain", "--no-legend", "aiconsole-inferd@*")
    host.run("systemctl", "restart", units.stdout.split()[0])


def _start_plain(host: RigHost) -> None:
    """The same daemon with the same release, without the socket of systemd."""
    host.run(
        "systemd-run", "--unit=plain", "--property=Type=notify", "--property=KillMode=mixed",
        "/usr/bin/python3", "-I", "/opt/aiconsole/slots/a/launch.py", "--slot", "a",
        "--run-dir", "/run/plain", "--listen", f"0.0.0.0:{_PLAIN_PORT}",
    )  # fmt: skip


def _restart_plain(host: RigHost) -> None:
    host.run("systemctl", "restart", "plain")


if __name__ == "__main__":
    main()
