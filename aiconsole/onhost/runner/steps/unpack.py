"""A layer: an uploaded tar.gz becomes a read-only directory."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, BinaryIO

from aiconsole.onhost.runner.durable import remove_file, sync_directory
from aiconsole.onhost.runner.extract import ArchiveError, extract
from aiconsole.onhost.runner.space import human, shortage
from aiconsole.onhost.runner.steps.file import place_problem
from aiconsole.onhost.runner.steps.kind import Context, StepError
from aiconsole.onhost.runner.tree import discard, remove_tree, sync_tree
from aiconsole.onhost.runner.writable import write_problem
from aiconsole.onhost.wire import StepCheck, UnpackStep


class UnpackKind:
    """The directory is named by its content: where it exists, it is whole."""

    def check(self, step: UnpackStep, context: Context) -> StepCheck:
        """`none` where it exists; the digest of the upload where that is missing."""
        path, upload = Path(step.path), Path(step.upload)
        if path.is_dir():
            return StepCheck(step.id, "none")
        if path.exists() or path.is_symlink():
            return StepCheck(step.id, "unknown", problem=f"{path} exists and is not a directory")
        if problem := place_problem(path, context):
            return StepCheck(step.id, "unknown", problem=problem)
        return StepCheck(
            step.id,
            "create",
            note=f"{human(step.unpacked_bytes)} into {path}",
            missing_upload="" if upload.is_file() else step.sha256,
            problem=write_problem(path.parent) or shortage(path, step.unpacked_bytes),
        )

    def save(self, step: UnpackStep, context: Context) -> dict[str, Any]:
        """Nothing: it did not exist."""
        return {}

    def apply(self, step: UnpackStep, context: Context) -> None:
        """Unpack beside, verify the digest while reading, sync, rename, drop the upload."""
        path, upload = Path(step.path), Path(step.upload)
        if not upload.is_file():
            raise StepError(f"the upload {upload} is not there", "Deploy again: it is sent anew.")
        temporary = _temporary(path, context)
        discard(temporary)
        temporary.mkdir(mode=0o700)
        try:
            self._unpack(step, context, temporary)
        except BaseException:
            discard(temporary)
            raise
        temporary.chmod(0o555)
        sync_tree(temporary)
        temporary.rename(path)
        sync_directory(path.parent)
        remove_file(upload)

    def undo(self, step: UnpackStep, context: Context, saved: dict[str, Any]) -> None:
        """Remove the tree, and a half of it."""
        path = Path(step.path)
        if path.parent.is_dir():
            discard(_temporary(path, context))
            remove_tree(path, context.run_id)

    def _unpack(self, step: UnpackStep, context: Context, temporary: Path) -> None:
        upload = Path(step.upload)
        with open(upload, "rb") as file:
            reader = _HashingReader(file, upload.stat().st_size, context)
            try:
                extract(reader, temporary, step.unpacked_bytes)
            except ArchiveError as error:
                raise StepError(f"{upload.name[:12]}…: {error}") from error
            if reader.finish() != step.sha256:
                file.close()
                remove_file(upload)
                raise StepError(
                    f"{upload} is not what was announced: its sha256 differs",
                    "The upload was removed; deploy again to send it anew.",
                    {"code": "digest-mismatch"},
                )


def _temporary(path: Path, context: Context) -> Path:
    return path.with_name(f".{path.name}.part-{context.run_id}")


class _HashingReader:
    """Reads the archive once, for tar and digest alike, and tells how far it is."""

    def __init__(self, file: BinaryIO, size_bytes: int, context: Context) -> None:
        self._file = file
        self._size_bytes = size_bytes
        self._context = context
        self._digest = hashlib.sha256()

    def read(self, count: int) -> bytes:
        """The next bytes of the archive."""
        self._context.cancel.raise_if_requested()
        chunk = self._file.read(count)
        self._digest.update(chunk)
        if chunk:
            self._context.say(
                done_bytes=os.lseek(self._file.fileno(), 0, os.SEEK_CUR),
                total_bytes=self._size_bytes,
            )
        return chunk

    def finish(self) -> str:
        """Read what tar left, and return the digest of all."""
        while self.read(1024 * 1024):
            pass
        return self._digest.hexdigest()
