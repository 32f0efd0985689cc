"""The commands that look at models: list, inspect, verify."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aiconsole.bundle.builtin import BUILTIN
from aiconsole.cli.ask import ask_terminal
from aiconsole.cli.models_view import (
    HOST_HEAD,
    MODEL_HEAD,
    VERDICT_CODES,
    VERDICT_HEAD,
    VERSION_HEAD,
    builtin_document,
    builtin_row,
    daemon_verdicts,
    fits,
    host_models,
    host_row,
    memory_total,
    model_document,
    model_row,
    print_description,
    print_memory,
    verdict_row,
    version_document,
    version_row,
)
from aiconsole.cli.output import print_json, print_table
from aiconsole.cli.progress_line import ProgressLine
from aiconsole.control.inspection import Inspection, inspect_host
from aiconsole.errors import AiconsoleError
from aiconsole.fleet.facts import Facts, read_facts
from aiconsole.fleet.host import Host
from aiconsole.fleet.select import select_hosts
from aiconsole.models.catalogue import Catalogue
from aiconsole.models.describe import Description, Memory, describe, memory_of, table_contexts
from aiconsole.models.find import find_model
from aiconsole.models.verify import Verified, verify_models
from aiconsole.models.version import Model
from aiconsole.services import Services, open_services
from aiconsole.visible import visible


async def list_models(selectors: Sequence[str], as_json: bool) -> int:
    """Print the catalogue, and what hosts hold; returns the exit code."""
    catalogue = Catalogue()
    models = catalogue.models()
    tell_notes(catalogue)
    builtin = await describe(BUILTIN.path)
    if as_json:
        for model in models:
            print_json(model_document(model, catalogue.store))
        print_json(builtin_document(builtin))
    else:
        print_table(MODEL_HEAD, [*map(model_row, models), builtin_row(builtin)])
    return await _list_hosts(selectors, models, as_json) if selectors else 0


async def _list_hosts(selectors: Sequence[str], models: Sequence[Model], as_json: bool) -> int:
    async with open_services(ask_terminal) as services:
        hosts = select_hosts(services.inventory, selectors)
        answers = await asyncio.gather(*(_ask_host(services, host) for host in hosts))
    rows: list[tuple[str, ...]] = []
    for host, answer in zip(hosts, answers, strict=True):
        if isinstance(answer, AiconsoleError):
            found, said = [], answer.title
            document: dict[str, Any] = answer.as_json()
        else:
            found, said = host_models(answer.status, models), "holds no model"
            document = {"models": found}
        if as_json:
            print_json({"host": host.name, **document})
        rows += [host_row(host.name, entry) for entry in found] or [(host.name, said)]
    if not as_json:
        print()
        print_table(HOST_HEAD, rows)
    return 2 if any(isinstance(answer, AiconsoleError) for answer in answers) else 0


async def _ask_host(services: Services, host: Host) -> Inspection | AiconsoleError:
    try:
        return await inspect_host(services.pool, host)
    except AiconsoleError as error:
        return error


async def inspect(
    text: str, host: str, context: int, slots: int, template: bool, as_json: bool
) -> int:
    """Print a model and its memory; returns the exit code."""
    path, _ = find_model(Path(text))
    assert path is not None, "something was named"
    model = await describe(path)
    async with open_services(ask_terminal) as services:
        session = await services.pool.session(services.inventory.get(host))
        facts = await read_facts(session)
    rows = [
        memory_of(model, tokens, slots, facts.memory_total_bytes)
        for tokens in table_contexts(model, context)
    ]
    usual = memory_of(model, context, slots, facts.memory_total_bytes)
    if as_json:
        print_json(_inspect_document(model, rows, host, facts))
    else:
        print_description(model, whole_template=template)
        _print_versions(text)
        print()
        print_memory(model, rows, usual.context_tokens, host, facts)
    return 0 if usual.total_bytes <= memory_total(facts) else 1


def _print_versions(text: str) -> None:
    """The versions of a name of the catalogue: what `rollback` can take."""
    name = text.partition("@")[0]
    found = next((m for m in Catalogue().models() if m.name == name), None)
    if found is not None:
        print()
        print_table(VERSION_HEAD, (version_row(found, version) for version in found.versions))


def _inspect_document(
    model: Description, rows: Sequence[Memory], host: str, facts: Facts
) -> dict[str, Any]:
    return {
        **asdict(model),
        "path": str(model.path),
        "about": dict(model.about),
        "memory": {
            "host": host,
            "available_bytes": facts.usable_memory_bytes,
            "total_bytes": memory_total(facts),
            "choices": [{**asdict(row), "fits": fits(row.total_bytes, facts)} for row in rows],
        },
    }


async def verify(names: Sequence[str], as_json: bool) -> int:
    """Print each version as it is found; returns the exit code."""
    catalogue = Catalogue()
    models = [catalogue.model(name) for name in names] if names else list(catalogue.models())
    tell_notes(catalogue)
    worst, count = 0, 0
    with ProgressLine() as line:
        async for found in verify_models(catalogue, models, line.show):
            line.clear()
            count += 1
            worst = worst if found.version.condition == "good" else 2
            _print_verified(found, catalogue, as_json)
    if not count and not as_json:
        print("the catalogue is empty: aiconsole models add FILE")
    return worst


async def verify_hosts(selectors: Sequence[str], as_json: bool) -> int:
    """Print what daemons found of their models' files; returns the exit code."""
    async with open_services(ask_terminal) as services:
        hosts = select_hosts(services.inventory, selectors)
        answers = await asyncio.gather(*(_ask_host(services, host) for host in hosts))
    rows: list[tuple[str, ...]] = []
    worst = 0
    for host, answer in zip(hosts, answers, strict=True):
        if isinstance(answer, AiconsoleError):
            worst = 2
            document: dict[str, Any] = answer.as_json()
            rows.append((host.name, answer.title))
        else:
            found = daemon_verdicts(answer.status)
            document = {"slots": found}
            worst = max(worst, *(VERDICT_CODES.get(f["model_verified"], 1) for f in found), 0)
            rows += [verdict_row(host.name, f) for f in found] or [(host.name, "serves nothing")]
        if as_json:
            print_json({"host": host.name, **document})
    if not as_json:
        print_table(VERDICT_HEAD, rows)
    return worst


def _print_verified(found: Verified, catalogue: Catalogue, as_json: bool) -> None:
    if as_json:
        document = version_document(found.version, catalogue.store)
        print_json({"name": found.name, **document, "detail": found.detail})
        return
    words = {"good": "✓ good", "bad": "✗ DAMAGED", "missing": "✗ GONE"}
    print(f"{words[found.version.condition]}  {found.name} {found.version.short}")
    if found.detail:
        print(f"    {visible(str(found.path))}: {visible(found.detail)}")
        again = f"aiconsole models add {visible(found.version.again)} --name {found.name}"
        print(f"  → add it anew: {again}")


def tell_notes(catalogue: Catalogue) -> None:
    """Say on stderr what the operator should know of the index."""
    for note in catalogue.notes:
        print(f"aiconsole: {visible(note)}", file=sys.stderr)
