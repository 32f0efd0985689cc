"""Ending a slot without losing a request, told on the way."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from aiconsole.onhost.runner.runtimes import Runtime
from aiconsole.onhost.runner.steps.kind import Context
from aiconsole.onhost.runner.tally import Count, number

_COUNT_EACH_S = 0.25
_SAY_EACH_S = 1.0


def end_slot(
    context: Context,
    runtime: Runtime,
    slot: str,
    drain_timeout_s: float,
    counts: Sequence[Count] = (),
) -> bool:
    """Drain and end a slot, and bring its counts to their end.

    Returns:
        False where requests were cut because they took longer than the limit.

    Raises:
        StepError: It could not be ended.
    """
    with ThreadPoolExecutor(1) as pool:
        stopping = pool.submit(runtime.stop, slot, drain_timeout_s)
        _follow(context, slot, stopping, counts)
        drained = stopping.result()
    for count in counts:
        count.ended()
    if not drained:
        context.say(f"Slot {slot} did not finish within {drain_timeout_s:g} s and was ended")
    return drained


def _follow(context: Context, slot: str, stopping: Future[bool], counts: Sequence[Count]) -> None:
    began = said_at = time.monotonic()
    while not wait([stopping], _COUNT_EACH_S).done:
        left = sum(number(count.ask(), "in_flight") for count in counts)
        now = time.monotonic()
        if left and now - said_at > _SAY_EACH_S:
            said_at = now
            context.say(f"Slot {slot} finishes {left} requests, {now - began:.0f} s")
