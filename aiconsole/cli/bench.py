"""bench: load for one service, and what its clients would have seen of it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
import secrets
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, TextIO

import typer

from aiconsole.cli.bench_target import Reached, find, prove, reach, read_key
from aiconsole.cli.bench_text import plan_lines, print_comparison, print_report, wrapped
from aiconsole.cli.bench_view import in_ascii, open_view, speaks_unicode
from aiconsole.cli.output import print_json
from aiconsole.errors import SettingsError
from aiconsole.load.compare import Comparison, compare, read_report, save_report
from aiconsole.load.exchange import allow_files, tls_context
from aiconsole.load.progress import Progress
from aiconsole.load.prompts import read_prompts
from aiconsole.load.report import Report, exit_code, report_of
from aiconsole.load.run import run_load
from aiconsole.load.spec import Arrivals, Endpoint, Pace, Shape, Spec
from aiconsole.load.target import is_here
from aiconsole.secret import Secret

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|min|h|)")
_SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_DEFAULT_DURATION_S, _DEFAULT_CLIENTS = 30.0, 4


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the operator asked for."""

    target: str
    """A URL, or a host of the fleet."""
    spec: Spec
    """Its URL is filled in when the target is reached."""
    key: Secret | None
    workers: int
    save: Path | None
    before: Report | None
    """The report to compare with."""
    before_name: str
    ascii_only: bool
    as_json: bool
    yes: bool


