"""Load for a host of the fleet, through the line that the console has to it."""

from __future__ import annotations

import time
from pathlib import Path

from tests.rig.console import Console
from tests.rig.host import RigHost


def test_a_host_is_loaded_through_ssh(rig_host: RigHost, tmp_path: Path) -> None:
    console = Console(tmp_path / "ann", "ann")
    console.add(rig_host)
    nothing = console.run("bench", rig_host.name, "--json")
    assert (nothing.exit_code, nothing.result["error"]) == (2, "NotFoundError")

    console.fine("deploy", rig_host.name, "-y")
    report = console.run("bench", rig_host.name, "--requests", "20", "--json").result
    assert report["requests"]["answered"] == 20
    assert (report["target"], report["kind"]["model"]) == (rig_host.name, "builtin")
    assert "the times hold the SSH line to the host as well" in report["notes"]

    with console.begin("bench", rig_host.name, "--duration", "10m") as talk:
        served = rig_host.run("ss", "-Htn", "state", "established", "sport = :8480")
        deadline_s = time.monotonic() + 60
        while not served.stdout.strip() and time.monotonic() < deadline_s:
            time.sleep(0.2)
            served = rig_host.run("ss", "-Htn", "state", "established", "sport = :8480")
        rig_host.cut_connections()
        ended = talk.ended()
    assert ended.result["ended_early"], str(ended)
    assert "the line to the host was lost: the load ended there" in ended.result["notes"]

    console.fine("hosts", "remove", rig_host.name, "-y")
    console.add(rig_host, "--protected")
    refused = console.run("bench", rig_host.name, "--requests", "1", "--json")
    assert (refused.exit_code, refused.result["error"]) == (1, "NotConfirmedError")
