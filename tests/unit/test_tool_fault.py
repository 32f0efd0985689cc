"""Faults of the tool become errors that say what happened and what to do."""

from __future__ import annotations

from typing import get_args

import pytest

from aiconsole.bundle.tool_fault import error_of_end, error_of_fault
from aiconsole.errors import AiconsoleError, BusyError, CommandError, PreflightError, TransferError
from aiconsole.onhost.runner.faults import FaultCode
from aiconsole.session.command import Command, Completed


@pytest.mark.parametrize("code", get_args(FaultCode))
def test_every_code_has_an_error_that_names_the_host(code: str) -> None:
    error = error_of_fault({"code": code, "text": "what was seen", "hint": "do this"}, "web1")
    assert "web1" in error.title
    assert (error.detail, error.hint) == ("what was seen", "do this")
    assert code == "internal" or error.title != "The tool failed on web1"


@pytest.mark.parametrize(
    ("code", "shape"),
    [
        ("disk-full", TransferError),
        ("read-only", TransferError),
        ("busy", BusyError),
        ("python-too-old", PreflightError),
        ("from-the-future", CommandError),
    ],
)
def test_errors_by_kind(code: str, shape: type[AiconsoleError]) -> None:
    assert type(error_of_fault({"code": code}, "web1")) is shape


def test_who_is_busy_and_how_to_watch() -> None:
    fault = {"code": "busy", "text": "ann@desk runs r1 here", "run_id": "r1", "since_unix_s": 1e9}
    error = error_of_fault(fault, "web1")
    assert isinstance(error, BusyError)
    assert error.run_id == "r1"
    assert ", since " in error.detail
    assert error.hint == "Watch it: aiconsole runs attach web1 r1"


@pytest.mark.parametrize("fault", [None, 5, [], {"code": ["x"]}, {"text": "\x1b[2Jgone"}])
def test_a_hostile_fault_is_harmless(fault: object) -> None:
    error = error_of_fault(fault, "web1")
    assert error.title == "The tool failed on web1"
    assert "\x1b" not in str(error)


def ended(status: int, stderr: bytes) -> AiconsoleError:
    command = Command(("/usr/bin/python3", "-I"))
    return error_of_end(Completed(command, status, b"", stderr, 0.1), "web1")


@pytest.mark.parametrize(
    ("status", "stderr"),
    [
        (127, b"sh: 1: exec: /usr/bin/python3: not found\n"),
        (127, b""),
        (1, b"sudo: /usr/bin/python3: command not found\n"),
    ],
)
def test_a_host_without_python_is_named_as_such(status: int, stderr: bytes) -> None:
    error = ended(status, stderr)
    assert isinstance(error, PreflightError)
    assert error.title == "web1 has no /usr/bin/python3"


def test_other_ends_show_the_last_words_harmless() -> None:
    error = ended(137, b"\x1b]0;owned\x07 Killed")
    assert error.title == "The tool on web1 ended with exit status 137"
    assert "\x1b" not in error.detail
    assert "Killed" in error.detail
