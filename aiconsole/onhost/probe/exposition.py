"""The text format of Prometheus, as far as the few metrics of inferd need it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Labels: TypeAlias = Mapping[str, str]
Where: TypeAlias = Callable[[Labels], bool]

_SERIES = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?[ \t]+(\S+)(?:[ \t]+-?\d+)?[ \t]*")
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)')
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", '"': '"', "\\": "\\"}


@dataclass(frozen=True, slots=True)
class Exposition:
    """The samples of the wanted metrics, by name."""

    samples: dict[str, list[tuple[Labels, float]]] = field(default_factory=dict)
    bad_lines: int = 0
    """Lines of a wanted metric that could not be read."""

    def total(self, name: str) -> float | None:
        """The sum over all label sets; None where the metric is absent."""
        found = self.samples.get(name)
        return sum(value for _, value in found) if found else None

    def by_label(self, name: str, label: str, where: Where | None = None) -> dict[str, float]:
        """The sums by the value of one label, over the label sets that `where` takes."""
        sums: dict[str, float] = {}
        for labels, value in self.samples.get(name, ()):
            if where is None or where(labels):
                key = labels.get(label, "")
                sums[key] = sums.get(key, 0.0) + value
        return sums

    def buckets(self, name: str, where: Where | None = None) -> dict[float, float]:
        """Cumulative counts of a histogram by upper bound."""
        bounds: dict[float, float] = {}
        for text, count in self.by_label(f"{name}_bucket", "le", where).items():
            try:
                bound = float(text)
            except ValueError:
                continue
            if not math.isnan(bound):
                bounds[bound] = bounds.get(bound, 0.0) + count
        return bounds


def parse_exposition(text: str, wanted: Iterable[str]) -> Exposition:
    """Read the samples of the wanted metrics; a value that is no finite number is no sample."""
    names = frozenset(wanted)
    samples: dict[str, list[tuple[Labels, float]]] = {}
    bad_lines = 0
    for line in text.split("\n"):
        end = _name_end(line)
        name = line[:end]
        if name not in names:
            continue
        match = _SERIES.fullmatch(line.rstrip("\r"))
        labels = _labels(match[2] or "") if match else None
        value = _number(match[3]) if match else None
        if labels is None or value is None:
            bad_lines += 1
            continue
        samples.setdefault(name, []).append((labels, value))
    return Exposition(samples, bad_lines)


def _name_end(line: str) -> int:
    brace, space = line.find("{"), line.find(" ")
    ends = [end for end in (brace, space) if end >= 0]
    return min(ends, default=len(line))


def _labels(text: str) -> Labels | None:
    labels: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _LABEL.match(text, at)
        if match is None:
            return None
        labels[match[1]] = _ESCAPE.sub(lambda m: _ESCAPED.get(m[1], m[0]), match[2])
        at = match.end()
    return labels


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
