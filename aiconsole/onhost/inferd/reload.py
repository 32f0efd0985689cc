"""SIGHUP: the settings are read again, and what a running daemon can change is changed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from aiconsole.onhost.inferd.access.cors import Cors
from aiconsole.onhost.inferd.gateway import Gateway
from aiconsole.onhost.inferd.network.listener import Listener
from aiconsole.onhost.inferd.network.tls import Certificate
from aiconsole.onhost.inferd.request.served import Served
from aiconsole.onhost.inferd.settings import (
    AuditSettings,
    AuthSettings,
    CacheSettings,
    CorsSettings,
    LimitSettings,
    MetricsSettings,
    Settings,
    TlsSettings,
    load,
)
from aiconsole.onhost.inferd.settings.table import Table
from aiconsole.onhost.inferd.start_error import StartError

log = logging.getLogger("inferd.reload")


@dataclass(frozen=True, slots=True)
class Parts:
    """What a new setting can reach."""

    gateway: Gateway
    public: Listener
    certificate: Certificate | None


Apply: TypeAlias = Callable[[Parts, Settings], None]
"""Puts one table of new settings in force; a StartError leaves the old one in force."""


class Reload:
    """Reads one file again and again; a bad one leaves all as it is."""

    def __init__(self, path: Path, parts: Parts) -> None:
        self._path = path
        self._parts = parts

    def now(self) -> None:
        """Read the file, apply what can be, and put down what came of it."""
        gateway = self._parts.gateway
        gateway.audit.reopen()
        applied: list[str] = []
        needs_swap: list[str] = []
        fault = ""
        try:
            wanted = load(self._path)
        except StartError as error:
            fault = str(error)
        else:
            applied, needs_swap, fault = self._take(wanted)
        gateway.tally.reload = {
            "at_unix_s": round(time.time(), 3),
            "applied": applied,
            "needs_swap": needs_swap,
            "fault": fault,
        }
        if fault:
            log.error("the settings in force stay: %s", fault)
        if needs_swap:
            log.warning("needs a restart: %s", ", ".join(needs_swap))
        log.info("settings read again: %s", ", ".join(applied) or "nothing to apply")

    def _take(self, wanted: Settings) -> tuple[list[str], list[str], str]:
        """Apply table by table; returns the keys applied, those that need a swap, and the fault."""
        gateway = self._parts.gateway
        applied: list[str] = []
        faults: list[str] = []
        found = list(changes(gateway.settings, wanted))
        for table in dict.fromkeys(key.partition(".")[0] for key in found):
            keys = [key for key in found if key.partition(".")[0] == table and key in LIVE]
            before = gateway.settings
            gateway.settings = with_keys(before, wanted, keys)
            try:
                for apply in dict.fromkeys(LIVE[key] for key in keys):
                    apply(self._parts, gateway.settings)
            except StartError as error:
                gateway.settings = before
                faults.append(f"{table}: {error}")
                continue
            applied += keys
        return applied, [key for key in found if key not in LIVE], "; ".join(faults)


def changes(old: Settings, new: Settings) -> Iterator[str]:
    """Keys that differ, `limits.queue`; a table that came or went is one key, `tls`."""
    for table in Settings.model_fields:
        before, after = getattr(old, table), getattr(new, table)
        if before == after:
            continue
        if not (isinstance(before, Table) and isinstance(after, Table)):
            yield table
            continue
        for key in type(after).model_fields:
            if getattr(before, key) != getattr(after, key):
                yield f"{table}.{key}"


def with_keys(old: Settings, new: Settings, keys: list[str]) -> Settings:
    """The old settings with some keys of the new ones: what is in force once they are applied."""
    update: dict[str, Any] = {}
    for key in keys:
        table, _, name = key.partition(".")
        if not name:
            update[table] = getattr(new, table)
            continue
        there = update.get(table, getattr(old, table))
        update[table] = there.model_copy(update={name: getattr(getattr(new, table), name)})
    return old.model_copy(update=update)


def _nothing(parts: Parts, settings: Settings) -> None:
    """Whoever needs the value looks it up in the gateway's settings each time."""


def _limits(parts: Parts, settings: Settings) -> None:
    limits = settings.limits
    parts.gateway.admission.configure(limits)
    parts.gateway.meter.configure(limits)
    parts.public.configure(read_s=limits.read_timeout_s, write_s=limits.write_timeout_s)


def _auth(parts: Parts, settings: Settings) -> None:
    parts.gateway.change_door(settings.auth)


def _aliases(parts: Parts, settings: Settings) -> None:
    parts.gateway.models = Served(settings.model.name, settings.model.aliases)


def _cache(parts: Parts, settings: Settings) -> None:
    parts.gateway.cache.configure(settings.cache)


def _audit(parts: Parts, settings: Settings) -> None:
    parts.gateway.audit.configure(settings.audit)


def _cors(parts: Parts, settings: Settings) -> None:
    parts.gateway.cors = Cors.of(settings.cors)


def _compat(parts: Parts, settings: Settings) -> None:
    parts.gateway.show_names(settings.metrics)


def _certificate(parts: Parts, settings: Settings) -> None:
    if parts.certificate is not None and settings.tls is not None:
        parts.certificate.configure(settings.tls)


def _whole(table: str, kind: type[Table], apply: Apply) -> dict[str, Apply]:
    return {f"{table}.{key}": apply for key in kind.model_fields}


LIVE: dict[str, Apply] = {
    "model.aliases": _aliases,
    **_whole("limits", LimitSettings, _limits),
    **_whole("auth", AuthSettings, _auth),
    **_whole("cache", CacheSettings, _cache),
    **_whole("audit", AuditSettings, _audit),
    **_whole("metrics", MetricsSettings, _compat),
    **_whole("cors", CorsSettings, _cors),
    **_whole("tls", TlsSettings, _certificate),
    "limits.body_bytes": _nothing,
}
"""What can be changed while requests run, and how; every other key needs a swap.

A WebSocket that is open keeps the `limits.body_bytes` that it began with.
"""
