"""What of an installation nothing refers to any more: layers, releases, models, uploads, runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiconsole.onhost.runner.journal import end_of
from aiconsole.onhost.runner.record import all_records
from aiconsole.onhost.runner.status import releases, serving_releases
from aiconsole.onhost.runner.tree import tree_bytes
from aiconsole.onhost.wire import HostLayout

KEPT_RUNS = 50
_DAY_S = 86_400.0
_KEPT_TOOLS = 2


@dataclass(frozen=True, slots=True)
class Leaving:
    """One file or directory that can go."""

    what: str
    """`layer`, `release`, `model`, `upload`, `run`, `tool`."""
    path: Path

    @property
    def size_bytes(self) -> int:
        """What its removal gives back."""
        return self.path.stat().st_size if self.path.is_file() else tree_bytes(self.path)


def leavings(
    layout: HostLayout, keep_releases: int, tool_path: str, now: float | None = None
) -> Iterator[Leaving]:
    """Everything that can go; releases first, so that a half-done removal refers to nothing gone.

    Args:
        layout: The installation.
        keep_releases: The newest ones stay, beside those that slots and state name.
        tool_path: The tool at work, which stays.
        now: Unix time that ages count from; the clock's if left out.
    """
    now = time.time() if now is None else now
    kept, gone = _split_releases(layout, keep_releases)
    yield from (Leaving("release", path) for path in gone)
    if serving_releases(layout) <= {release.get("id") for release in kept}:
        # Without the document of a release that serves, nobody knows what it needs.
        yield from _unreferenced(layout, kept)
    yield from _old_uploads(layout, now)
    yield from _drafts(layout, now)
    yield from _old_runs(layout)
    yield from _old_tools(layout, tool_path, now)


def _split_releases(
    layout: HostLayout, keep_releases: int
) -> tuple[list[dict[str, Any]], list[Path]]:
    """Releases that stay, as their documents, and directories of those that go."""
    serving = serving_releases(layout)
    found = releases(layout)
    newest = {str(release.get("id")) for release in found[:keep_releases]}
    keep_ids = serving | newest
    kept = [release for release in found if release.get("id") in keep_ids]
    parent = Path(layout.release("x")).parent
    gone = [
        directory
        for directory in _entries(parent)
        if directory.name not in keep_ids and not directory.name.startswith(".")
    ]
    return kept, gone


def _unreferenced(layout: HostLayout, kept: list[dict[str, Any]]) -> Iterator[Leaving]:
    layers = {str(layer) for release in kept for layer in release.get("layers", ())}
    models = {str(release.get("model", {}).get("path", "")) for release in kept}
    for path in _entries(Path(layout.layer("x")).parent):
        if str(path) not in layers and not path.name.startswith("."):
            yield Leaving("layer", path)
    for path in _entries(Path(layout.model("x")).parent):
        if str(path) not in models and path.suffix == ".gguf":
            yield Leaving("model", path)


def _old_uploads(layout: HostLayout, now: float) -> Iterator[Leaving]:
    for path in _entries(Path(layout.upload("x")).parent):
        if _age_s(path, now) > _DAY_S:
            yield Leaving("upload", path)


def _drafts(layout: HostLayout, now: float) -> Iterator[Leaving]:
    """Halves and trash that killed processes left."""
    for parent in (
        layout.layer("x"), layout.model("x"), layout.release("x"), layout.run_dir("x"),
    ):  # fmt: skip
        for path in _entries(Path(parent).parent):
            if path.name.startswith(".") and _age_s(path, now) > _DAY_S:
                yield Leaving("leftover", path)


def _old_runs(layout: HostLayout) -> Iterator[Leaving]:
    for record in list(all_records(layout))[KEPT_RUNS:]:
        if end_of(record.journal_path):
            yield Leaving("run", record.directory)


def _old_tools(layout: HostLayout, tool_path: str, now: float) -> Iterator[Leaving]:
    """Tools that nobody runs: a keeper, a runner or a follower may have started long ago."""
    tools = _entries(Path(layout.opt) / "tools")
    if not tools:
        return
    running = _command_lines()
    tools.sort(key=lambda path: _age_s(path, now))
    for path in tools[_KEPT_TOOLS:]:
        if str(path) != tool_path and not any(str(path) in line for line in running):
            yield Leaving("tool", path)


def _command_lines() -> list[str]:
    lines = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(file.read_text(errors="replace"))
        except OSError:
            continue  # ended meanwhile
    return lines


def _entries(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _age_s(path: Path, now: float) -> float:
    try:
        return now - path.lstat().st_mtime
    except FileNotFoundError:
        return 0.0
