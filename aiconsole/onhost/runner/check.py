"""Says what a plan would change on this host, without changing anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from aiconsole.onhost.runner.faults import fault_of
from aiconsole.onhost.runner.lock import holder_of
from aiconsole.onhost.runner.registry import kind_of
from aiconsole.onhost.runner.space import SLACK_BYTES, existing, free_bytes, human
from aiconsole.onhost.runner.steps.kind import Context, StepError
from aiconsole.onhost.wire import (
    CheckReport,
    DirectoryStep,
    PlaceStep,
    Plan,
    Step,
    StepCheck,
    UnpackStep,
    UserStep,
)


def check(plan: Plan) -> CheckReport:
    """Check every step against the host as it is, knowing what earlier steps will have made."""
    planned: set[str] = set()
    checks = []
    for step in plan.steps:
        context = Context(plan.layout, plan.run_id, planned=frozenset(planned))
        checks.append(_check_one(step, context))
        planned.update(_makes(step))
    holder = holder_of(plan.layout, plan.lock)
    steps = tuple(_with_shared_space(plan.steps, checks))
    if holder is None:
        return CheckReport(steps)
    return CheckReport(steps, holder.run_id, holder.operator, holder.since_unix_s)


def _check_one(step: Step, context: Context) -> StepCheck:
    try:
        return kind_of(step).check(step, context)
    except StepError as error:
        return StepCheck(step.id, "unknown", problem=error.text)
    except OSError as error:
        return StepCheck(step.id, "unknown", problem=fault_of(error).text)


def _makes(step: Step) -> Iterator[str]:
    """Names that later steps may count on."""
    path = getattr(step, "path", "")
    if path:
        yield path
    if isinstance(step, DirectoryStep):
        yield from (str(parent) for parent in Path(path).parents)
    if isinstance(step, UserStep):
        yield step.name


def _with_shared_space(steps: tuple[Step, ...], checks: list[StepCheck]) -> Iterator[StepCheck]:
    """Refuse the step at which what all of them need together no longer fits on a filesystem."""
    needed: dict[int, int] = {}
    for step, found in zip(steps, checks, strict=True):
        need, where = _need(step, found)
        if not need:
            yield found
            continue
        place = existing(where)
        device = place.stat().st_dev
        needed[device] = needed.get(device, 0) + need
        free = free_bytes(place)
        if found.problem or free >= needed[device] + SLACK_BYTES:
            yield found
            continue
        text = f"{place} has {human(free)} free, the plan needs {human(needed[device])} there"
        yield replace(found, problem=text)


def _need(step: Step, found: StepCheck) -> tuple[int, Path]:
    """Bytes that a step adds to the host, and where."""
    if isinstance(step, UnpackStep) and found.change == "create":
        return step.unpacked_bytes, Path(step.path)
    if isinstance(step, PlaceStep) and found.missing_upload:
        part = Path(step.upload + ".part")
        arrived = part.stat().st_size if part.is_file() else 0
        return step.size_bytes - arrived, Path(step.upload)
    return 0, Path("/")
