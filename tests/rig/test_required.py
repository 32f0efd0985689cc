"""Where the rig is required, a skipped rig test is a failed run, whatever the reason was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rig.plugin import REQUIRED

TESTS = """
import pytest

@pytest.mark.rig
def test_needs_hosts():
    pytest.skip("no hosts today")

@pytest.mark.redis
def test_needs_redis():
    pytest.skip("no store today")

def test_needs_nothing():
    pytest.skip("for another reason")
"""


@pytest.mark.parametrize(("required", "status"), [("1", 1), ("", 0)])
def test_a_skip_fails_where_the_rig_is_required(tmp_path: Path, required: str, status: int) -> None:
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nmarkers =\n rig: needs hosts\n redis: needs it\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.rig.plugin", str(tmp_path)],
        env={**os.environ, REQUIRED: required, "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    named = [f"{test}: skipped, but" in done.stdout
             for test in ("test_needs_hosts", "test_needs_redis")]  # fmt: skip
    # Without root or Redis the first test is skipped for that reason, which counts as much.
    assert (done.returncode, named) == (status, [bool(status)] * 2), done.stdout
    assert "test_needs_nothing: skipped, but" not in done.stdout
