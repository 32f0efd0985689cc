"""How models, their headers and their memory look: rows for people, documents for scripts."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from aiconsole.bundle.builtin import BUILTIN
from aiconsole.cli.output import print_fields, print_table
from aiconsole.fleet.facts import Facts
from aiconsole.models.describe import Description, Memory
from aiconsole.models.store import Store
from aiconsole.models.version import SHORT_DIGITS, Model, Version
from aiconsole.onhost.wire import HostStatus
from aiconsole.units import UNKNOWN, age_text, bytes_text, count_text, memory_text, moment_text
from aiconsole.visible import visible_lines

MODEL_HEAD = ("MODEL", "VERSION", "SIZE", "TYPE", "PARAMS", "CONTEXT", "AGE", "")
VERSION_HEAD = ("VERSION", "", "SIZE", "TYPE", "ADDED", "FROM")
VERDICT_HEAD = ("HOST", "", "MODEL", "VERSION", "FILE")
VERDICT_CODES = {"good": 0, "bad": 2, "unreadable": 2}
"""Exit codes of what a daemon found; anything else is not known yet."""
HOST_HEAD = ("HOST", "MODEL", "VERSION", "SIZE", "", "IN THE CATALOGUE")

_TEMPLATE_LINES = 12
_WORDS = {"good": "", "bad": "DAMAGED", "missing": "GONE"}


def parameters_text(count: int) -> str:
    """`8.03B`, as the field counts them."""
    return count_text(count).replace("G", "B") if count else UNKNOWN


def model_row(model: Model) -> tuple[str, ...]:
    """A model by its current version."""
    version, others = model.current_version, len(model.versions) - 1
    remarks = [_WORDS[version.condition], f"+{others} older" if others else ""]
    if version.in_place:
        remarks.append("in place")
    return (*version_cells(model.name, version), ", ".join(filter(None, remarks)))


def version_row(model: Model, version: Version) -> tuple[str, ...]:
    """One version of a model, and whether it is the one that a deploy takes."""
    current = "current" if version.sha256 == model.current_version.sha256 else ""
    return (
        version.short,
        _WORDS[version.condition] or current,
        bytes_text(version.size_bytes),
        version.quantisation or UNKNOWN,
        moment_text(version.added_unix_s, "%Y-%m-%d %H:%M"),
        version.source,
    )


def version_cells(name: str, version: Version) -> tuple[str, ...]:
    """The cells of a version."""
    return (
        name,
        version.short,
        bytes_text(version.size_bytes),
        version.quantisation or UNKNOWN,
        parameters_text(version.parameters),
        count_text(version.context_tokens) if version.context_tokens else UNKNOWN,
        age_text(max(0.0, time.time() - version.added_unix_s)),
    )


def builtin_row(model: Description) -> tuple[str, ...]:
    """The model that comes with aiconsole."""
    return (
        BUILTIN.name,
        BUILTIN.sha256[:SHORT_DIGITS],
        bytes_text(model.size_bytes),
        model.quantisation,
        parameters_text(model.parameters),
        count_text(model.context_tokens),
        UNKNOWN,
        "",
    )


def builtin_document(model: Description) -> dict[str, Any]:
    """The same for scripts."""
    return {
        "name": BUILTIN.name,
        "builtin": True,
        "current": BUILTIN.sha256,
        "versions": [
            {
                "sha256": BUILTIN.sha256,
                "size_bytes": model.size_bytes,
                "path": str(BUILTIN.path),
                "architecture": model.architecture,
                "quantisation": model.quantisation,
                "parameters": model.parameters,
                "context_tokens": model.context_tokens,
            }
        ],
    }


def model_document(model: Model, store: Store) -> dict[str, Any]:
    """A model with all its versions."""
    return {
        "name": model.name,
        "builtin": False,
        "current": model.current_version.sha256,
        "versions": [version_document(version, store) for version in model.versions],
    }


def version_document(version: Version, store: Store) -> dict[str, Any]:
    """A version and where its file lies."""
    fields = asdict(version)
    del fields["changed_ns"]
    return {**fields, "in_place": bool(version.in_place), "path": str(store.path(version))}


def host_models(status: HostStatus, models: Iterable[Model]) -> list[dict[str, Any]]:
    """What a host holds, one entry a digest; every text in it is the host's."""
    service = status.service
    known = _names_by_digest(models)
    found: dict[str, dict[str, Any]] = {}
    for document in status.releases:
        model = document.get("model")
        if not isinstance(model, dict):
            continue
        sha256, size = str(model.get("sha256", "")), model.get("size_bytes")
        entry = found.setdefault(
            sha256,
            {
                "name": str(model.get("name", "")),
                "sha256": sha256,
                "size_bytes": size if isinstance(size, int) else None,
                "state": "held",
                "catalogue": known.get(sha256, ""),
            },
        )
        release_id = document.get("id")
        if release_id == service.release_id:
            entry["name"] = str(model.get("name", ""))
            entry["state"] = "serves" if service.wanted == "running" else "stopped"
        elif release_id == service.previous_release_id and entry["state"] == "held":
            entry["state"] = "previous"
    return list(found.values())


def host_row(host: str, entry: dict[str, Any]) -> tuple[str, ...]:
    """One model on a host."""
    return (
        host,
        entry["name"] or UNKNOWN,
        entry["sha256"][:SHORT_DIGITS] or UNKNOWN,
        bytes_text(entry["size_bytes"]),
        entry["state"],
        entry["catalogue"] or UNKNOWN,
    )


