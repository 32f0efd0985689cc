"""A disk that is full: nothing is left lying about, and the way back still goes."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiconsole.onhost.runner import ledger
from aiconsole.onhost.runner.cancelling import cancel
from aiconsole.onhost.runner.lock import holder_of
from aiconsole.onhost.runner.record import create
from aiconsole.onhost.wire import CommandStep, FileStep
from tests.unit.runner.place import Place, hold_for_ever, kinds, outcome

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Place]:
    """A host on a disk of 8 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)], check=True)
    yield Place(disk)
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(place: Place) -> CommandStep:
    """A step that takes all the space there is, and fails."""
    script = f"cat /dev/zero > {place.root}/filler; exit 1"
    return CommandStep("fill", "Fill the disk", ("sh", "-c", script))


@root_only
def test_a_run_that_cannot_be_laid_down_leaves_nothing(small: Place) -> None:
    subprocess.run(["sh", "-c", f"head -c 7M /dev/zero > {small.root}/filler"], check=True)
    with pytest.raises(OSError, match="No space left") as caught:
        create(small.plan())
    assert caught.value.errno == errno.ENOSPC
    assert list((small.root / "var/runs").iterdir()) == []


@root_only
def test_a_large_file_is_brought_back_on_a_full_disk(small: Place) -> None:
    file = small.root / "etc/large"
    file.write_text("x" * 1_000_000)
    events = small.run(small.plan(FileStep("f", "F", str(file), "small"), fill(small)))
    assert (small.root / "filler").stat().st_size > 0
    assert outcome(events) == "undone", kinds(events)
    assert file.read_text() == "x" * 1_000_000


def test_a_torn_line_of_the_ledger_takes_no_other_with_it(place: Place) -> None:
    path = Path(place.layout.ledger)
    path.write_text('{"run_id": "first"}\n{"run_id": "to')
    plan = place.plan()
    ledger.append(plan, [], "done")
    assert [entry["run_id"] for entry in ledger.tail(path)] == ["first", plan.run_id]
    assert json.loads(path.read_bytes().splitlines()[-1])["outcome"] == "done"


def test_a_runner_hears_of_a_cancel_where_the_disk_takes_no_wish(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = place.accept(place.plan())
    child = os.fork()
    if child == 0:
        hold_for_ever(record.plan)
    while holder_of(place.layout, "inferd") is None:
        time.sleep(0.01)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "touch", full)
    with pytest.raises(OSError, match="No space left"):
        cancel(record)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGTERM
