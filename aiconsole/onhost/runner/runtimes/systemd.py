"""The runtime of hosts with systemd: its units hold the socket and run the slots."""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from collections.abc import Container

from aiconsole.onhost.keeper.owner import port_owner
from aiconsole.onhost.runner import systemctl
from aiconsole.onhost.runner.cancel import NEVER, Cancel, Cancelled
from aiconsole.onhost.runner.program import ProgramTimeout, run_program
from aiconsole.onhost.runner.runtimes.runtime import SLOTS, Tell, linked_release
from aiconsole.onhost.runner.steps.kind import StepError
from aiconsole.onhost.wire import HostLayout, SlotStatus

SOCKET = "aiconsole-inferd.socket"
ANCHOR = "aiconsole-inferd.service"
_POLL_S = 0.1
_STATUS_EACH_S = 0.5
_END_MARGIN_S = 60.0
_PROPERTIES = (
    "ActiveState", "SubState", "MainPID", "NRestarts", "Result", "StatusText",
    "StateChangeTimestampMonotonic",
)  # fmt: skip


def unit_of(slot: str) -> str:
    """Name of the unit that runs a slot."""
    return f"aiconsole-inferd@{slot}.service"


class SystemdRuntime:
    """Starts and stops units; their files were written by the steps before."""

    def __init__(self, layout: HostLayout) -> None:
        self._layout = layout

    def listening(self) -> str:
        """Address in the socket unit, while that is active."""
        shown = _show(SOCKET, ("ActiveState", "Listen"))
        found = re.match(r"(\S+:\d+) \(Stream\)", shown.get("Listen", ""))
        return found[1] if found and shown.get("ActiveState") == "active" else ""

    def own_pids(self) -> Container[int]:
        """The first process, while the socket is its."""
        return {1} if self.listening() else set()

    def listen(self, address: str) -> None:
        """Enable and start the socket; its unit file holds the address.

        It is never restarted: a slot that still accepts from it would make that fail and leave
        it closed.
        """
        if not _enabled(SOCKET)[0]:
            _set_enabled(SOCKET, True)
        if _show(SOCKET, ("ActiveState",)).get("ActiveState") == "active":
            return
        # An active anchor without its socket would keep systemd from opening it.
        systemctl.act("stop", ANCHOR)
        systemctl.forget_failure(SOCKET)
        try:
            systemctl.act("start", SOCKET)
        except StepError as error:
            if owner := port_owner(address):
                raise StepError(f"{address} is taken by {owner}", data=error.data) from error
            error.data["log"] = systemctl.last_log_lines(SOCKET)
            raise

    def close(self) -> None:
        """Close the socket and its anchor in one transaction, which a client cannot get between."""
        if running := [status.slot for status in self.slots() if status.pid]:
            raise StepError(f"slot {running[0]} still runs")
        _set_enabled(SOCKET, False)
        done = run_program(["systemctl", "stop", "--", SOCKET, ANCHOR], timeout_s=90.0)
        if not done.ok:
            raise StepError(f"the socket could not be closed: {' '.join(done.last_lines(1))}")

    def start(self, slot: str, timeout_s: float, tell: Tell, cancel: Cancel = NEVER) -> None:
        """Start the unit: `systemctl start` returns when it said READY, or with its failure.

        The result of this very start is what counts: a unit that is restarted after each crash
        is never seen as failed.
        """
        unit, since = unit_of(slot), time.time()
        systemctl.forget_failure(unit)
        process = subprocess.Popen(
            ["systemctl", "start", "--", unit],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True, start_new_session=True,
        )  # fmt: skip
        with process:
            try:
                why = self._await_start(process, slot, timeout_s, tell, cancel)
            finally:
                process.kill()
        if why:
            log = self.logs(slot, 20, since)
            self.stop(slot, 0.0)
            raise StepError(f"slot {slot} did not start: {why}", data={"log": log})

    def stop(self, slot: str, drain_timeout_s: float) -> bool:
        """SIGTERM to the daemon alone, wait for its drain, then have systemd end the rest."""
        unit, drained = unit_of(slot), True
        state = _show(unit, ("ActiveState",)).get("ActiveState")
        if state == "inactive":
            return True
        if state == "active":
            self._signal(unit, "TERM", "main")
        if not self._until_ended(unit, drain_timeout_s):
            drained = False
            self._signal(unit, "KILL", "all")
        try:
            done = run_program(["systemctl", "stop", "--", unit], timeout_s=_END_MARGIN_S)
        except ProgramTimeout as error:
            raise StepError(f"{unit} does not end: {error}") from error
        if not done.ok:
            raise StepError(f"{unit} does not end: {' '.join(done.last_lines(1))}")
        return drained

    def enable(self, slot: str) -> None:
        """Enable the unit of one slot, then disable the other's: a boot never finds none."""
        units = [unit_of(name) for name in sorted(SLOTS, key=lambda name: name != slot)]
        for unit, enabled in zip(units, _enabled(*units)):  # noqa: B905
            if enabled != (unit == unit_of(slot)):
                _set_enabled(unit, not enabled)

    def slot_status(self, slot: str) -> SlotStatus:
        """As systemd sees it."""
        return self._status(slot, _show(unit_of(slot), _PROPERTIES))

    def slots(self) -> tuple[SlotStatus, ...]:
        """As systemd sees them."""
        shown = _show_all([unit_of(slot) for slot in SLOTS], _PROPERTIES)
        return tuple(self._status(slot, one) for slot, one in zip(SLOTS, shown))  # noqa: B905

    def logs(self, slot: str, lines: int, since_unix_s: float = 0.0) -> list[str]:
        """From the journal."""
        argv = ["journalctl", "--no-pager", "--quiet", "--output=cat",
                f"--unit={unit_of(slot)}", f"--lines={lines}"]  # fmt: skip
        if since_unix_s > 0:
            argv.append(f"--since=@{since_unix_s:.3f}")
        # What a process wrote last may still be on its way into the journal.
        for command in (["journalctl", "--sync"], argv):
            with contextlib.suppress(ProgramTimeout):
                done = run_program(command, timeout_s=10.0)
        return done.stdout.splitlines()

    def _await_start(
        self,
        process: subprocess.Popen[str],
        slot: str,
        timeout_s: float,
        tell: Tell,
        cancel: Cancel,
    ) -> str:
        """Wait for the job; returns why it failed, empty where it is ready."""
        deadline, asked_at, said = time.monotonic() + timeout_s, time.monotonic(), ""
        while process.poll() is None:
            if cancel.wait(_POLL_S):
                raise Cancelled
            if time.monotonic() > deadline:
                return f"not ready within {timeout_s:g} s"
            if time.monotonic() - asked_at > _STATUS_EACH_S:
                asked_at = time.monotonic()
                text = _show(unit_of(slot), ("StatusText",)).get("StatusText", "")
                if text not in ("", said):
                    said = text
                    tell(text)
        if process.returncode == 0:
            return ""
        result = _show(unit_of(slot), ("Result", "ExecMainStatus"))
        return f"{result.get('Result')}, exit status {result.get('ExecMainStatus')}"

    def _signal(self, unit: str, name: str, whom: str) -> None:
        # The older spelling of the option is known to every version. A unit that has just ended
        # refuses a signal, which is what was wanted.
        run_program(
            ["systemctl", "kill", f"--kill-who={whom}", f"--signal={name}", "--", unit],
            timeout_s=30.0,
        )

    def _until_ended(self, unit: str, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while _show(unit, ("ActiveState",)).get("ActiveState") in ("active", "deactivating"):
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_S)
        return True

    def _status(self, slot: str, shown: dict[str, str]) -> SlotStatus:
        state = _state(shown)
        reason = ""
        if state == "failed":
            reason = "\n".join([shown.get("Result", ""), *self.logs(slot, 5)]).strip()
        changed_us = int(shown.get("StateChangeTimestampMonotonic") or 0)
        since = time.time() - time.monotonic() + changed_us / 1e6 if changed_us else 0.0
        return SlotStatus(
            slot, state, linked_release(self._layout, slot), int(shown.get("MainPID") or 0),
            since, int(shown.get("NRestarts") or 0), reason,
        )  # fmt: skip


