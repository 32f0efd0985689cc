"""A model file: moved from the uploads to its place."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

from aiconsole.onhost.runner.durable import leftover, remove_file, sync_directory
from aiconsole.onhost.runner.space import human, shortage
from aiconsole.onhost.runner.steps.file import place_problem
from aiconsole.onhost.runner.steps.kind import Context, StepError
from aiconsole.onhost.runner.writable import write_problem
from aiconsole.onhost.wire import ChangeKind, PlaceStep, StepCheck

_CHUNK_BYTES = 4 * 1024 * 1024


class PlaceKind:
    """`receive` has verified the digest that is its name, so the size tells whether it is there."""

    def check(self, step: PlaceStep, context: Context) -> StepCheck:
        """`none` where it lies there, whole; the digest of the upload where it is missing."""
        path, upload = Path(step.path), Path(step.upload)
        note = f"{human(step.size_bytes)} at {path}"
        if path.is_file() and path.stat().st_size == step.size_bytes:
            return StepCheck(step.id, "none")
        if problem := place_problem(path, context):
            return StepCheck(step.id, "unknown", problem=problem)
        change: ChangeKind = "change" if path.exists() else "create"
        if upload.is_file() and upload.stat().st_size == step.size_bytes:
            return StepCheck(step.id, change, note=note, problem=write_problem(path.parent))
        problem = write_problem(path.parent) or write_problem(upload.parent)
        problem = problem or shortage(upload, step.size_bytes - _arrived_bytes(upload))
        return StepCheck(step.id, change, note=note, missing_upload=step.sha256, problem=problem)

    def save(self, step: PlaceStep, context: Context) -> dict[str, Any]:
        """Nothing: a file of another size in its place is damaged and not brought back."""
        return {}

    def apply(self, step: PlaceStep, context: Context) -> None:
        """Rename it, or copy and verify it where models lie on another filesystem."""
        path, upload = Path(step.path), Path(step.upload)
        if not upload.is_file():
            raise StepError(f"the upload {upload} is not there", "Deploy again: it is sent anew.")
        upload.chmod(0o444)
        try:
            upload.rename(path)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _copy(step, context)
        sync_directory(path.parent)

    def undo(self, step: PlaceStep, context: Context, saved: dict[str, Any]) -> None:
        """Move it back, so that the next deploy need not send it again."""
        path, upload = Path(step.path), Path(step.upload)
        remove_file(leftover(path, context.run_id))
        if not path.is_file() or path.stat().st_size != step.size_bytes:
            return
        if upload.exists():
            path.unlink()
            return
        try:
            path.rename(upload)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            path.unlink()


def _arrived_bytes(upload: Path) -> int:
    """What lies there already of an upload that was cut."""
    part = upload.with_name(upload.name + ".part")
    return part.stat().st_size if part.is_file() else 0


def _copy(step: PlaceStep, context: Context) -> None:
    path, upload = Path(step.path), Path(step.upload)
    temporary = leftover(path, context.run_id)
    digest = hashlib.sha256()
    done = 0
    with open(upload, "rb") as source, open(temporary, "wb") as target:
        while chunk := source.read(_CHUNK_BYTES):
            context.cancel.raise_if_requested()
            digest.update(chunk)
            target.write(chunk)
            done += len(chunk)
            context.say(done_bytes=done, total_bytes=step.size_bytes)
        target.flush()
        os.fchmod(target.fileno(), 0o444)
        os.fsync(target.fileno())
    if digest.hexdigest() != step.sha256:
        temporary.unlink()
        upload.unlink()
        raise StepError("the uploaded file changed on the disk", "Deploy again: it is sent anew.")
    temporary.rename(path)
    upload.unlink()
