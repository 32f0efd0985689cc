"""What a load will do and what it found, as text for people."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from aiconsole.cli.output import print_table
from aiconsole.load.compare import Comparison
from aiconsole.load.report import QUANTILES, Report
from aiconsole.load.spec import Spec
from aiconsole.units import UNKNOWN, count_text, digits, percent, seconds_text, span_text
from aiconsole.visible import visible

_NAME, _CELL = 16, 10
_LABEL = re.compile(r"\S+ {2,}| *!? *")
_TABLES = (
    ("latency", "latency_s"),
    ("  from sending", "service_s"),
    ("first token", "first_token_s"),
    ("between tokens", "between_tokens_s"),
)


def plan_lines(spec: Spec, target: str, workers: int) -> list[str]:
    """What is about to be sent, before it is."""
    pace = spec.pace
    if pace.is_open:
        how = (
            f"open loop: {digits(pace.rate)} requests/s, {pace.arrivals} arrivals, "
            f"at most {pace.max_in_flight:,} at work"
        )
    else:
        how = f"closed loop: {pace.clients:,} clients, each waits for its answer"
    processes = "" if workers == 1 else f", by {workers} processes"
    where = spec.request_url if target == spec.url else f"{target}, by SSH: {spec.request_url}"
    return [
        f"target    {visible(where)}",
        f"pace      {how}{processes}",
        f"measured  {_length(spec)}",
        f"prompts   {_prompts(spec)}",
        f"answers   {_answers(spec)}",
    ]


def _length(spec: Spec) -> str:
    pace = spec.pace
    parts = []
    if pace.duration_s:
        parts.append(_span(pace.duration_s))
        if pace.is_open:
            parts.append(f"about {pace.rate * pace.duration_s:,.0f} requests")
    if pace.requests:
        parts.append(f"{pace.requests:,} requests")
    warm = f", after {_span(pace.warmup_s)} of warm-up" if pace.warmup_s else ""
    return f"{', '.join(parts)}{warm}; a request may take {_span(spec.timeout_s)}"


def _prompts(spec: Spec) -> str:
    shape = spec.shape
    if shape.prompts:
        many = "1 prompt" if len(shape.prompts) == 1 else f"{len(shape.prompts):,} prompts in turn"
        what = f"{many}, from the file"
    else:
        what = f"made up, about {shape.prompt_tokens:,} tokens each, seed {shape.seed}"
    if shape.unique_mark:
        return f"{what}; each begins with a mark that no cache knows"
    return f"{what}; they repeat, so caches may know them"


def _answers(spec: Spec) -> str:
    shape = spec.shape
    model = f" by {visible(shape.model)}" if shape.model else ""
    if shape.endpoint == "embeddings":
        return f"vectors{model}"
    most = "exactly" if shape.ignore_eos else "at most"
    streamed = "streamed" if spec.streams else "in one piece"
    return f"{most} {shape.max_tokens:,} tokens{model}, {streamed}"


def wrapped(text: str, columns: int) -> str:
    """The text with lines that fit the terminal; what goes on is indented like its beginning."""
    return "\n".join(
        textwrap.fill(line, columns, subsequent_indent=" " * _hanging(line), break_on_hyphens=False)
        if len(line) > columns
        else line
        for line in text.split("\n")
    )


def _hanging(line: str) -> int:
    """Where the text of a line begins after its label or mark."""
    label = _LABEL.match(line)
    return min(label.end(), 12) if label else 0


def print_report(report: Report) -> None:
    """Print what was found."""
    requests, rates = report["requests"], report["rates"]
    early = " (ended early)" if report["ended_early"] else ""
    print(f"\n{_counts(requests)} in {_span(report['measured_s'])}{early}")
    print(
        f"{digits(rates['requests_per_s'])} requests/s answered"
        f" of {digits(rates['sent_per_s'])} sent, "
        f"{digits(rates['tokens_out_per_s'])} tokens/s out, "
        f"{digits(rates['tokens_in_per_s'])} tokens/s in"
        + (", counted as pieces of the stream" if "pieces" in rates["tokens_counted_by"] else "")
    )
    rows = [_row(name, report[table]) for name, table in _TABLES if report.get(table)]
    if rows:
        print()
        for name, *cells in (("", *QUANTILES, "max"), *rows):
            print(name.ljust(_NAME) + "".join(cell.rjust(_CELL) for cell in cells))
        print(f"latency counts {_from(report)}")
    if report["failures"]:
        print("\nFailures")
        for failure in report["failures"]:
            print(f"  {failure['count']:>8,}  {visible(failure['kind'])}")
            if failure["example"]:
                print(f"            {_short(failure['example'])}")
    _print_client(report["client"], report["notes"])


def print_comparison(comparison: Comparison, name: str) -> None:
    """Print two loads beside each other."""
    print(f"\nBeside {visible(name)}")
    if comparison.differences:
        print("  These are loads of different kinds, so there is no verdict:")
        for difference in comparison.differences:
            print(f"  ! {visible(difference)}")
    rows = [
        (
            line.name,
            _value(line.name, line.before),
            _value(line.name, line.now),
            f"x {line.ratio:.2f}" if line.ratio is not None else UNKNOWN,
            "" if line.verdict == "differs" else line.verdict,
        )
        for line in comparison.lines
    ]
    print_table(("", "BEFORE", "NOW", "RATIO", ""), rows)


def progress_line(figures: Mapping[str, Any]) -> str:
    """One line for a log, while it runs."""
    return (
        f"{_span(figures['at_s']):>8}  {digits(figures['answered']):>6} requests/s  "
        f"p50 {seconds_text(figures['p50_s'])}  p99 {seconds_text(figures['p99_s'])}  "
        f"failed {figures['failed']:,}  at work {figures['in_flight']:,}"
    )


def _counts(requests: Mapping[str, int]) -> str:
    parts = [f"{requests['answered']:,} answered", f"{requests['failed']:,} failed"]
    if requests["unfinished"]:
        parts.append(f"{requests['unfinished']:,} unfinished")
    if requests["not_sent"]:
        parts.append(f"{requests['not_sent']:,} not sent")
    return f"{requests['sent']:,} requests: {', '.join(parts)}"


def _row(name: str, table: Mapping[str, float]) -> tuple[str, ...]:
    return (name, *(seconds_text(table[q]) for q in (*QUANTILES, "max")))


def _from(report: Report) -> str:
    if report["kind"]["loop"] == "open":
        return "from when a request was due, so a server that stalls shows in full"
    return "from sending: a closed loop sends less to a slow server, so it flatters the tail"


def _print_client(client: Mapping[str, Any], notes: Iterable[str]) -> None:
    if client["limited"]:
        print("\nTHE CLIENT WAS THE LIMIT: these figures are not the server's alone")
        for reason in client["limited"]:
            print(f"  ! {reason}")
    else:
        lag = seconds_text(client["loop_lag_p99_s"])
        print(f"\nThe client was not the limit: {percent(client['cpu'] * 100)} of a core, "
              f"at most {lag} behind in 99 % of its turns")  # fmt: skip
    for note in notes:
        print(f"  ! {visible(note)}")


def _value(name: str, value: float | None) -> str:
    if value is None:
        return UNKNOWN
    if name == "failed share":
        return f"{value * 100:.2f} %"
    return count_text(value) if "/s" in name else seconds_text(value)


def _span(seconds: float) -> str:
    return span_text(seconds) if seconds >= 60 or seconds == int(seconds) else f"{seconds:.1f} s"


def _short(text: str) -> str:
    shown = visible(text)
    return shown if len(shown) <= 100 else shown[:99] + "…"
