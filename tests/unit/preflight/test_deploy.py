"""Verdicts from the facts of a real Debian, each with one thing that is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from aiconsole.errors import PreflightError
from aiconsole.fleet.facts import Facts, Listener, Space
from aiconsole.fleet.facts_parse import parse_facts
from aiconsole.onhost.wire import HostLayout
from aiconsole.preflight.deploy import DeployNeeds, check_deploy, check_machine, check_tool
from aiconsole.preflight.verdict import Verdict, refuse_failures, warnings

FIXTURE = Path(__file__).parents[2] / "fixtures" / "facts" / "debian12.txt"
NEEDS = DeployNeeds(
    HostLayout.system(), memory_bytes=1_000_000_000, upload_bytes=50_000_000,
    unpacked_bytes=150_000_000, port=8480,
)  # fmt: skip


@pytest.fixture
def facts() -> Facts:
    found = parse_facts(FIXTURE.read_text(), 0, 0)
    return replace(found, clock_offset_s=0.0, clock_error_s=0.0)


def space(mount: str, free_bytes: int, *, read_only: bool = False) -> Space:
    return Space(mount, 10**12, free_bytes, None, mount, read_only, False)


def test_a_bare_debian_is_fine(facts: Facts) -> None:
    assert check_tool(facts) == []
    assert check_machine(facts) == []
    assert check_deploy(facts, NEEDS) == []


@pytest.mark.parametrize(
    ("version", "text"),
    [(None, "there is no python3"), ((3, 9, 18), "Python 3.9.18 is too old")],
)
def test_python(facts: Facts, version: tuple[int, int, int] | None, text: str) -> None:
    [verdict] = check_tool(replace(facts, python_version=version))
    assert verdict.level == "fail"
    assert verdict.text.startswith(text)


def test_python_3_10_is_old_enough(facts: Facts) -> None:
    assert check_tool(replace(facts, python_version=(3, 10, 0))) == []


def test_a_processor_without_avx2(facts: Facts) -> None:
    [verdict] = check_machine(replace(facts, cpu_flags=("bmi2",)))
    assert verdict.text == "the processor lacks avx2, fma, f16c"
    assert "CPU type" in verdict.hint


def test_arm_needs_no_flags(facts: Facts) -> None:
    assert check_machine(replace(facts, architecture="aarch64", cpu_flags=())) == []


def test_a_c_library_that_is_not_glibc(facts: Facts) -> None:
    [verdict] = check_machine(replace(facts, glibc=""))
    assert verdict.text == "its C library is not glibc"


@pytest.mark.parametrize(
    ("offset_s", "level"),
    [(4.9, None), (-4.9, None), (5.1, "warn"), (-3599.0, "warn"), (3601.0, "fail")],
)
def test_the_clock(facts: Facts, offset_s: float, level: str | None) -> None:
    found = check_machine(replace(facts, clock_offset_s=offset_s))
    assert [verdict.level for verdict in found] == ([level] if level else [])
    for verdict in found:
        assert ("ahead of" in verdict.text) is (offset_s > 0)


def test_a_clock_over_a_slow_line_gets_the_doubt(facts: Facts) -> None:
    assert check_machine(replace(facts, clock_offset_s=6.0, clock_error_s=2.0)) == []


def test_the_memory_of_the_control_group_counts(facts: Facts) -> None:
    [verdict] = check_deploy(replace(facts, memory_limit_bytes=500_000_000), NEEDS)
    assert verdict.text == "the model needs 1.00 GB of memory, the host has 500 MB"


def test_one_filesystem_holds_both_trees(facts: Facts) -> None:
    enough = 150_000_000 + 50_000_000 + 64_000_000
    assert check_deploy(replace(facts, spaces=(space("/", enough),)), NEEDS) == []
    [verdict] = check_deploy(replace(facts, spaces=(space("/", enough - 1),)), NEEDS)
    assert (verdict.id, verdict.level) == ("disk", "fail")
    assert verdict.text == "needs 264 MB on /, 264 MB are free"


def test_two_filesystems_are_counted_apart(facts: Facts) -> None:
    spaces = (space("/", 10**9), space("/var", 100_000_000))
    [verdict] = check_deploy(replace(facts, spaces=spaces), NEEDS)
    assert verdict.text == "needs 114 MB on /var, 100 MB are free"


def test_nothing_to_send_needs_no_room(facts: Facts) -> None:
    needs = replace(NEEDS, upload_bytes=0, unpacked_bytes=0)
    assert check_deploy(replace(facts, spaces=(space("/", 0),)), needs) == []


def test_a_read_only_filesystem_is_named(facts: Facts) -> None:
    spaces = (space("/", 10**12), space("/opt", 10**12, read_only=True))
    [verdict] = check_deploy(replace(facts, spaces=spaces), NEEDS)
    assert verdict.text == "/opt is mounted read-only"


def test_a_port_that_is_taken(facts: Facts) -> None:
    squatted = replace(facts, listeners=(Listener("0.0.0.0", 8480, "nginx"),))
    [verdict] = check_deploy(squatted, NEEDS)
    assert verdict.text == "port 8480 is taken by nginx (on 0.0.0.0)"
    assert check_deploy(squatted, replace(NEEDS, port=0)) == [], "it is our own"
    [unseen] = check_deploy(replace(facts, listeners=(Listener("::", 8480, ""),)), NEEDS)
    assert "another program" in unseen.text


def test_failures_become_one_error_and_warnings_notes() -> None:
    verdicts = [
        Verdict("disk", "fail", "no room", "Free space"),
        Verdict("clock", "warn", "6 s off", "Set it"),
        Verdict("python", "fail", "no python3", "Install it"),
        Verdict("x", "warn", "odd"),
    ]
    with pytest.raises(PreflightError) as caught:
        refuse_failures("web1", verdicts)
    assert caught.value.detail == "no room\nno python3"
    assert caught.value.hint == "Free space\nInstall it"
    assert warnings(verdicts) == ("6 s off: Set it", "odd")
    refuse_failures("web1", [verdicts[1]])
