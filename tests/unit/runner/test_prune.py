"""Pruning: what nothing refers to goes, what serves never does."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from aiconsole.onhost.runner.leavings import KEPT_RUNS, leavings
from aiconsole.onhost.runner.status import releases
from aiconsole.onhost.runner.tree import remove_tree
from aiconsole.onhost.wire import CommandStep, PruneStep, ServiceState, to_json
from tests.unit.runner.place import Place, outcome


@pytest.fixture
def served(place: Place) -> Place:
    """Ten releases r0 (oldest) to r9, each with a layer and a model of its own; r1 serves in a."""
    for number in range(10):
        release(place, number)
    for digest in ("shared", *(str(n) for n in range(10))):
        layer = Path(place.layout.layer(digest))
        layer.mkdir()
        (layer / "code.py").write_text("x" * 100)
        layer.chmod(0o555)
        Path(place.layout.model(digest)).write_text("GGUF")
    slots = place.root / "opt/slots"
    slots.mkdir()
    (slots / "a").symlink_to("../releases/r1")
    (slots / "b").symlink_to(place.layout.release("r3"))
    state = ServiceState(release_id="r1", slot="a", previous_release_id="r2", wanted="running")
    Path(place.layout.state_file).write_text(json.dumps(to_json(state)))
    return place


def release(place: Place, number: int) -> None:
    directory = Path(place.layout.release(f"r{number}"))
    directory.mkdir(parents=True)
    document = {
        "id": f"r{number}",
        "layers": [place.layout.layer("shared"), place.layout.layer(str(number))],
        "model": {"name": "m", "sha256": "", "path": place.layout.model(str(number))},
    }
    file = directory / "release.json"
    file.write_text(json.dumps(document))
    os.utime(file, (1_000_000 + number, 1_000_000 + number))


def left(place: Place, kind: str) -> list[str]:
    parent = {"layer": "opt/layers", "release": "opt/releases", "model": "var/models"}[kind]
    return sorted(path.name for path in (place.root / parent).iterdir())


def test_keeps_the_newest_and_what_slots_and_state_name(served: Place) -> None:
    step = PruneStep("prune", "Prune", served.layout, keep_releases=2)
    [check] = served.check(step)
    assert check.change == "act"
    # r0 and r4 to r7 go; r1, r2, r3 serve or served; r8 and r9 are the newest; no model "shared".
    assert check.note.startswith("5 releases, 5 layers, 6 models (")
    events = served.run(served.plan(step))
    assert outcome(events) == "done"
    kept = ["1", "2", "3", "8", "9"]
    assert left(served, "release") == [f"r{n}" for n in kept]
    assert left(served, "layer") == [*kept, "shared"]
    assert left(served, "model") == [f"{n}.gguf" for n in kept]
    assert served.check(step)[0].change == "none"
    assert outcome(served.run(served.plan(step))) == "unchanged"


def test_releases_are_listed_newest_first_and_damaged_ones_left_out(served: Place) -> None:
    (Path(served.layout.release("r5")) / "release.json").write_text("{damaged")
    ids = [document["id"] for document in releases(served.layout)]
    assert ids == [f"r{n}" for n in (9, 8, 7, 6, 4, 3, 2, 1, 0)]


def test_without_the_document_of_a_serving_release_its_layers_are_safe(served: Place) -> None:
    (Path(served.layout.release("r1")) / "release.json").write_text("{damaged")
    before = left(served, "layer"), left(served, "model")
    served.run(served.plan(PruneStep("prune", "Prune", served.layout, keep_releases=1)))
    assert (left(served, "layer"), left(served, "model")) == before
    assert "r1" in left(served, "release")


def test_a_failed_removal_is_a_warning_and_the_rest_goes(
    served: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = remove_tree

    def stuck(path: Path, beside: str) -> bool:
        if path.name == "r4":
            raise OSError(16, "Device or resource busy", str(path))
        return remove(path, beside)

    monkeypatch.setattr("aiconsole.onhost.runner.steps.prune.remove_tree", stuck)
    step = PruneStep("prune", "Prune", served.layout, keep_releases=2)
    events = served.run(served.plan(step))
    assert outcome(events) == "done"
    said = next(e.text for e in events if e.kind == "step-done")
    assert said.startswith("warning: 1 leftovers could not be removed")
    assert left(served, "release") == ["r1", "r2", "r3", "r4", "r8", "r9"]


def test_nothing_is_pruned_by_a_run_that_fails_before(served: Place) -> None:
    before = served.snapshot()
    boom = CommandStep("boom", "Boom", ("false",))
    prune = PruneStep("prune", "Prune", served.layout, keep_releases=1)
    assert outcome(served.run(served.plan(boom, prune))) == "undone"
    assert served.snapshot() == before


def test_uploads_and_leftovers_go_after_a_day(place: Place) -> None:
    fresh, old = place.root / "var/uploads/fresh.part", place.root / "var/uploads/old.part"
    half = place.root / "opt/layers/.abc.part-dead"
    half.mkdir()
    for path in (fresh, old):
        path.write_text("x")
    long_ago = time.time() - 90_000
    for path in (old, half):
        os.utime(path, (long_ago, long_ago))
    assert sorted(item.path for item in leavings(place.layout, 5, "")) == sorted([old, half])


def test_what_a_killed_start_left_of_a_run_goes_after_a_day(place: Place) -> None:
    runs = Path(place.layout.run_dir("x")).parent
    drafts = [runs / ".new-r-1", runs / ".r.trash-2"]
    for draft in drafts:
        draft.mkdir(parents=True)
    now = time.time()
    assert [one.path for one in leavings(place.layout, 5, "", now)] == []
    assert [one.path for one in leavings(place.layout, 5, "", now + 90_000)] == drafts


def test_old_runs_and_tools_go_but_not_those_at_work(place: Place) -> None:
    for _ in range(KEPT_RUNS + 2):
        place.run(place.plan())
    unfinished = place.accept(place.plan())
    long_ago = time.time() - 1_000_000
    os.utime(unfinished.directory / "plan.json", (long_ago, long_ago))
    tools = place.root / "opt/tools"
    tools.mkdir()
    for age, name in enumerate(("new", "newer", "mine", "old")):
        (tools / name).write_text(name)
        os.utime(tools / name, (2e9 - age, 2e9 - age))
    gone = {item.path.name for item in leavings(place.layout, 5, str(tools / "mine"))}
    assert gone == {"run-1", "run-2", "old"}
