"""A load beside an earlier one: what became better, what worse, and whether that can be said."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from aiconsole.errors import SettingsError
from aiconsole.load.report import FORMAT, Report

Verdict: TypeAlias = Literal["better", "worse", "same", "unknown", "differs"]

_LARGEST_BYTES = 64 * 1024 * 1024
_RATE_MARGIN, _MIDDLE_MARGIN, _TAIL_MARGIN = 0.03, 0.05, 0.15
"""What two runs of the same service differ by anyway; a tail rests on few requests."""

_LINES: tuple[tuple[str, str, str, bool, float], ...] = (
    ("requests/s", "rates", "requests_per_s", True, _RATE_MARGIN),
    ("tokens/s out", "rates", "tokens_out_per_s", True, _RATE_MARGIN),
    ("latency p50", "latency_s", "p50", False, _MIDDLE_MARGIN),
    ("latency p90", "latency_s", "p90", False, _MIDDLE_MARGIN),
    ("latency p99", "latency_s", "p99", False, _TAIL_MARGIN),
    ("latency max", "latency_s", "max", False, _TAIL_MARGIN),
    ("first token p50", "first_token_s", "p50", False, _MIDDLE_MARGIN),
    ("first token p99", "first_token_s", "p99", False, _TAIL_MARGIN),
    ("between tokens p50", "between_tokens_s", "p50", False, _MIDDLE_MARGIN),
    ("between tokens p99", "between_tokens_s", "p99", False, _TAIL_MARGIN),
)
"""Name, table and field of the report, whether more is better, and the margin."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One line of the comparison."""

    name: str
    before: float | None
    now: float | None
    ratio: float | None
    """Now by before; None where either is not known or before is zero."""
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two loads beside each other."""

    differences: tuple[str, ...]
    """What makes them loads of different kinds; no line has a verdict then."""
    lines: tuple[Compared, ...]

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        lines = [
            {"name": line.name, "before": line.before, "now": line.now,
             "ratio": line.ratio, "verdict": line.verdict}
            for line in self.lines
        ]  # fmt: skip
        return {"differences": list(self.differences), "lines": lines}


def compare(before: Mapping[str, Any], now: Mapping[str, Any]) -> Comparison:
    """Compare two reports."""
    differences = _differences(before, now)
    lines = [_line(before, now, differences, *line) for line in _LINES]
    old, new = _failed_share(before), _failed_share(now)
    verdict: Verdict = "differs" if differences else _verdict(old, new, more=False, margin=0.0)
    lines.append(Compared("failed share", old, new, _ratio(old, new), verdict))
    known = (line for line in lines if line.before is not None or line.now is not None)
    return Comparison(differences, tuple(known))


def read_report(path: Path) -> Report:
    """Read what `--save` wrote.

    Raises:
        SettingsError: It cannot be read, or is something else.
    """
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise _no_report(path, "it is too large")
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _no_report(path, error.strerror or "") from error
    except (ValueError, RecursionError) as error:
        raise _no_report(path, "it is not JSON") from error
    if not isinstance(document, dict) or document.get("aiconsole_bench") != FORMAT:
        raise _no_report(path, "it is no report of this version's format")
    for name in ("kind", "rates", "requests", "client"):
        if not isinstance(document.get(name), dict):
            raise _no_report(path, f"it has no table {name}")
    return document


def save_report(path: Path, report: Report) -> None:
    """Write a report, whole or not at all.

    Raises:
        SettingsError: It cannot be written.
    """
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        said = error.strerror or ""
        raise SettingsError(f"The report cannot be written to {path}", said) from error


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    old, new = before["kind"], now["kind"]
    names = [*new, *(name for name in old if name not in new)]
    return tuple(
        f"{name.replace('_', ' ')}: {_text(old.get(name))} before, {_text(new.get(name))} now"
        for name in names
        if old.get(name) != new.get(name)
    )


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value in (None, "") else str(value)


def _line(
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    differences: tuple[str, ...],
    name: str,
    table: str,
    field: str,
    more: bool,
    margin: float,
) -> Compared:
    old, new = _number(before, table, field), _number(now, table, field)
    verdict: Verdict = "differs" if differences else _verdict(old, new, more=more, margin=margin)
    return Compared(name, old, new, _ratio(old, new), verdict)


def _ratio(old: float | None, new: float | None) -> float | None:
    return new / old if old and new is not None else None


def _number(report: Mapping[str, Any], table: str, field: str) -> float | None:
    found = report.get(table)
    value = found.get(field) if isinstance(found, Mapping) else None
    return float(value) if isinstance(value, (int, float)) else None


def _verdict(old: float | None, new: float | None, *, more: bool, margin: float) -> Verdict:
    if old is None or new is None:
        return "unknown"
    if abs(new - old) <= margin * old:
        return "same"
    return "better" if (new > old) is more else "worse"


def _failed_share(report: Mapping[str, Any]) -> float | None:
    failed = _number(report, "requests", "failed")
    answered = _number(report, "requests", "answered")
    if failed is None or answered is None or not failed + answered:
        return None
    return failed / (failed + answered)


def _no_report(path: Path, why: str) -> SettingsError:
    return SettingsError(
        f"{path} is no report of a load", why, "write one with: aiconsole bench URL --save FILE"
    )