def bench(
    target: Annotated[str, typer.Argument(help="The URL of a service, or a host of the fleet.")],
    rate: Annotated[
        float, typer.Option(help="Requests a second, on a schedule (open loop).", min=0.0)
    ] = 0.0,
    clients: Annotated[
        int, typer.Option(help="Clients that wait for their answers; 4 without --rate.", min=0)
    ] = 0,
    duration: Annotated[str, typer.Option(help="Measured time: 30s, 5m.")] = "",
    requests: Annotated[int, typer.Option(help="Measured requests.", min=0)] = 0,
    warmup: Annotated[str, typer.Option(help="Load that is not measured, before.")] = "0s",
    arrivals: Annotated[
        Arrivals, typer.Option(help="poisson: as independent clients come; even: equal distances.")
    ] = "poisson",
    max_in_flight: Annotated[
        int, typer.Option(help="Of --rate: at work at once; more are not sent.", min=1)
    ] = 1000,
    timeout: Annotated[str, typer.Option(help="For one request.")] = "60s",
    processes: Annotated[
        int, typer.Option(help="That share the load, where one is the limit.", min=1, max=64)
    ] = 1,
    endpoint: Annotated[Endpoint, typer.Option(help="What is asked for.")] = "chat",
    model: Annotated[str, typer.Option(help="Default: the first that the service lists.")] = "",
    stream: Annotated[bool, typer.Option(help="Whether answers come piece by piece.")] = True,
    max_tokens: Annotated[int, typer.Option(help="Of an answer.", min=1)] = 64,
    ignore_eos: Annotated[
        bool, typer.Option("--ignore-eos", help="Ask for all of --max-tokens, where it is known.")
    ] = False,
    temperature: Annotated[
        float | None, typer.Option(help="Default: the service's own.", min=0.0)
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="One a line; or JSON with prompt or messages, max_tokens.")
    ] = None,
    prompt_tokens: Annotated[
        int, typer.Option(help="Of made-up prompts, about.", min=1, max=1_000_000)
    ] = 64,
    unique: Annotated[
        bool, typer.Option(help="Begin each prompt with a mark that no cache knows.")
    ] = True,
    seed: Annotated[int, typer.Option(help="Of made-up prompts and Poisson arrivals.")] = 1,
    key_file: Annotated[
        Path | None, typer.Option(help="Holds the key; else AICONSOLE_BENCH_KEY, or it is asked.")
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option(help="PEM of the authority that signed the certificate.")
    ] = None,
    save: Annotated[Path | None, typer.Option(help="Write the report, as JSON.")] = None,
    compare_with: Annotated[
        Path | None, typer.Option("--compare", help="A saved report to set beside this one.")
    ] = None,
    ascii_only: Annotated[bool, typer.Option("--ascii", help="Draw with ASCII.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
) -> None:
    """Send load to one service, and measure what its clients see.

    Exits 1 where requests failed or this machine was the limit, 2 where nothing worked.
    """
    shape = Shape(
        endpoint, model, stream, max_tokens, temperature, ignore_eos, prompt_tokens, seed,
        secrets.token_hex(4) if unique else "", read_prompts(prompts) if prompts else (),
    )  # fmt: skip
    if rate and clients:
        raise typer.BadParameter("give either --rate or --clients", param_hint="--rate")
    limit_s = _seconds(duration, "--duration") if duration else 0.0
    pace = Pace(
        rate, arrivals, clients or _DEFAULT_CLIENTS, max_in_flight, _seconds(warmup, "--warmup"),
        limit_s if limit_s or requests else _DEFAULT_DURATION_S, requests,
    )  # fmt: skip
    timeout_s = _seconds(timeout, "--timeout")
    if not timeout_s or (duration and not limit_s):
        raise typer.BadParameter("it must be longer than nothing", param_hint="--timeout")
    if ca_file:
        tls_context(str(ca_file))
    spec = Spec("", shape, pace, timeout_s, str(ca_file.resolve()) if ca_file else "")
    before = read_report(compare_with) if compare_with else None
    wanted = Wanted(
        target, spec, read_key(key_file), _workers(processes, pace), save, before,
        str(compare_with or ""), ascii_only or not speaks_unicode(), as_json, yes,
    )  # fmt: skip
    raise typer.Exit(asyncio.run(_bench(wanted)))


async def _bench(wanted: Wanted) -> int:
    allow_files(wanted.spec.share(0, wanted.workers))
    async with reach(wanted.target, yes=wanted.yes) as reached:
        spec, key = await find(replace(wanted.spec, url=reached.url), wanted.key)
        name = wanted.target if reached.lost else reached.url
        _tell(plan_lines(spec, name, wanted.workers), wanted)
        key = await prove(spec, key)
        notes = [*reached.notes]
        if key and spec.url.startswith("http://") and not is_here(spec.url):
            notes.append("the key went out in the clear: this is http, not https")
        progress = await _run(spec, key, name, wanted, reached, notes)
    report = report_of(progress, wanted.target, wanted.workers, tuple(notes))
    comparison = compare(wanted.before, report) if wanted.before else None
    if wanted.save:
        save_report(wanted.save, report)
    _print(report, comparison, wanted)
    return exit_code(report)


async def _run(
    spec: Spec,
    key: Secret | None,
    name: str,
    wanted: Wanted,
    reached: Reached,
    notes: list[str],
) -> Progress:
    stop = asyncio.Event()

    async def watch_line() -> None:
        if reached.lost:
            await reached.lost()
            notes.append("the line to the host was lost: the load ended there")
            stop.set()

    progress: Progress | None = None
    with open_view(name, wanted.workers, ascii_only=wanted.ascii_only) as view, _interrupts(stop):
        watching = asyncio.create_task(watch_line())
        try:
            async with aclosing(run_load(spec, key, wanted.workers, stop)) as load:
                async for progress in load:
                    view.show(progress)
        finally:
            watching.cancel()
    assert progress is not None
    return progress


@contextmanager
def _interrupts(stop: asyncio.Event) -> Iterator[None]:
    """Ctrl-C ends the load and reports; a second one leaves at once."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def interrupt() -> None:
        if stop.is_set():
            task.cancel()
        stop.set()

    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, interrupt)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


def _print(report: Report, comparison: Comparison | None, wanted: Wanted) -> None:
    if wanted.as_json:
        compared = {"comparison": comparison.as_json()} if comparison else {}
        print_json({**report, **compared})
        return
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        print_report(report)
        if comparison:
            print_comparison(comparison, wanted.before_name)
    _write(text.getvalue(), sys.stdout, wanted)


def _tell(lines: list[str], wanted: Wanted) -> None:
    """Print what is about to happen, aside from the report."""
    _write("\n".join([*lines, ""]), sys.stderr, wanted)


def _write(text: str, stream: TextIO, wanted: Wanted) -> None:
    if stream.isatty():
        text = wrapped(text, shutil.get_terminal_size().columns)
    print(in_ascii(text) if wanted.ascii_only else text, end="", file=stream, flush=True)


def _workers(processes: int, pace: Pace) -> int:
    most = min(
        filter(None, (pace.requests, 0 if pace.is_open else pace.clients)), default=processes
    )
    if processes > most:
        raise SettingsError(
            f"{processes} processes have nothing to share",
            f"there are {most} clients or requests",
            f"--processes {most}",
        )
    return processes


def _seconds(text: str, option: str) -> float:
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise typer.BadParameter(f"{text!r} is no time: write 30s, 5m or 1h", param_hint=option)
    return float(found[1]) * _SECONDS[found[2]]
