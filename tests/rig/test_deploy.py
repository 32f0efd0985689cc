"""Bare hosts to a service that answers, and all that an operator does with it afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.rig.console import Console, Ended
from tests.rig.host import RigHost
from tests.rig.listing import changes, listing
from tests.rig.plugin import BootHosts
from tests.rig.rig import Rig

UNIT = "/etc/systemd/system/aiconsole-inferd@.service"


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Console:
    return Console(tmp_path_factory.mktemp("ann"), "ann")


@pytest.fixture(scope="module")
def host(rig: Rig, console: Console) -> Iterator[RigHost]:
    [host] = rig.boot("bare")
    console.add(host)
    yield host
    rig.destroy(host)


@pytest.fixture(scope="module")
def deployed(host: RigHost, console: Console) -> Ended:
    """The first deploy of the host, after a look at the plan that changed nothing."""
    before = listing(host)
    shown = console.fine("deploy", host.name, "--plan")
    assert "+ Unpack the engine layer" in shown.out
    assert changes(before, listing(host)) == []
    return console.run("deploy", host.name, "-y", "--json")


def state(console: Console, host: RigHost) -> tuple[str, str, str]:
    """What serves on the host: its state, release and slot."""
    [status] = console.fine("status", host.name, "--json").events
    service = status["status"]["service"]
    return status["state"], service["release_id"], service["slot"]


def completion(console: Console, host: RigHost) -> str:
    """A real completion, through a forwarded port."""
    with console.begin("forward", host.name) as talk:
        url = talk.until(lambda line: "url" in line)["url"]
        prompt = {"model": "builtin", "prompt": "The server", "max_tokens": 8}
        answer = httpx.post(f"{url}/v1/completions", json=prompt, timeout=30)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["choices"][0]["text"])


def done(ended: Ended) -> str:
    """The outcome of an operation that ended well."""
    assert ended.exit_code == 0, str(ended)
    return str(ended.result["outcome"])


def test_a_bare_host_answers_after_one_command(
    deployed: Ended, host: RigHost, console: Console
) -> None:
    assert done(deployed) == "done"
    assert deployed.result["url"] == "http://127.0.0.1:8480"
    assert completion(console, host).strip()
    steps = deployed.result["steps_s"]
    assert {"console:check", "console:upload", "console:run", "swap", "layer-engine"} <= set(steps)
    assert host.run("systemctl", "--failed", "--plain", "--no-legend").stdout == ""


def test_a_second_deploy_changes_nothing(deployed: Ended, host: RigHost, console: Console) -> None:
    before = listing(host)
    runs = console.fine("runs", "list", host.name, "--json").out
    again = console.run("deploy", host.name, "-y", "--json")
    assert done(again) == "unchanged"
    assert console.fine("runs", "list", host.name, "--json").out == runs
    assert changes(before, listing(host)) == []


def test_restart_stop_start_and_the_way_back(
    deployed: Ended, host: RigHost, console: Console
) -> None:
    _, first, slot = state(console, host)
    assert done(console.run("restart", host.name, "-y", "--json")) == "done"
    assert state(console, host) == ("ready", first, "b" if slot == "a" else "a")
    watched = console.run("deploy", host.name, "-y", "--context", "512", "--json")
    assert done(watched) == "done"
    assert 10 <= watched.result["steps_s"]["watch"] < 30
    _, second, _ = state(console, host)
    assert second != first
    assert done(console.run("rollback", host.name, "-y", "--json")) == "done"
    assert state(console, host)[:2] == ("ready", first)
    assert done(console.run("rollback", host.name, second, "-y", "--json")) == "done"
    assert state(console, host)[:2] == ("ready", second)
    marks = {r["id"]: r["mark"] for r in console.fine("releases", host.name, "--json").events}
    assert marks == {second: "serves", first: "previous"}
    unknown = console.run("rollback", host.name, "no-such-release", "-y", "--json")
    assert (unknown.exit_code, unknown.result["error"]["error"]) == (2, "NotFoundError")

    assert done(console.run("stop", host.name, "-y", "--json")) == "done"
    assert state(console, host)[0] == "stopped"
    assert host.run("ss", "-Hltn", "sport = :8480").stdout == ""
    refused = console.run("restart", host.name, "-y")
    assert (refused.exit_code, "aiconsole start" in refused.out) == (1, True), str(refused)
    assert done(console.run("start", host.name, "-y", "--json")) == "done"
    assert state(console, host)[:2] == ("ready", second)
    assert completion(console, host).strip()
    runs = console.fine("runs", "list", host.name, "--json").events
    assert [run["outcome"] for run in runs] == ["done"] * 7
    assert {run["operator"].split("@")[0] for run in runs} == {"ann"}


def test_a_crash_shows_in_the_exit_code_of_status(
    deployed: Ended, host: RigHost, console: Console
) -> None:
    _, _, slot = state(console, host)
    host.run("systemctl", "stop", f"aiconsole-inferd@{slot}", check=True)
    ended = console.run("status", host.name)
    assert (ended.exit_code, " down " in ended.out) == (1, True), str(ended)
    assert done(console.run("deploy", host.name, "--watch", "0", "-y", "--json")) == "done"
    assert console.run("status", host.name).exit_code == 0
    with host.without_ssh():
        assert console.run("status", host.name).exit_code == 2


def test_after_a_reboot_the_same_release_serves_by_itself(
    deployed: Ended, host: RigHost, console: Console
) -> None:
    _, release, slot = state(console, host)
    host.reboot()
    unit = f"aiconsole-inferd@{slot}.service"
    host.run("systemctl", "start", unit, check=True)  # waits for the start that is under way
    assert state(console, host) == ("ready", release, slot)
    assert completion(console, host).strip()
    assert done(console.run("deploy", host.name, "-y", "--json")) == "unchanged"


def test_local_edits_live_in_drop_ins_and_an_edited_unit_is_shown_as_a_diff(
    deployed: Ended, host: RigHost, console: Console
) -> None:
    drop_in = f"{UNIT}.d/override.conf"
    host.write(drop_in, "[Service]\nEnvironment=LOCAL_CHANGE=kept\n")
    unit = host.read(UNIT)
    host.write(UNIT, unit.replace("[Install]", "Nice=3\n\n[Install]"))
    host.run("systemctl", "daemon-reload", check=True)
    shown = console.fine("deploy", host.name, "--plan").out
    assert "-Nice=3" in shown
    assert done(console.run("deploy", host.name, "-y", "--json")) == "done"
    assert host.read(UNIT) == unit
    assert host.read(drop_in) == "[Service]\nEnvironment=LOCAL_CHANGE=kept\n"
    assert done(console.run("restart", host.name, "-y", "--json")) == "done"
    _, _, slot = state(console, host)
    shown = host.run("systemctl", "show", "-PEnvironment", f"aiconsole-inferd@{slot}").stdout
    assert "LOCAL_CHANGE=kept" in shown


def test_a_failure_stops_the_batch(rig_hosts: BootHosts, tmp_path: Path) -> None:
    console = Console(tmp_path / "bea", "bea")
    hosts = rig_hosts(3)
    for host in hosts:
        console.add(host)
    names = [host.name for host in hosts]
    with hosts[1].port_taken(8480):
        ended = console.run("deploy", *names, "--batch", "2", "-y", "--json")
    outcomes = {e["host"]: e for e in ended.events if e["event"] == "Result"}
    assert [outcomes[name]["outcome"] for name in names] == ["done", "refused", "skipped"]
    assert "squatter" in str(outcomes[names[1]]["error"])
    assert ended.exit_code == 1
    assert not hosts[1].exists("/opt/aiconsole")
    assert not hosts[2].exists("/opt/aiconsole")


def test_a_user_with_sudo_deploys_a_host(rig_host: RigHost, tmp_path: Path) -> None:
    console = Console(tmp_path / "dan", "dan")
    rig_host.add_user("dan", sudo="nopasswd")
    console.add(rig_host, user="dan")
    assert done(console.run("deploy", rig_host.name, "-y", "--json")) == "done"
    assert done(console.run("deploy", rig_host.name, "-y", "--json")) == "unchanged"
    assert host_owner(rig_host, "/opt/aiconsole") == "root"
    assert done(console.run("restart", rig_host.name, "-y", "--json")) == "done"


def host_owner(host: RigHost, path: str) -> str:
    return host.run("stat", "-c%U", path, check=True).stdout.strip()
