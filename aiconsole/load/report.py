"""What a load has found, as one document: printed, saved, and compared with a later one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from aiconsole import __version__
from aiconsole.load.histogram import RELATIVE_ERROR, Histogram
from aiconsole.load.progress import Point, Progress
from aiconsole.load.spec import Spec
from aiconsole.load.strain import strain_of
from aiconsole.load.tally import Tally

FORMAT = 1
QUANTILES: dict[str, float] = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}

Report = dict[str, Any]


def report_of(progress: Progress, target: str, workers: int, notes: tuple[str, ...]) -> Report:
    """The document of a load.

    Args:
        progress: All that was counted.
        target: As the operator named it.
        workers: Processes that sent.
        notes: What a reader of the figures should know.
    """
    total, spec = progress.total, progress.spec
    return {
        "aiconsole_bench": FORMAT,
        "version": __version__,
        "at_unix_s": round(time.time()),
        "target": target,
        "url": spec.url,
        "kind": kind_of(spec),
        "ended_early": progress.is_stopped,
        "notes": list(notes),
        "measured_s": round(progress.measured_s, 3),
        "requests": {
            "sent": total.sent,
            "answered": total.answered,
            "failed": total.failures,
            "unfinished": total.unfinished,
            "not_sent": total.not_sent,
        },
        "rates": _rates(progress, progress.measured_s),
        "latency_s": quantiles(total.latency),
        "service_s": quantiles(total.service) if spec.pace.is_open else None,
        "first_token_s": quantiles(total.first_token),
        "between_tokens_s": quantiles(total.between),
        "quantile_error": RELATIVE_ERROR,
        "failures": _failures(total),
        "client": _client(progress, workers),
        "over_time": [_point(point) for point in progress.points],
    }


def kind_of(spec: Spec) -> dict[str, Any]:
    """What makes two loads comparable: everything but the target and the length."""
    shape, pace = spec.shape, spec.pace
    kind: dict[str, Any] = {
        "endpoint": shape.endpoint,
        "model": shape.model,
        "stream": spec.streams,
        "max_tokens": shape.max_tokens if shape.endpoint != "embeddings" else None,
        "ignore_eos": shape.ignore_eos,
        "temperature": shape.temperature,
        "prompts": f"file of {len(shape.prompts)}" if shape.prompts else "made up",
        "prompt_tokens": None if shape.prompts else shape.prompt_tokens,
        "unique": bool(shape.unique_mark),
        "seed": shape.seed,
        "loop": "open" if pace.is_open else "closed",
    }
    if pace.is_open:
        return {**kind, "rate": pace.rate, "arrivals": pace.arrivals,
                "max_in_flight": pace.max_in_flight}  # fmt: skip
    return {**kind, "clients": pace.clients}


def exit_code(report: Mapping[str, Any]) -> int:
    """0 fine; 1 where requests failed or the client was the limit; 2 where nothing worked."""
    requests = report["requests"]
    if not requests["answered"]:
        return 2
    return 1 if requests["failed"] or report["client"]["limited"] else 0


def quantiles(histogram: Histogram) -> dict[str, float] | None:
    """The quantiles that are reported; None where nothing was measured."""
    if not histogram.count:
        return None
    found = {name: histogram.quantile(share) or 0.0 for name, share in QUANTILES.items()}
    return {"mean": histogram.mean_s or 0.0, "least": histogram.least_s, **found,
            "max": histogram.greatest_s, "count": histogram.count}  # fmt: skip


def _rates(progress: Progress, measured_s: float) -> dict[str, Any]:
    total = progress.total
    length_s = measured_s or 1.0
    counted = "pieces of the stream" if total.by_pieces else "usage of the server"
    return {
        "sent_per_s": round(total.sent / length_s, 3),
        "requests_per_s": round(total.requests_in_window / length_s, 3),
        "tokens_out_per_s": round(total.tokens_out / length_s, 2),
        "tokens_in_per_s": round(total.tokens_in / length_s, 2),
        "tokens_counted_by": counted,
    }


def _failures(total: Tally) -> list[dict[str, Any]]:
    """The most frequent kind first."""
    kinds = sorted(total.failed.items(), key=lambda pair: -pair[1])
    return [
        {"kind": kind, "count": count, "example": total.examples.get(kind, "")}
        for kind, count in kinds
    ]


def _client(progress: Progress, workers: int) -> dict[str, Any]:
    strain = strain_of(progress, workers)
    return {
        "processes": workers,
        "cpu": round(strain.cpu, 3),
        "console_cpu": round(progress.own_cpu, 3),
        "loop_lag_p99_s": strain.loop_lag_p99_s,
        "late_p99_s": strain.late_p99_s,
        "limited": list(strain.reasons),
    }


def _point(point: Point) -> dict[str, Any]:
    return {
        "at_s": point.at_s,
        "answered_per_s": round(point.answered, 2),
        "failed_per_s": round(point.failed, 2),
        "latency_p50_s": point.p50_s,
        "latency_p99_s": point.p99_s,
        "in_flight": point.in_flight,
    }