def _state(shown: dict[str, str]) -> str:
    active = shown.get("ActiveState", "")
    if active == "activating":
        if shown.get("SubState") == "auto-restart":
            return "failed"
        return "loading" if shown.get("StatusText") else "starting"
    known = {"active": "ready", "reloading": "ready", "deactivating": "draining"}
    return known.get(active, "failed" if active == "failed" else "stopped")


def _show(unit: str, properties: tuple[str, ...]) -> dict[str, str]:
    return _show_all([unit], properties)[0]


def _show_all(units: list[str], properties: tuple[str, ...]) -> list[dict[str, str]]:
    done = run_program(
        ["systemctl", "show", f"--property={','.join(properties)}", "--", *units], timeout_s=15.0
    )
    if not done.ok:
        raise StepError(f"systemd does not answer: {' '.join(done.last_lines(1))}")
    blocks = done.stdout.strip("\n").split("\n\n")
    return [dict(line.partition("=")[::2] for line in block.splitlines()) for block in blocks]


def _enabled(*units: str) -> list[bool]:
    """Ask what the disk says, which systemd's own properties may be behind."""
    done = run_program(["systemctl", "is-enabled", "--", *units], timeout_s=15.0)
    return [state.startswith("enabled") for state in done.stdout.split()] or [False] * len(units)


def _set_enabled(unit: str, enabled: bool) -> None:
    # Only a boot asks for it, so that systemd need not read all its files again.
    verb = "enable" if enabled else "disable"
    done = run_program(["systemctl", "--no-reload", verb, "--", unit], timeout_s=60.0)
    if not done.ok:
        raise StepError(f"systemctl {verb} {unit} failed: {' '.join(done.last_lines(1))}")
