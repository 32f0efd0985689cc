"""The rig's fixtures, and the rule that no rig test is skipped where the rig is required."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest

from tests.rig import needs
from tests.rig.host import RigHost
from tests.rig.rig import Rig, open_rig

BootHosts: TypeAlias = Callable[[int], list[RigHost]]

REQUIRED = "AICONSOLE_RIG_REQUIRED"
"""Set to 1, a skipped rig test fails the run."""

FIXTURES = {"rig", "rig_host", "rig_hosts"}
REDIS_FIXTURES = {"redis_server"}
_MARKERS = ("rig", "redis")
"""Tests that what `make rig` installs must not let be skipped."""

_skipped = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Start with nothing skipped."""
    config.stash[_skipped] = []


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses the rig or Redis, so that `-m 'not rig'` finds all of it."""
    for item in items:
        if FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.rig)
        if REDIS_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.redis)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs the rig where it cannot run, and say why."""
    if item.get_closest_marker("rig") and (reason := needs.missing()):
        pytest.skip(reason)
    if item.get_closest_marker("redis") and (reason := needs.redis_missing()):
        pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Remember the rig tests that were skipped."""
    report: pytest.TestReport = yield  # type: ignore[assignment]
    expected = hasattr(report, "wasxfail")
    needed = any(item.get_closest_marker(name) for name in _MARKERS)
    if report.skipped and not expected and needed:
        item.config.stash[_skipped].append(report.nodeid)
    return report  # type: ignore[return-value]


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Turn a run that skipped rig tests into a failure where they are required."""
    if _forbidden(session.config) and exitstatus in (0, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Name the skipped tests that made the run fail."""
    for node in _forbidden(config):
        terminalreporter.write_line(f"FAILED {node}: skipped, but {REQUIRED}=1", red=True)


def _forbidden(config: pytest.Config) -> list[str]:
    return config.stash[_skipped] if os.environ.get(REQUIRED) == "1" else []


@pytest.fixture(scope="session")
def rig() -> Iterator[Rig]:
    """A rig of this test run. `rig.boot("web1", "web2")` boots hosts that a module may share."""
    if reason := needs.missing():
        pytest.skip(reason)
    with open_rig(f"t{os.getpid():x}") as mine:
        yield mine


@pytest.fixture
def rig_hosts(rig: Rig) -> Iterator[BootHosts]:
    """A function that boots fresh bare hosts; they go away with the test."""
    booted: list[RigHost] = []

    def boot(count: int) -> list[RigHost]:
        hosts = rig.fresh(count)
        booted.extend(hosts)
        return hosts

    yield boot
    rig.destroy(*booted)


@pytest.fixture
def rig_host(rig_hosts: BootHosts) -> RigHost:
    """One fresh bare host: Debian 12 with sshd and python3, nothing else."""
    return rig_hosts(1)[0]
