"""Restarts and bad releases under the load of 50 clients, through the real command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fixtures import tiny_gguf
from tests.load import LoadProcess, load_process
from tests.rig.console import Console
from tests.rig.host import RigHost
from tests.rig.rig import Rig

CLIENTS = 50
PAUSE_S = 0.5
PORT = 8480
RESTARTS = {"systemd": 10, "keeper": 2}

TREE = {
    "systemd": "/opt/aiconsole /etc/aiconsole /etc/systemd/system /var/lib/aiconsole",
    "keeper": "/home/ann/.local/share/aiconsole",
}
SHAPE = (
    "find $1 \\( -path '*/runs/*' -o -path '*/uploads/*' -o -path '*/run/*' -o -path '*/tools/*' "
    "-o -name 'ledger.jsonl' -o -name '*.lock' \\) -prune -o -printf '%p %y %l\\n' | sort"
)
"""Names and links of the installation, without what each run leaves."""


@dataclass(frozen=True, slots=True)
class Served:
    """A host that serves the built-in model on its network address."""

    runtime: str
    host: RigHost
    console: Console
    client_key: str

    def load(self) -> AbstractContextManager[LoadProcess]:
        """50 clients, half of them on connections that they keep.

        They pause, so that the machine has something left for the restarts.
        """
        header = f"Authorization: Bearer {self.client_key}"
        return load_process(self.host.address, PORT, CLIENTS, headers=[header], pause_s=PAUSE_S)

    def shape(self) -> str:
        """What the installation consists of, and which way the slots point."""
        return self.host.run("sh", "-c", SHAPE, "sh", TREE[self.runtime], check=True).stdout


@pytest.fixture(scope="module", params=["systemd", "keeper"])
def served(
    request: pytest.FixtureRequest, rig: Rig, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    runtime = request.param
    [host] = rig.boot(f"loaded-{runtime}")
    console = Console(tmp_path_factory.mktemp(runtime))
    if runtime == "keeper":
        host.add_user("ann")
        console.add(host, "--runtime", "keeper", user="ann")
    else:
        console.add(host)
    done = console.fine("deploy", host.name, "-y", "--json", "--listen", f"0.0.0.0:{PORT}")
    assert done.result["client_key"]
    yield Served(runtime, host, console, done.result["client_key"])
    rig.destroy(host)


def test_restarts_under_load_lose_no_request(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    host, console = served.host, served.console
    with served.load() as load:
        results = [
            console.fine("restart", host.name, "-y", "--json").result
            for _ in range(RESTARTS[served.runtime])
        ]
    report = load.report
    with capsys.disabled():
        print(
            f"\n{served.runtime}: {len(results)} restarts under {CLIENTS} clients in "
            f"{report.elapsed_s:.0f} s: {report.served:,} served, {report.failures} failed, "
            f"longest wait {report.longest_wait_s:.2f} s"
        )
    assert report.failed == {}, report
    assert report.served > CLIENTS
    tallies = [result["tally"] for result in results]
    assert [tally["requests_failed"] + tally["probes_failed"] for tally in tallies] == [0] * len(
        results
    )
    assert all(tally["requests_served"] > tally["probes"] for tally in tallies)


def test_a_release_that_does_not_load_changes_nothing(served: Served, tmp_path: Path) -> None:
    model = tiny_gguf.write(tmp_path / "newer.gguf", architecture="martian")
    host, console, before = served.host, served.console, served.shape()
    with served.load() as load:
        ended = console.run("deploy", host.name, "-y", "--model", str(model))
    assert ended.exit_code == 2, str(ended)
    assert "martian" in ended.out, "the new slot's own words are shown"
    assert load.report.failed == {}, load.report
    assert served.shape() == before
    [status] = console.fine("status", host.name, "--json").events
    assert status["status"]["service"]["release_id"].startswith("builtin-")
    assert console.fine("restart", host.name, "-y", "--json").result["outcome"] == "done"
