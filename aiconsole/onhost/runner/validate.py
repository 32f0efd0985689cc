"""Reads a plan or a layout strictly: what it holds becomes paths and names on the host."""

from __future__ import annotations

import json
import re
from typing import Any

from aiconsole.onhost.runner.faults import Fault
from aiconsole.onhost.wire import (
    WIRE_VERSION,
    CredentialStep,
    HostLayout,
    Plan,
    PruneStep,
    Step,
    SwapStep,
    UnitStep,
    UserStep,
    WatchStep,
    from_json,
)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_UNIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9:_.@-]{0,200}\.(service|socket|timer|path|target|slice)")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._@+-]+")


def read_line(line: bytes | str, what: str) -> Any:
    """Decode one JSON line.

    Raises:
        Fault: It is not JSON; the fault says of what.
    """
    try:
        return json.loads(line)
    except ValueError as error:
        raise Fault("bad-plan", f"{what} is not JSON: {error}") from None


def read_plan(value: Any) -> Plan:
    """Take a decoded plan, after its version, and check every name and path in it.

    Raises:
        Fault: Another version, or a plan that could not have come from the console.
        WireError: A key is missing, unknown, or of another type.
    """
    version = value.get("wire_version", WIRE_VERSION) if isinstance(value, dict) else WIRE_VERSION
    if version != WIRE_VERSION:
        raise Fault(
            "wire-version",
            f"the plan speaks version {version!r}, this runner {WIRE_VERSION}",
            "Update the older console.",
        )
    plan = from_json(Plan, value)
    check_name(plan.run_id, "run_id")
    check_name(plan.lock, "lock")
    check_layout(plan.layout)
    seen: set[str] = set()
    for position, step in enumerate(plan.steps):
        check_name(step.id, f"id of step {position + 1}")
        if step.id in seen:
            raise Fault("bad-plan", f"two steps have the id {step.id!r}")
        seen.add(step.id)
        _check_step(step, plan.layout)
        if isinstance(step, PruneStep) and position != len(plan.steps) - 1:
            raise Fault("bad-plan", f"step {step.id!r} cannot be undone, so it must be the last")
    return plan


def read_layout(argument: str) -> HostLayout:
    """Take the LAYOUT argument of a verb.

    Raises:
        Fault: It is not JSON, or its paths are not plain absolute ones.
        WireError: A key is missing, unknown, or of another type.
    """
    return check_layout(from_json(HostLayout, read_line(argument, "LAYOUT")))


def check_layout(layout: HostLayout) -> HostLayout:
    """Return the layout if its paths can be used as they are.

    Raises:
        Fault: A path is relative, has `..`, or characters that a unit file would interpret.
    """
    for name in ("opt", "var", "run", "etc"):
        path = check_path(getattr(layout, name), f"layout.{name}")
        if layout.runtime == "systemd" and not _PLAIN_PATH.fullmatch(path):
            raise Fault("bad-plan", f"layout.{name}: {path!r} has characters that units interpret")
    return layout


def check_name(name: str, where: str) -> str:
    """Return a name that is safe as part of a path and of a unit's name.

    Raises:
        Fault: It is not.
    """
    if not _NAME.fullmatch(name):
        raise Fault("bad-plan", f"{where}: {name!r} is not a plain name")
    return name


def check_path(path: str, where: str) -> str:
    """Return an absolute path without `..`.

    Raises:
        Fault: It is not one.
    """
    if not path.startswith("/") or path == "/" or "\0" in path or ".." in path.split("/"):
        raise Fault("bad-plan", f"{where}: {path!r} is not a plain absolute path")
    return path


def check_sha256(digest: str, where: str) -> str:
    """Return a digest that is 64 lower-case hex digits.

    Raises:
        Fault: It is not.
    """
    if not _SHA256.fullmatch(digest):
        raise Fault("bad-plan", f"{where}: {digest!r} is not a sha256")
    return digest


def _check_step(step: Step, layout: HostLayout) -> None:
    where = f"step {step.id!r}"
    for field in ("path", "upload"):
        if (path := getattr(step, field, None)) is not None:
            check_path(path, f"{where}: {field}")
    if (digest := getattr(step, "sha256", None)) is not None:
        check_sha256(digest, where)
    if (inner := getattr(step, "layout", layout)) != layout:
        raise Fault("bad-plan", f"{where}: its layout is not the plan's: {inner}")
    if isinstance(step, UnitStep) and not _UNIT.fullmatch(step.name):
        raise Fault("bad-plan", f"{where}: {step.name!r} is not the name of a unit")
    if isinstance(step, CredentialStep):
        check_name(step.name, where)
    if isinstance(step, SwapStep):
        for name in step.force_after:
            check_name(name, f"{where}: force_after")
    if isinstance(step, WatchStep):
        check_name(step.swap, f"{where}: swap")
    if isinstance(step, UserStep):
        for name in (step.name, *step.groups):
            if not _USER.fullmatch(name):
                raise Fault("bad-plan", f"{where}: {name!r} is not the name of a user or group")
