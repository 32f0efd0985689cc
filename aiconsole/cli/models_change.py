"""The commands that change the catalogue: add, rollback, prune, remove."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Any

from aiconsole.cli.ask import ask_operator, asking
from aiconsole.cli.models_look import tell_notes
from aiconsole.cli.models_view import parameters_text, version_document
from aiconsole.cli.output import print_json, print_table
from aiconsole.cli.progress_line import ProgressLine
from aiconsole.errors import NotConfirmedError, RefusedError
from aiconsole.models.add import Added, Choices, add_model
from aiconsole.models.catalogue import Catalogue
from aiconsole.models.prune import Leftover, leftovers, remove_leftovers
from aiconsole.models.source import Source
from aiconsole.question import Question
from aiconsole.units import bytes_text
from aiconsole.visible import visible


def rollback(name: str, digest: str, as_json: bool) -> None:
    """Make another version current, and say how it comes to hosts."""
    catalogue = Catalogue()
    was, now = catalogue.make_current(name, digest)
    tell_notes(catalogue)
    if as_json:
        print_json({"name": name, "was": was.sha256, "current": now.sha256})
        return
    if was.sha256 == now.sha256:
        print(f"{now.short} is the current version of {name} already")
        return
    print(f"{name} is {now.short} now, in place of {was.short}")
    print(f"  → hosts change with: aiconsole deploy HOST --model {name}")


async def add(source: Source, choices: Choices, as_json: bool) -> None:
    """Add a model, with a line of progress."""
    catalogue = Catalogue()
    with ProgressLine() as line:
        try:
            added = await add_model(catalogue, source, choices, line.show, ask=ask_operator)
        except asyncio.CancelledError:
            line.clear()
            print("Left; what was downloaded is kept for the next time", file=sys.stderr)
            raise
    tell_notes(catalogue)
    if as_json:
        document = version_document(added.version, catalogue.store)
        outcome = {"name": added.name, "outcome": added.outcome, "placed": added.placed}
        print_json({**outcome, **document, "notes": list(added.notes)})
        return
    _print_added(added)


def _print_added(added: Added) -> None:
    version = added.version
    words = {
        "added": f"{added.name} is in the catalogue",
        "current again": f"{added.name} had this version before; it is current again",
        "unchanged": f"{added.name} has this version already",
    }
    kind = " ".join(filter(None, (visible(version.architecture), version.quantisation)))
    print(
        f"{words[added.outcome]}: {version.short}, {bytes_text(version.size_bytes)}, {kind}, "
        f"{parameters_text(version.parameters)} parameters"
    )
    if added.was is not None and added.outcome != "unchanged":
        print(f"  ! it takes the place of {added.was.short}, which stays for a rollback")
    if added.placed == "linked":
        print("  ! it shares its bytes with that file: replace it, do not edit it")
    if added.placed == "in-place":
        print(f"  ! the file stays yours: keep it at {visible(str(added.path))}")
    for note in added.notes:
        print(f"  ! {visible(note)}")
    print(f"  → serve it: aiconsole deploy HOST --model {added.name}")


async def prune(names: Sequence[str], keep: int, yes: bool, as_json: bool) -> None:
    """Show what can go, ask, and remove it."""
    catalogue = Catalogue()
    found = leftovers(catalogue, names, keep)
    tell_notes(catalogue)
    frees_bytes = sum(left.frees_bytes for left in found)
    if found and not as_json:
        print_table(("WHAT", "", "FREES", "FILE"), map(_leftover_row, found))
    if found:
        await _confirm(f"Remove these, and free {bytes_text(frees_bytes)}?", yes)
    deleted = remove_leftovers(catalogue, found)
    if as_json:
        files = [str(path) for path in deleted]
        print_json({"removed": [_leftover_document(left) for left in found], "deleted": files,
                    "freed_bytes": frees_bytes})  # fmt: skip
    elif found:
        print(f"removed {len(found)}, freed {bytes_text(frees_bytes)}")
    else:
        print("nothing to remove")


def _leftover_row(left: Leftover) -> tuple[str, ...]:
    what = f"{left.name} {left.version.short}" if left.version else left.path.name[:20]
    mine = " (yours, stays)" if left.version and left.version.in_place else ""
    return (left.why, what, bytes_text(left.frees_bytes), f"{left.path.name[:16]}…{mine}")


def _leftover_document(left: Leftover) -> dict[str, Any]:
    sha256 = left.version.sha256 if left.version else ""
    return {
        "why": left.why,
        "name": left.name,
        "sha256": sha256,
        "path": str(left.path),
        "frees_bytes": left.frees_bytes,
    }


async def remove(text: str, yes: bool, as_json: bool) -> None:
    """Ask, and take a model or one version out."""
    catalogue = Catalogue()
    name, at, _ = text.partition("@")
    model, version = catalogue.find(text)
    digests = {version.sha256} if at else {v.sha256 for v in model.versions}
    if at and version.sha256 == model.current_version.sha256 and len(model.versions) > 1:
        raise RefusedError(
            f"{version.short} is the current version of {name}",
            "a deploy would silently take another one",
            f"Make another one current first: aiconsole models rollback {name}",
        )
    what = (
        f"version {version.short} of {name}" if at else f"{name}, {_count(len(digests), 'version')}"
    )
    await _confirm(f"Remove {what} from this machine?", yes)
    deleted, kept = catalogue.drop(name, digests)
    if as_json:
        print_json({"name": name, "removed": sorted(digests), "deleted": list(map(str, deleted)),
                    "kept": list(map(str, kept))})  # fmt: skip
        return
    gone = f"version {version.short} of {name}" if at else name
    print(f"{gone} is out of the catalogue; {_count(len(deleted), 'file')} deleted")
    for path in kept:
        print(f"  ! yours, and still there: {visible(str(path))}")


def _count(count: int, thing: str) -> str:
    return f"1 {thing}" if count == 1 else f"{count} {thing}s"


async def _confirm(title: str, yes: bool) -> None:
    if await asking(yes)(Question("confirm", title, danger=True)) is not True:
        raise NotConfirmedError("Nothing was removed")