_VERDICT_CHARS = 40


def daemon_verdicts(status: HostStatus) -> list[dict[str, str]]:
    """What each running slot found of its model's file; every text in it is the host's."""
    models = {str(doc.get("id", "")): doc.get("model") for doc in status.releases}
    found = []
    for slot in status.slots:
        if slot.state not in ("ready", "draining"):
            continue
        model = models.get(slot.release_id)
        known = model if isinstance(model, dict) else {}
        told = status.daemons.get(slot.slot)
        verdict = told.get("model_verified") if isinstance(told, dict) else None
        found.append(
            {
                "slot": slot.slot,
                "name": str(known.get("name", "")),
                "sha256": str(known.get("sha256", "")),
                "model_verified": str(verdict or "")[:_VERDICT_CHARS],
            }
        )
    return found


def verdict_row(host: str, found: dict[str, str]) -> tuple[str, ...]:
    """One slot of a host."""
    verdict = found["model_verified"]
    words = {
        "good": "✓ good",
        "bad": "✗ DAMAGED",
        "unreadable": "✗ UNREADABLE",
        "": "the daemon did not answer",
    }
    version = found["sha256"][:SHORT_DIGITS] or UNKNOWN
    name = found["name"] or UNKNOWN
    return (host, f"slot {found['slot']}", name, version, words.get(verdict, verdict))


def print_description(model: Description, *, whole_template: bool) -> None:
    """The header, field by field."""
    print_fields(
        [
            ("file", str(model.path)),
            ("size", bytes_text(model.size_bytes)),
            ("title", model.title or UNKNOWN),
            *model.about,
            ("architecture", model.architecture),
            ("parameters", parameters_text(model.parameters)),
            ("layers", f"{model.layers} of {model.embedding:,} numbers a token"),
            ("heads", f"{model.heads} for questions, {model.kv_heads} for keys and values"),
            *([("experts", str(model.experts))] if model.experts else []),
            ("context", f"{model.context_tokens:,} tokens" if model.context_tokens else UNKNOWN),
            ("vocabulary", f"{model.vocabulary:,} tokens" if model.vocabulary else UNKNOWN),
            ("tokenizer", model.tokenizer or UNKNOWN),
            ("quantisation", model.quantisation or UNKNOWN),
        ]
    )
    print()
    head = ("TYPE", "TENSORS", "PARAMS", "SIZE")
    print_table(
        head,
        (
            (
                t.name,
                str(t.tensors),
                parameters_text(t.parameters),
                bytes_text(t.size_bytes or None),
            )
            for t in model.types
        ),
    )
    print()
    _print_template(model.chat_template, whole=whole_template)


def print_memory(
    model: Description, rows: Sequence[Memory], asked_tokens: int, host: str, facts: Facts
) -> None:
    """What serving takes by context, and whether the host has it."""
    slots = rows[0].slots
    print(
        f"Memory on {host}, with {slots} request{'s' if slots > 1 else ''} at once: "
        f"{memory_text(facts.usable_memory_bytes)} are free of {memory_text(memory_total(facts))}"
    )
    head = ("CONTEXT", "FOR ALL", "WEIGHTS", "CONTEXTS", "TOGETHER", "FITS")
    print_table(head, (_memory_row(model, row, asked_tokens, facts) for row in rows))
    if any(row.pool_tokens < row.context_tokens * row.slots for row in rows):
        print("  * requests share the tokens: a quarter of the memory holds all contexts, at most")


def fits(needed_bytes: int, facts: Facts) -> str:
    """`yes`; `not now`: what is free has to grow; `no`: the host is too small."""
    if needed_bytes <= facts.usable_memory_bytes:
        return "yes"
    return "not now" if needed_bytes <= memory_total(facts) else "no"


def memory_total(facts: Facts) -> int:
    """Memory that a deploy counts with: the machine's, or the limit around the login."""
    return min(facts.memory_total_bytes, facts.memory_limit_bytes or facts.memory_total_bytes)


def _memory_row(
    model: Description, row: Memory, asked_tokens: int, facts: Facts
) -> tuple[str, ...]:
    shared = "*" if row.pool_tokens < row.context_tokens * row.slots else ""
    mark = " <" if row.context_tokens == asked_tokens else ""
    return (
        f"{row.context_tokens:,}{mark}",
        f"{row.pool_tokens:,}{shared}",
        memory_text(model.weights_memory_bytes),
        memory_text(row.context_bytes),
        memory_text(row.total_bytes),
        fits(row.total_bytes, facts),
    )


def _print_template(template: str, *, whole: bool) -> None:
    if not template:
        print("No chat template: it continues texts, and does not answer messages.")
        return
    print(f"Chat template, {len(template):,} characters:")
    lines = visible_lines(template)
    if whole:
        print("\n".join(lines))
        return
    columns = max(20, shutil.get_terminal_size().columns - 3)
    for line in lines[:_TEMPLATE_LINES]:
        print(f"  {line if len(line) <= columns else line[: columns - 1] + '…'}")
    if len(lines) > _TEMPLATE_LINES or any(len(line) > columns for line in lines):
        print("  … whole with --template")


def _names_by_digest(models: Iterable[Model]) -> dict[str, str]:
    known = {BUILTIN.sha256: BUILTIN.name}
    for model in models:
        for version in model.versions:
            old = "" if version.sha256 == model.current_version.sha256 else " (not current)"
            if not old or version.sha256 not in known:
                known[version.sha256] = f"{model.name}{old}"
    return known
