"""A plan through the runner: done, done again, failed, cancelled, killed at every point."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from aiconsole.onhost.runner import journal as journal_room
from aiconsole.onhost.runner.execute import execute
from aiconsole.onhost.runner.journal import read_events
from aiconsole.onhost.runner.ledger import tail
from aiconsole.onhost.runner.lock import LockHeld, hold
from aiconsole.onhost.runner.record import RunRecord
from aiconsole.onhost.runner.registry import kind_of
from aiconsole.onhost.runner.settle import settle
from aiconsole.onhost.wire import CommandStep, CredentialStep, FileStep, Plan, PruneStep, RunEvent
from tests.unit.runner.full_plan import (
    LAYER,
    MODEL,
    SECRETS,
    full_plan,
    lay_history,
    uploads_of,
)
from tests.unit.runner.place import Place, in_child, killed, kinds, outcome

CHANGING = frozenset({
    "os.rename", "os.mkdir", "os.chmod", "os.chown", "os.remove", "os.rmdir", "os.link",
    "os.symlink", "os.truncate", "os.utime", "shutil.rmtree", "subprocess.Popen", "open",
    "os.posix_spawn",
})  # fmt: skip
"""Audit events of Python that go with a change of the host."""


def without_uploads(snapshot: dict[str, object]) -> dict[str, object]:
    """An unpacked layer's upload is gone for good; it is cheap to send again."""
    return {k: v for k, v in snapshot.items() if not k.startswith("var/uploads/")}


def test_a_plan_is_done_in_order_and_a_second_run_changes_nothing(place: Place) -> None:
    lay_history(place)
    plan = full_plan(place)
    first = place.run(plan, SECRETS)
    assert outcome(first) == "done"
    assert [e.seq for e in first] == list(range(len(first)))
    assert [k for k in kinds(first) if k.startswith("step-done")] == [
        f"step-done {step.id}" for step in plan.steps
    ]
    after = place.snapshot()

    again = Plan("again", *(getattr(plan, f) for f in ("title", "lock", "layout", "steps")))
    second = place.run(again, SECRETS)

    assert outcome(second) == "unchanged"
    assert {k.split()[0] for k in kinds(second)[1:-1]} == {"step-unchanged"}
    assert place.snapshot() == after
    assert [entry["run_id"] for entry in tail(Path(place.layout.ledger))] == [plan.run_id]


@pytest.mark.parametrize("position", range(12))
def test_a_failure_after_any_step_leaves_the_host_as_before(place: Place, position: int) -> None:
    lay_history(place)
    plan = full_plan(place)
    before = place.snapshot()
    steps = list(plan.steps)
    steps.insert(position, CommandStep("boom", "Explode", ("sh", "-c", "echo sparks; exit 7")))
    events = place.run(place.plan(*steps), SECRETS)

    assert outcome(events) == "undone"
    failure = next(e for e in events if e.kind == "step-failed")
    assert (failure.step_id, failure.data) == ("boom", {"log": ["sparks"]})
    assert "exited with 7" in failure.text
    undone = [e.step_id for e in events if e.kind == "step-undone"]
    assert undone == ["boom", *(s.id for s in reversed(plan.steps[:position]))]
    assert without_uploads(place.snapshot()) == without_uploads(before)
    entry = tail(Path(place.layout.ledger))[-1]
    assert (entry["outcome"], entry["operator"]) == ("undone", "ann@desk")


def test_an_undo_that_fails_does_not_keep_the_others_from_being_done(place: Place) -> None:
    target = place.root / "etc/new"
    events = place.run(
        place.plan(
            FileStep("file", "File", str(target), "x"),
            CommandStep("stuck", "Stuck", ("true",), undo_argv=("false",)),
            CommandStep("boom", "Explode", ("false",)),
        )
    )
    assert outcome(events) == "broken"
    assert kinds(events)[-3:] == ["undo-failed stuck", "step-undone file", "run-finished"]
    assert not target.exists()


