"""The workers of a load, seen from the console: they begin together, and what they count is one."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiconsole.errors import CommandError
from aiconsole.load.spec import Spec
from aiconsole.load.tally import Tally
from aiconsole.secret import Secret

_LINE_BYTES = 64 * 1024 * 1024
_HEAD_START_S = 0.1
"""Between the word to begin and the beginning, so that all workers have read it."""
_LEAVE_S = 3.0


@dataclass(frozen=True, slots=True)
class Beat:
    """What one worker has counted in a quarter of a second."""

    worker: int
    tally: Tally
    in_flight: int
    wall_s: float
    cpu_s: float
    """Of all cores, within `wall_s`."""
    last_s: float
    """When its newest answer ended, by the monotonic clock."""


class Crew:
    """Workers that are ready."""

    def __init__(self, processes: list[Process]) -> None:
        self._processes = processes
        self._beats: asyncio.Queue[Beat | None] = asyncio.Queue()

    async def begin(self) -> float:
        """Let all of them begin; returns the moment, by the monotonic clock."""
        start_s = time.monotonic() + _HEAD_START_S
        for process in self._processes:
            await _write(process, {"start_s": start_s})
        return start_s

    def stop(self) -> None:
        """Send no more, and leave what is at work; their last beats come yet."""
        for process in self._processes:
            if process.stdin:
                process.stdin.close()

    async def beats(self) -> AsyncGenerator[Beat, None]:
        """What they count, until the last of them has ended.

        Raises:
            CommandError: A worker ended before its load.
        """
        readers = [
            asyncio.create_task(self._read(number, process))
            for number, process in enumerate(self._processes)
        ]
        try:
            for _ in readers:
                while beat := await self._beats.get():
                    yield beat
            await asyncio.gather(*readers)
        finally:
            for reader in readers:
                reader.cancel()

    async def _read(self, number: int, process: Process) -> None:
        try:
            while "ended" not in (told := await _listen(process)):
                self._beats.put_nowait(
                    Beat(
                        number,
                        Tally.from_json(told["tally"]),
                        told["in_flight"],
                        told["wall_s"],
                        told["cpu_s"],
                        told["last_s"],
                    )
                )
        finally:
            self._beats.put_nowait(None)


@asynccontextmanager
async def open_crew(spec: Spec, key: Secret | None, workers: int) -> AsyncGenerator[Crew, None]:
    """Start the workers and wait until they are ready; none outlives the context."""
    processes: list[Process] = []
    try:
        for number in range(workers):
            processes.append(await _start(spec.share(number, workers), key))
        for process in processes:
            await _listen(process)
        yield Crew(processes)
    finally:
        await asyncio.gather(*(_end(process) for process in processes))


async def _start(spec: Spec, key: Secret | None) -> Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "aiconsole.load.worker",
        stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=_LINE_BYTES,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        # Ctrl-C is for the console: it asks its workers to end, and hears what they counted.
        start_new_session=True,
    )  # fmt: skip
    await _write(process, {"spec": spec.as_json(), "key": key.reveal() if key else ""})
    return process


async def _write(process: Process, document: dict[str, Any]) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(document).encode() + b"\n")
        await process.stdin.drain()
    except OSError:
        return  # It has ended; who reads from it says so.


async def _listen(process: Process) -> dict[str, Any]:
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        raise await _early_end(process)
    told: dict[str, Any] = json.loads(line)
    return told


async def _early_end(process: Process) -> CommandError:
    assert process.stderr is not None
    said = (await process.stderr.read()).decode(errors="replace").strip().splitlines()
    return CommandError(
        "A worker of the load ended before its time",
        said[-1] if said else f"exit status {await process.wait()}",
        "its share of the load was not sent; fewer --clients or a smaller --rate may fit this"
        " machine",
    )


async def _end(process: Process) -> None:
    if process.stdin:
        process.stdin.close()
    try:
        async with asyncio.timeout(_LEAVE_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
