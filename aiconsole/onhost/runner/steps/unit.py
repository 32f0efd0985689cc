"""A unit file of systemd, with what it is: enabled, active."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiconsole.onhost.runner import systemctl
from aiconsole.onhost.runner.durable import write_file
from aiconsole.onhost.runner.steps import before
from aiconsole.onhost.runner.steps.diff import unified
from aiconsole.onhost.runner.steps.kind import Context, StepError
from aiconsole.onhost.runner.systemctl import UnitNow
from aiconsole.onhost.wire import StepCheck, UnitStep

UNIT_DIRECTORY = Path("/etc/systemd/system")


class UnitKind:
    """Writes the file alone: an operator's edits live in drop-ins beside it, untouched."""

    def __init__(self, directory: Path = UNIT_DIRECTORY) -> None:
        self._directory = directory

    def check(self, step: UnitStep, context: Context) -> StepCheck:
        """The diff of the file, and whether it must be enabled or started."""
        path = self._directory / step.name
        if not self._directory.is_dir():
            return StepCheck(step.id, "unknown", problem=f"{self._directory} does not exist")
        wanted = step.content.encode()
        present = path.read_bytes() if path.is_file() else b""
        diff = unified(str(path), present, wanted) if present != wanted else ""
        now = systemctl.show(step.name)
        work = self._work(step, now, present, wanted)
        if not path.is_file():
            return StepCheck(step.id, "create", diff, ", ".join(work))
        return StepCheck(step.id, "change" if diff or work else "none", diff, ", ".join(work))

    def save(self, step: UnitStep, context: Context) -> dict[str, Any]:
        """The file as it is, and whether the unit is enabled and active."""
        now = systemctl.show(step.name)
        file = before.keep(self._directory / step.name, step.id, context)
        return {**file, "enabled": now.enabled, "active": now.active}

    def apply(self, step: UnitStep, context: Context) -> None:
        """Write, reload, enable, start; restart only where the plan says so and it changed."""
        path = self._directory / step.name
        wanted = step.content.encode()
        now = systemctl.show(step.name)
        content_changed = not path.is_file() or path.read_bytes() != wanted
        if content_changed:
            write_file(path, wanted, 0o644, beside=context.run_id)
        if content_changed or now.needs_reload:
            systemctl.act("daemon-reload")
        if step.enable and not now.enabled:
            systemctl.act("enable", step.name)
        if content_changed and step.restart_on_change and now.active and _moved(step.name, now):
            self._start("restart", step, context)
        elif step.start and not now.active:
            self._start("start", step, context)

    def undo(self, step: UnitStep, context: Context, saved: dict[str, Any]) -> None:
        """The file, enabled and active as they were."""
        path = self._directory / step.name
        now = systemctl.show(step.name)
        existed = saved["was"] != "missing"
        if now.active and not saved["active"]:
            systemctl.act("stop", step.name)
        if now.enabled and not saved["enabled"]:
            systemctl.act("disable", step.name)
        content_before = path.read_bytes() if path.is_file() else b""
        before.bring_back(path, step.id, context, saved)
        systemctl.act("daemon-reload")
        if not existed:
            systemctl.forget_failure(step.name)
            return
        if saved["enabled"] and not now.enabled:
            systemctl.act("enable", step.name)
        if saved["active"]:
            changed = step.restart_on_change and path.read_bytes() != content_before
            systemctl.act("restart" if changed and _moved(step.name, now) else "start", step.name)

    def _work(self, step: UnitStep, now: UnitNow, present: bytes, wanted: bytes) -> list[str]:
        work, content_changes = [], present != wanted
        if step.enable and not now.enabled:
            work.append("enable")
        moves = not _is_socket(step.name) or _addresses(present) != _addresses(wanted)
        if content_changes and step.restart_on_change and now.active and moves:
            work.append("restart")
        elif step.start and not now.active:
            work.append("start")
        if now.needs_reload and not content_changes:
            work.append("reload the file, which changed on the disk")
        return work

    def _start(self, verb: str, step: UnitStep, context: Context) -> None:
        try:
            systemctl.act(verb, step.name, cancel=context.cancel)
        except StepError as error:
            error.data["log"] = systemctl.last_log_lines(step.name)
            raise


def _moved(unit: str, before: UnitNow) -> bool:
    """True where a restart would bring something: of a socket, only another address does.

    To close a socket that slots accept from is to lose it: its address stays taken by them.
    """
    return not _is_socket(unit) or systemctl.show(unit).listens != before.listens


def _is_socket(unit: str) -> bool:
    return unit.endswith(".socket")


def _addresses(content: bytes) -> list[bytes]:
    return [line for line in content.splitlines() if line.startswith(b"Listen")]