def test_a_defect_in_a_kind_is_told_without_its_values(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aiconsole.onhost.runner.steps.file import FileKind

    def broken(self: FileKind, step: FileStep, context: object) -> None:
        raise ValueError(f"the content was {step.content}")

    monkeypatch.setattr(FileKind, "apply", broken)
    events = place.run(place.plan(FileStep("f", "F", str(place.root / "etc/f"), "sesame")))
    assert outcome(events) == "undone"
    text = next(e.text for e in events if e.kind == "step-failed")
    assert "ValueError" in text
    assert "test_execute.py" in text
    assert "sesame" not in json.dumps([e.text for e in events])


def test_sigterm_cancels_the_step_at_work_and_takes_everything_back(place: Place) -> None:
    before = place.snapshot()
    gate = place.root.parent / "started"
    os.mkfifo(gate)
    plan = place.plan(
        FileStep("file", "File", str(place.root / "etc/new"), "x"),
        CommandStep("long", "Long", ("sh", "-c", f"echo > {gate}; exec sleep 1000")),
        FileStep("never", "Never", str(place.root / "etc/never"), "x"),
    )
    record = place.accept(plan)
    child = os.fork()
    if child == 0:
        execute(record.directory, "")
        os._exit(0)
    gate.read_text()  # until the program runs
    os.kill(child, signal.SIGTERM)
    assert os.waitpid(child, 0)[1] == 0

    events = read_events(record.journal_path)
    assert outcome(events) == "cancelled"
    assert kinds(events)[-6:] == [
        "step-started long", "cancel-requested", "undo-started", "step-undone long",
        "step-undone file", "run-finished",
    ]  # fmt: skip
    assert place.snapshot() == before


def test_a_cancel_that_came_before_the_runner_is_seen(place: Place) -> None:
    record = place.accept(place.plan(FileStep("f", "F", str(place.root / "etc/f"), "x")))
    record.cancel_path.touch()
    in_child(lambda: execute(record.directory, ""))
    assert kinds(read_events(record.journal_path)) == [
        "run-started", "cancel-requested", "undo-started", "run-finished",
    ]  # fmt: skip


def test_a_run_is_executed_once(place: Place) -> None:
    plan = place.plan(FileStep("f", "F", str(place.root / "etc/f"), "x"))
    events = place.run(plan)
    (place.root / "etc/f").unlink()
    assert place.run(plan) == events
    assert not (place.root / "etc/f").exists()


def test_a_held_lock_keeps_a_second_runner_away(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aiconsole.onhost.runner.execute._LOCK_WAIT_S", 0.0)
    record = place.accept(place.plan())
    with (
        hold(place.layout, "inferd", run_id="other", operator="bob@desk"),
        pytest.raises(LockHeld) as caught,
    ):
        execute(record.directory, "")
    assert (caught.value.holder.run_id, caught.value.holder.operator) == ("other", "bob@desk")
    assert not record.journal_path.exists()


def test_secrets_are_gone_after_the_run_and_in_no_file_but_their_own(place: Place) -> None:
    lay_history(place)
    plan = full_plan(place)
    place.run(plan, SECRETS)
    holders = [
        path.relative_to(place.root)
        for path in place.root.rglob("*")
        if path.is_file() and SECRETS["api-key"].encode() in path.read_bytes()
    ]
    assert sorted(map(str, holders)) == ["etc/new.cred", "etc/old.cred"]


@pytest.mark.parametrize("ends", ["done", "undone", "broken"])
def test_a_secret_of_before_is_not_kept_beside_the_run(place: Place, ends: str) -> None:
    credential = place.root / "etc/key.cred"
    credential.write_text("sesame-of-before")
    credential.chmod(0o600)
    last = {
        "done": CommandStep("last", "Last", ("true",)),
        "undone": CommandStep("last", "Last", ("false",)),
        "broken": CommandStep("last", "Last", ("false",), undo_argv=("false",)),
    }
    plan = place.plan(CredentialStep("c", "C", "key", str(credential)), last[ends])
    assert outcome(place.run(plan, {"key": "sesame-of-now"})) == ends
    beside = [
        path.name
        for path in (place.root / "var/runs").rglob("*")
        if path.is_file() and b"sesame" in path.read_bytes()
    ]
    assert beside == (["before"] if ends == "broken" else []), "a person may need it to mend"


def _killed_after_line(record: RunRecord, count: int, work: Callable[[], object]) -> bool:
    """Do the work in a process that is killed right after the journal's line `count` (from 1)."""

    def doomed() -> None:
        written = journal_room.Journal.write
        lines = 0

        def write(self: journal_room.Journal, *args: Any, **named: Any) -> Any:
            nonlocal lines
            event = written(self, *args, **named)
            lines += 1
            if lines == count:
                os.kill(os.getpid(), signal.SIGKILL)
            return event

        journal_room.Journal.write = write  # type: ignore[method-assign]
        work()

    return killed(in_child(doomed))


def _killed_at_change(count: int, work: Callable[[], object]) -> bool:
    """Do the work in a process that is killed right before its change number `count`."""

    def doomed() -> None:
        seen = 0

        def audit(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal seen
            if event not in CHANGING:
                return
            if event == "open" and not _writes(arguments):
                return
            seen += 1
            if seen == count:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(audit)
        work()

    return killed(in_child(doomed))


def _writes(arguments: tuple[object, ...]) -> bool:
    flags = arguments[2]
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def _expect_settled(place: Place, record: RunRecord, before: dict[str, object]) -> str:
    """The run has an end that is true, and says so once."""
    events = read_events(record.journal_path)
    assert [e.kind for e in events].count("run-finished") == 1
    assert events[-1].kind == "run-finished"
    assert not (record.directory / "secrets").exists()
    if outcome(events) == "undone":
        assert without_uploads(place.snapshot()) == without_uploads(before)
    else:
        assert outcome(events) == "done"
        done = {e.step_id for e in events if e.kind == "step-done"}
        assert done == {step.id for step in record.plan.steps}
    return outcome(events)


def test_killed_after_every_line_of_the_journal(memory_path: Path) -> None:
    outcomes = []
    for count in range(1, 100):
        case = memory_path / str(count)
        case.mkdir()
        place = Place(case)
        lay_history(place)
        plan = full_plan(place)
        before = place.snapshot()
        record = place.accept(plan, SECRETS)
        if not _killed_after_line(record, count, partial(execute, record.directory, "")):
            assert outcome(read_events(record.journal_path)) == "done"
            break
        assert in_child(partial(settle, record.directory, "")) == 0
        outcomes.append(_expect_settled(place, record, before))
    else:
        pytest.fail("the run never came to its end")
    steps = len(plan.steps)
    # The last step done, and the end itself: from there on nothing is taken back.
    assert outcomes == ["undone"] * (len(outcomes) - 2) + ["done"] * 2
    assert len(outcomes) >= 2 * steps + 2


def test_killed_before_every_change_of_the_host(memory_path: Path) -> None:
    outcomes = []
    for count in range(1, 400):
        case = memory_path / str(count)
        case.mkdir()
        place = Place(case)
        lay_history(place)
        before_plan = full_plan(place)
        before = place.snapshot()
        record = place.accept(before_plan, SECRETS)
        if not _killed_at_change(count, partial(execute, record.directory, "")):
            break
        assert in_child(partial(settle, record.directory, "")) == 0
        outcomes.append(_expect_settled(place, record, before))
    else:
        pytest.fail("the run never came to its end")
    assert len(outcomes) > 50
    assert outcomes == sorted(outcomes, reverse=True), "undone first, done from one point on"


def test_a_settle_that_is_killed_anywhere_is_settled_by_the_next(memory_path: Path) -> None:
    settled = 0
    for count in range(1, 400):
        case = memory_path / str(count)
        case.mkdir()
        place = Place(case)
        lay_history(place)
        plan = full_plan(place)
        before = place.snapshot()
        record = place.accept(plan, SECRETS)
        lines_to_last_step = 2 * len(plan.steps) + 1
        assert _killed_after_line(
            record, lines_to_last_step, partial(execute, record.directory, "")
        )
        work = partial(settle, record.directory, "")
        if not _killed_at_change(count, work):
            assert _expect_settled(place, record, before) == "undone"
            break
        assert in_child(work) == 0
        assert _expect_settled(place, record, before) == "undone"
        settled += 1
    else:
        pytest.fail("the settle never came to its end")
    assert settled > 20


def test_a_run_that_never_started_is_settled_as_such(place: Place) -> None:
    record = place.accept(place.plan(FileStep("f", "F", str(place.root / "etc/f"), "x")))
    in_child(lambda: settle(record.directory, ""))
    events = read_events(record.journal_path)
    assert kinds(events) == ["run-started", "run-finished"]
    assert (outcome(events), events[-1].text) == (
        "undone", "The runner did not start; nothing was done",
    )  # fmt: skip
    in_child(lambda: execute(record.directory, ""))
    assert not (place.root / "etc/f").exists(), "a late runner must not run a settled plan"


def test_a_torn_last_line_is_cut_off_and_the_numbers_go_on(place: Place) -> None:
    record = place.accept(place.plan())
    path = record.journal_path
    with journal_room.Journal(path) as journal:
        journal.write("run-started")
    with path.open("ab") as file:
        file.write(b'{"seq": 1, "at_unix')
    with journal_room.Journal(path) as journal:
        assert [e.seq for e in journal.events] == [0]
        assert journal.write("run-finished", outcome="undone").seq == 1
    assert kinds(read_events(path)) == ["run-started", "run-finished"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_everything_works_for_an_ordinary_user(memory_path: Path) -> None:
    memory_path.chmod(0o755)
    place = Place(memory_path)
    lay_history(place)
    plan, steps = full_plan(place), full_plan(place).steps
    failing = place.plan(*steps, CommandStep("boom", "Boom", ("false",)))
    prune = place.plan(PruneStep("prune", "Prune", place.layout, keep_releases=0))
    for path in (place.root, *place.root.rglob("*")):
        os.chown(path, 65534, 65534, follow_symlinks=False)
    before = place.snapshot()
    for step in (*steps, *prune.steps):
        kind_of(step)  # Loaded as root: this Python may lie where nobody else can read.

    def as_nobody(plan: Plan) -> list[RunEvent]:
        def work() -> None:
            os.setgid(65534)
            os.setuid(65534)
            execute(place.accept(plan, SECRETS).directory, "")

        assert in_child(work) == 0
        return list(read_events(Path(place.layout.run_dir(plan.run_id)) / "journal.jsonl"))

    assert outcome(as_nobody(failing)) == "undone"
    assert without_uploads(place.snapshot()) == without_uploads(before)
    for upload in uploads_of(plan):
        upload.write_bytes(LAYER if upload.name == sha256(LAYER).hexdigest() else MODEL)
        os.chown(upload, 65534, 65534)
    assert outcome(as_nobody(plan)) == "done"
    assert outcome(as_nobody(prune)) == "done"
    assert not any((place.root / "opt/layers").iterdir())
