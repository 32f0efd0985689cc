"""The runner on real hosts: under systemd's eyes, killed, cancelled, rebooted, short of space."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from aiconsole.onhost.wire import (
    CommandStep,
    CredentialStep,
    DirectoryStep,
    FileStep,
    HostLayout,
    Plan,
    Step,
    SymlinkStep,
    UnitStep,
    UserStep,
)
from tests.rig.host import RigHost
from tests.rig.rig import Rig
from tests.tool_caller import Caller, fault_of, outcome_of

LAYOUT = HostLayout.system()
UNIT = "aiconsole-run-test.service"
BOOM = CommandStep("boom", "Explode", ("false",))
ECHO = """[Unit]
Description=Says nothing, for ever
[Service]
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
"""


@pytest.fixture(scope="module")
def host(rig: Rig) -> Iterator[RigHost]:
    """One host for the tests that leave it as they found it."""
    [host] = rig.boot("runner")
    yield host
    rig.destroy(host)


@pytest.fixture
def tool(host: RigHost) -> Caller:
    return Caller(LAYOUT, host.enter)


def plan(*steps: Step, run_id: str, operator: str = "ann@desk") -> Plan:
    return Plan(run_id, "Try it", "test", LAYOUT, steps, operator)


def waiting(name: str) -> CommandStep:
    """A step that works until it is killed, and says by a file that it does."""
    script = f"touch /run/{name}; exec sleep 1000"
    return CommandStep(name, "Wait", ("sh", "-c", script), undo_argv=("rm", "-f", f"/run/{name}"))


def wait_gone(host: RigHost) -> None:
    """Until the transient unit is no more."""
    while host.run("systemctl", "is-active", UNIT).stdout.strip() != "inactive":
        time.sleep(0.05)


def test_a_run_is_a_transient_unit_that_outlives_the_connection(
    host: RigHost, tool: Caller
) -> None:
    gate = "/run/outlive-gate"
    host.run("mkfifo", gate, check=True)
    steps = (
        CommandStep("wait", "Wait", ("sh", "-c", f"read line < {gate}")),
        FileStep("file", "File", "/etc/outlived", "yes\n"),
    )
    with tool.begin(plan(*steps, run_id="outlive")) as talk:
        talk.until(lambda line: line.get("kind") == "step-started")
        assert host.run("systemctl", "is-active", UNIT).stdout == "active\n"
        talk.kill()
    host.run("sh", "-c", f"echo go > {gate}", check=True)
    lines = tool.follow("outlive")
    assert outcome_of(lines) == "done"
    assert [line["seq"] for line in lines] == list(range(len(lines)))
    assert host.read("/etc/outlived") == "yes\n"
    wait_gone(host)
    assert host.run("systemctl", "--failed", "--plain", "--no-legend").stdout == ""


def test_the_second_operator_is_told_who_is_at_work_and_since_when(
    host: RigHost, tool: Caller
) -> None:
    began = time.time()
    with tool.begin(plan(waiting("first"), run_id="first")) as talk:
        talk.until(lambda line: line.get("kind") == "step-started")
        second = plan(run_id="second", operator="bob@desk")
        fault = fault_of(tool.start(second))
        assert (fault["code"], fault["run_id"], fault["operator"]) == ("busy", "first", "ann@desk")
        assert began - 5 < fault["since_unix_s"] < time.time() + 5
        report = tool.check(second)
        assert (report["busy_run_id"], report["busy_operator"]) == ("first", "ann@desk")
        runs = {run["run_id"]: run["outcome"] for run in tool.call("runs", tool.layout_json)}
        assert runs["first"] == "running"
        assert "second" not in runs
        assert tool.one("cancel", "first", tool.layout_json) == {"cancelled": "first"}
        lines = [line for line in talk.rest() if "beat" not in line]
    assert outcome_of(lines) == "cancelled"
    assert not host.exists("/run/first")
    wait_gone(host)


def test_kill_9_of_the_runner_is_settled_by_systemd_at_once(host: RigHost, tool: Caller) -> None:
    steps = (FileStep("file", "File", "/etc/killed", "x"), waiting("killed"))
    with tool.begin(plan(*steps, run_id="killed")) as talk:
        talk.until(lambda line: line.get("step_id") == "killed")
        talk.kill()
    host.run("systemctl", "kill", "--kill-who=main", "--signal=KILL", UNIT, check=True)
    wait_gone(host)  # nobody follows: systemd alone sees to it
    lines = tool.follow("killed")
    assert outcome_of(lines) == "undone"
    assert "killed" in lines[-1]["text"]
    assert not host.exists("/etc/killed")
    assert not host.exists("/run/killed")


def test_a_stop_of_the_unit_is_a_cancel(host: RigHost, tool: Caller) -> None:
    with tool.begin(plan(waiting("stopped"), run_id="stopped")) as talk:
        talk.until(lambda line: line.get("kind") == "step-started")
        host.run("systemctl", "stop", UNIT, check=True)
        assert outcome_of(talk.rest()) == "cancelled"


def test_a_start_whose_answer_was_lost_is_followed_not_repeated(
    host: RigHost, tool: Caller
) -> None:
    count = CommandStep("count", "Count", ("sh", "-c", "echo x >> /run/counted"))
    wanted = plan(count, run_id="lost")
    assert outcome_of(tool.start(wanted)) == "done"
    assert outcome_of(tool.start(wanted)) == "done"
    assert host.read("/run/counted") == "x\n"
    other = replace(wanted, title="Something else")
    assert fault_of(tool.start(other))["code"] == "bad-plan"


def test_a_secret_rests_encrypted_and_the_service_can_read_it(host: RigHost, tool: Caller) -> None:
    secret = "swordfish-under-systemd"
    step = CredentialStep("key", "Key", "api-key", "/etc/aiconsole-test.cred")
    assert outcome_of(tool.start(plan(step, run_id="cred-1"), **{"api-key": secret})) == "done"
    again = tool.start(plan(step, run_id="cred-2"), **{"api-key": secret})
    assert outcome_of(again) == "unchanged"
    other = tool.start(plan(step, run_id="cred-3"), **{"api-key": "another"})
    assert outcome_of(other) == "done"
    undone = tool.start(plan(step, BOOM, run_id="cred-4"), **{"api-key": secret})
    assert outcome_of(undone) == "undone"
    shown = host.run(
        "systemd-run", "--quiet", "--wait", "--pipe", "--property=DynamicUser=yes",
        "--property=LoadCredentialEncrypted=api-key:/etc/aiconsole-test.cred",
        "sh", "-c", 'cat "$CREDENTIALS_DIRECTORY/api-key"', check=True,
    )  # fmt: skip
    assert shown.stdout == "another"
    assert host.run("stat", "-c%a", "/etc/aiconsole-test.cred").stdout == "600\n"
    places = ("/var/lib/aiconsole", "/etc", "/run", "/opt/aiconsole", "/var/log")
    found = host.run("grep", "-rls", "--", secret, *places)
    assert found.stdout == "", "the secret lies somewhere in the clear"
    assert secret not in host.journal()


def test_units_are_written_enabled_started_and_taken_back(host: RigHost, tool: Caller) -> None:
    name = "aiconsole-echo.service"
    step = UnitStep("unit", "Unit", name, ECHO, enable=True, start=True, restart_on_change=True)
    report = tool.check(plan(step, run_id="u0"))["steps"][0]
    assert (report["change"], report["note"]) == ("create", "enable, start")

    assert outcome_of(tool.start(plan(step, BOOM, run_id="u1"))) == "undone"
    assert host.run("systemctl", "is-enabled", name).returncode != 0
    assert not host.exists(f"/etc/systemd/system/{name}")
    assert host.run("systemctl", "show", "-PLoadState", name).stdout == "not-found\n"

    assert outcome_of(tool.start(plan(step, run_id="u2"))) == "done"
    assert host.run("systemctl", "is-active", name).stdout == "active\n"
    host.write(f"/etc/systemd/system/{name}.d/local.conf", "[Service]\nNice=7\n")
    host.run("systemctl", "daemon-reload", check=True)
    assert outcome_of(tool.start(plan(step, run_id="u3"))) == "unchanged"

    pid = host.run("systemctl", "show", "-PMainPID", name).stdout
    changed = replace(step, content=ECHO.replace("infinity", "99999"))
    diff = tool.check(plan(changed, run_id="u4"))["steps"][0]["diff"]
    assert "-ExecStart=/bin/sleep infinity\n+ExecStart=/bin/sleep 99999" in diff
    assert outcome_of(tool.start(plan(changed, BOOM, run_id="u5"))) == "undone"
    assert host.read(f"/etc/systemd/system/{name}") == ECHO
    assert host.run("systemctl", "is-active", name).stdout == "active\n"
    assert host.run("systemctl", "show", "-PMainPID", name).stdout != pid, "restarted, and back"
    assert host.run("systemctl", "show", "-PNice", name).stdout == "7\n", "the drop-in is in force"


def test_a_unit_that_does_not_start_shows_its_last_words(host: RigHost, tool: Caller) -> None:
    text = "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo no fuel; exit 4'\n"
    step = UnitStep("unit", "Unit", "aiconsole-sad.service", text, start=True)
    lines = tool.start(plan(step, run_id="sad"))
    failed = next(line for line in lines if line.get("kind") == "step-failed")
    assert "no fuel" in failed["data"]["log"]
    assert outcome_of(lines) == "undone"
    assert host.run("systemctl", "--failed", "--plain", "--no-legend").stdout == ""


def test_a_user_is_made_with_the_groups_that_exist_and_taken_back(
    host: RigHost, tool: Caller
) -> None:
    user = UserStep("user", "User", "aiconsole-u", ("video", "no-such-group"))
    file = FileStep("file", "File", "/etc/owned", "x", 0o600, "aiconsole-u")
    assert [s["problem"] for s in tool.check(plan(user, file, run_id="x0"))["steps"]] == ["", ""]
    assert outcome_of(tool.start(plan(user, file, BOOM, run_id="x1"))) == "undone"
    assert host.run("id", "aiconsole-u").returncode != 0
    assert not host.exists("/etc/owned")
    assert outcome_of(tool.start(plan(user, file, run_id="x2"))) == "done"
    assert host.run("id", "-nG", "aiconsole-u").stdout.split() == ["aiconsole-u", "video"]
    assert host.run("stat", "-c%U", "/etc/owned").stdout == "aiconsole-u\n"
    assert outcome_of(tool.start(plan(user, file, run_id="x3"))) == "unchanged"


def test_a_read_only_disk_is_named(host: RigHost, tool: Caller) -> None:
    host.run("mkdir", "-p", "/srv/ro", check=True)
    with host.read_only("/srv/ro"):
        step = FileStep("f", "F", "/srv/ro/f", "x")
        problem = tool.check(plan(step, run_id="ro"))["steps"][0]["problem"]
        assert problem == "/srv/ro is on a read-only filesystem"
        # The step itself fails on that disk, and its undo finds nothing to do there.
        write = CommandStep("c", "C", ("sh", "-c", "echo x > /srv/ro/f"))
        lines = tool.start(plan(write, run_id="ro"))
        assert outcome_of(lines) == "undone"


def test_a_full_disk_under_the_runner_itself_is_survived(host: RigHost, tool: Caller) -> None:
    """The journal, the undo and the end of the run find the space that was kept for them."""
    small = replace(LAYOUT, var="/srv/small/var")
    host.run("mkdir", "-p", "/srv/small", check=True)
    with host.small_disk("/srv/small", 8):
        steps = (
            DirectoryStep("dir", "Dir", "/srv/small/made"),
            FileStep("old", "Old", "/srv/small/made/f", "y" * 100_000),
            CommandStep("fill", "Fill", ("sh", "-c", "cat /dev/zero > /srv/small/fill; false"),
                        undo_argv=("true",)),
        )  # fmt: skip
        wanted = Plan("full", "Fill it", "test", small, steps, "ann@desk")
        lines = Caller(small, host.enter).start(wanted)
        assert outcome_of(lines) == "undone", lines
        assert not host.exists("/srv/small/made")
        host.run("rm", "/srv/small/fill", check=True)


def test_a_second_check_is_quick(host: RigHost, tool: Caller) -> None:
    steps = [FileStep(f"f{n}", "F", f"/etc/aiconsole-quick-{n}", f"{n}\n" * 50) for n in range(20)]
    wanted = plan(*steps, run_id="quick")
    assert outcome_of(tool.start(wanted)) == "done"
    taken = []
    for _ in range(5):
        began = time.perf_counter()
        report = tool.check(wanted)
        taken.append(time.perf_counter() - began)
        assert {step["change"] for step in report["steps"]} == {"none"}
    print(f"check of 20 finished steps: {min(taken) * 1000:.0f} ms")
    assert len(json.dumps(report)) > 0


def test_after_a_power_cut_the_next_start_takes_back_what_was_left(rig_host: RigHost) -> None:
    tool = Caller(LAYOUT, rig_host.enter)
    steps = (FileStep("file", "File", "/etc/half", "x"), waiting("half"))
    with tool.begin(plan(*steps, run_id="half")) as talk:
        talk.until(lambda line: line.get("step_id") == "half")
        talk.kill()
    rig_host.reboot(power_cut=True)
    assert rig_host.exists("/etc/half")
    runs = {run["run_id"]: run["outcome"] for run in tool.call("runs", tool.layout_json)}
    assert runs == {"half": "interrupted"}
    assert outcome_of(tool.start(plan(run_id="next"))) == "unchanged"
    assert not rig_host.exists("/etc/half")
    assert outcome_of(tool.follow("half")) == "undone"


def traces(host: RigHost) -> str:
    """What the plan of the next test would leave: users, units, files, and what is enabled."""
    script = (
        "getent passwd aiconsole-k; getent group aiconsole-k; ls -la /etc/aiconsole-k* 2>&1;"
        " ls -l --time-style=+ /etc/systemd/system/*/aiconsole-k* /etc/systemd/system/aiconsole-k*"
        " 2>&1; systemctl is-active aiconsole-k.service; systemctl list-unit-files aiconsole-k*"
    )
    return host.run("sh", "-c", script).stdout


@pytest.mark.parametrize("position", range(7))
def test_killed_at_any_step_the_host_is_as_before_without_a_console(
    host: RigHost, tool: Caller, position: int
) -> None:
    """kill -9 of the runner by its own step, nobody follows: systemd's settle does it all."""
    steps: list[Step] = [
        UserStep("user", "User", "aiconsole-k", ("video",)),
        DirectoryStep("dir", "Dir", "/etc/aiconsole-k", 0o750, "aiconsole-k"),
        FileStep("file", "File", "/etc/aiconsole-k/f", "x", 0o600, "aiconsole-k"),
        CredentialStep("cred", "Secret", "key", "/etc/aiconsole-k.cred"),
        SymlinkStep("link", "Link", "/etc/aiconsole-k-link", "aiconsole-k"),
        UnitStep("unit", "Unit", "aiconsole-k.service", ECHO, enable=True, start=True),
    ]
    killer = ("sh", "-c", "kill -9 $PPID; exec sleep 1000")
    steps.insert(position, CommandStep("kill", "Kill", killer, undo_argv=("true",)))
    before = traces(host)
    run_id = f"kill-at-{position}"
    with tool.begin(plan(*steps, run_id=run_id), key="sesame") as talk:
        talk.until(lambda line: "started" in line)
        talk.kill()
    while tool.call("runs", tool.layout_json)[0]["outcome"] in ("running", "interrupted"):
        time.sleep(0.05)
    lines = tool.follow(run_id)
    assert outcome_of(lines) == "undone", lines
    undone = [line["step_id"] for line in lines if line.get("kind") == "step-undone"]
    assert undone == [step.id for step in reversed(steps[: position + 1])]
    assert traces(host) == before
