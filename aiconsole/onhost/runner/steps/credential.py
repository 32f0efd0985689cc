"""A secret for the service: encrypted by systemd-creds, or a 0600 file without systemd."""

from __future__ import annotations

import hmac
from pathlib import Path
from typing import Any

from aiconsole.onhost.runner.durable import write_file
from aiconsole.onhost.runner.faults import Fault
from aiconsole.onhost.runner.secrets import ENCRYPTED, decrypt, encrypts
from aiconsole.onhost.runner.steps import before
from aiconsole.onhost.runner.steps.file import place_problem
from aiconsole.onhost.runner.steps.kind import Context, StepError
from aiconsole.onhost.runner.steps.ownership import ids_for, ownership_problem
from aiconsole.onhost.wire import CredentialStep, StepCheck


class CredentialKind:
    """Puts the secret that travelled with the run at its place; keeps the old one without it."""

    def check(self, step: CredentialStep, context: Context) -> StepCheck:
        """`none` where it is there and no other value came; the value itself is never shown."""
        path = Path(step.path)
        if problem := place_problem(path, context) or ownership_problem(step.owner, context):
            return StepCheck(step.id, "unknown", problem=problem)
        if not path.exists() and not step.brought:
            return StepCheck(step.id, "unknown", problem=_missing(step))
        if not path.exists():
            return StepCheck(step.id, "create", note=f"credential {step.name}")
        if step.brought and context.run_dir == Path():
            return StepCheck(step.id, "unknown", note="compared on the host, when the run begins")
        given = _given(step, context)
        if given is None or _same(step, context, given, path.read_bytes()):
            return StepCheck(step.id, "none")
        return StepCheck(step.id, "change", note=f"credential {step.name}")

    def save(self, step: CredentialStep, context: Context) -> dict[str, Any]:
        """The credential as it is, encrypted where it is encrypted."""
        return before.keep(Path(step.path), step.id, context)

    def apply(self, step: CredentialStep, context: Context) -> None:
        """Copy what `start` laid down, which is encrypted already where systemd can."""
        given = _given(step, context)
        if given is None:
            raise StepError(f"the secret {step.name} did not travel with the run")
        write_file(Path(step.path), given, 0o600, ids=ids_for(step.owner), beside=context.run_id)

    def undo(self, step: CredentialStep, context: Context, saved: dict[str, Any]) -> None:
        """The credential that was there is there again."""
        before.bring_back(Path(step.path), step.id, context, saved)


def _missing(step: CredentialStep) -> str:
    return (
        f"the settings need the credential {step.name}, which this host does not have; "
        f"give it with --credential {step.name}=FILE, or {step.name}=- to be asked"
    )


def _given(step: CredentialStep, context: Context) -> bytes | None:
    """The secret as it shall lie on the host; None where none travelled with the run."""
    path = context.secret_file(step.name)
    if encrypts(context.layout.runtime):
        path = path.with_name(path.name + ENCRYPTED)
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _same(step: CredentialStep, context: Context, given: bytes, present: bytes) -> bool:
    """True where both hold the same text; two encryptions of it always differ."""
    if not encrypts(context.layout.runtime):
        return hmac.compare_digest(given, present)
    try:
        return hmac.compare_digest(decrypt(step.name, given), decrypt(step.name, present))
    except Fault:
        return False
