"""A load against real servers: what it counts, and from when."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import replace

import psutil
import pytest
from aiohttp import web

from aiconsole.errors import CommandError, SettingsError
from aiconsole.load.exchange import allow_files
from aiconsole.load.histogram import Histogram
from aiconsole.load.progress import Progress
from aiconsole.load.run import run_load
from aiconsole.load.spec import Pace, Shape, Spec
from aiconsole.load.strain import strain_of
from aiconsole.secret import Secret
from tests.contract.load import server
from tests.contract.load.server import Service, service

CLOSED = Pace(clients=2, duration_s=0.0, requests=12)


async def load(
    spec: Spec, workers: int = 1, key: Secret | None = None, stop: asyncio.Event | None = None
) -> Progress:
    """Run a load to its end."""
    *_, last = [found async for found in run_load(spec, key, workers, stop or asyncio.Event())]
    return last


def quantile(histogram: Histogram, share: float) -> float:
    found = histogram.quantile(share)
    assert found is not None
    return found


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not met():  # noqa: ASYNC110 - what it waits for is in another process
            await asyncio.sleep(0.01)


def workers_at_work() -> list[psutil.Process]:
    children = psutil.Process().children()
    return [child for child in children if "aiconsole.load.worker" in child.cmdline()]


def spec_of(found: Service, pace: Pace = CLOSED, *, stream: bool = True) -> Spec:
    return Spec(found.url, Shape(model="bad", stream=stream, unique_mark="m"), pace, timeout_s=20.0)


class Stall:
    """A good service that answers nobody for a while."""

    def __init__(self, after: int, stall_s: float) -> None:
        self._left, self._stall_s = after, stall_s
        self._until_s = 0.0

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self._left -= 1
        if self._left == 0:
            self._until_s = time.monotonic() + self._stall_s
        await asyncio.sleep(max(0.0, self._until_s - time.monotonic()))
        return await server.answer(request)


async def test_a_stall_shows_in_full_in_an_open_loop() -> None:
    """100 requests are due in the 2 s of the stall; one is sent in it by a client that waits."""
    async with service() as found:
        found.handler = Stall(after=50, stall_s=2.0)
        pace = Pace(rate=50.0, arrivals="even", duration_s=4.0)
        total = (await load(spec_of(found, pace, stream=False))).total
        assert (total.sent, total.answered, total.failures) == (200, 200, 0)
        assert quantile(total.latency, 0.99) > 1.8
        # Half of all waited, evenly from 2 s down to 0.
        assert quantile(total.latency, 0.75) > 0.7

        found.handler = Stall(after=50, stall_s=2.0)
        alone = Pace(clients=1, duration_s=0.0, requests=200)
        total = (await load(spec_of(found, alone, stream=False))).total
        assert total.latency.greatest_s > 1.8
        assert quantile(total.latency, 0.75) < 0.7


async def test_requests_that_leave_late_count_from_when_they_were_due() -> None:
    """The client is held for a second: its requests are late, and that is told."""
    async with service() as found:
        pace = Pace(rate=100.0, arrivals="even", duration_s=4.0)
        running = asyncio.create_task(load(spec_of(found, pace, stream=False)))
        await until(lambda: bool(found.bodies))
        [worker] = workers_at_work()
        os.kill(worker.pid, signal.SIGSTOP)
        await asyncio.sleep(1.5)
        os.kill(worker.pid, signal.SIGCONT)
        progress = await running
    total = progress.total
    assert total.answered == 400
    assert quantile(total.late, 0.9) > 0.7
    assert quantile(total.latency, 0.9) > 0.7
    assert any("after their time" in reason for reason in strain_of(progress, 1).reasons)


async def test_what_is_due_beyond_the_bound_is_not_sent_and_counted() -> None:
    async with service() as found:
        found.handler = server.never
        pace = Pace(rate=100.0, arrivals="even", duration_s=1.0, max_in_flight=5)
        spec = replace(spec_of(found, pace), timeout_s=2.0)
        progress = await load(spec)
    total = progress.total
    assert (total.sent, total.not_sent, total.failed) == (5, 95, {"timeout": 5})
    assert "95 due requests not sent" in strain_of(progress, 1).reasons[0]


async def test_a_good_stream_is_measured_piece_by_piece() -> None:
    async with service() as found:
        progress = await load(spec_of(found))
        total = progress.total
        assert (total.answered, total.failures) == (12, 0)
        assert (total.tokens_out, total.tokens_in, total.by_pieces) == (36, 120, 0)
        assert (total.first_token.count, total.between.count) == (12, 24)
        assert quantile(total.between, 0.5) > 0.008
        assert len({str(body["messages"]) for body in found.bodies}) == 12
        assert found.bodies[0]["stream_options"] == {"include_usage": True}


async def test_the_plain_endpoint_of_inferd() -> None:
    async with service() as found:
        found.handler = server.generate
        spec = replace(spec_of(found), shape=Shape("generate", "bad", unique_mark="m"))
        total = (await load(spec)).total
        assert (total.answered, total.tokens_out, total.between.count) == (12, 36, 24)
        assert found.paths == {"/v1/generate"}


async def test_embeddings_come_in_one_piece() -> None:
    async with service() as found:
        found.handler = server.embed
        spec = replace(spec_of(found), shape=Shape("embeddings", "bad", unique_mark="m"))
        total = (await load(spec)).total
        assert (total.answered, total.tokens_in, total.tokens_out) == (12, 60, 0)
        assert total.first_token.count == 0
        assert found.paths == {"/v1/embeddings"}


async def test_workers_share_a_load_and_its_numbers() -> None:
    async with service() as found:
        progress = await load(spec_of(found, replace(CLOSED, clients=3)), workers=2)
        assert progress.total.answered == 12
        assert len({str(body["messages"]) for body in found.bodies}) == 12
        open_pace = Pace(rate=40.0, arrivals="poisson", duration_s=0.0, requests=21)
        progress = await load(spec_of(found, open_pace), workers=2)
        assert progress.total.answered == 21


async def test_the_warm_up_is_sent_and_not_measured() -> None:
    async with service() as found:
        pace = Pace(rate=50.0, arrivals="even", warmup_s=1.0, duration_s=1.0)
        total = (await load(spec_of(found, pace, stream=False))).total
        assert total.sent == total.answered == 50
        assert len(found.bodies) == 100


async def test_the_key_goes_out_as_a_header_and_nowhere_else() -> None:
    async with service() as found:
        running = asyncio.create_task(load(spec_of(found), key=Secret("ak-secret")))
        await until(lambda: bool(found.bodies))
        [worker] = workers_at_work()
        seen = " ".join(worker.cmdline()) + str(worker.environ())
        await running
        assert found.headers["Authorization"] == "Bearer ak-secret"
        assert "ak-secret" not in seen


FAULTS = {
    "HTTP 500": server.status(500, "oops"),
    "HTTP 404": server.status(404),
    "HTTP 429": server.status(429),
    "HTTP 429, told to wait": server.status(429, "slow down", {"Retry-After": "3"}),
    "HTTP 503, told to wait": server.status(503, "full", {"Retry-After": "1"}),
    "HTTP 307": server.status(307, headers={"Location": "http://127.0.0.1:9/"}),
    "reset": server.reset,
    "error event": server.error_stream,
    "timeout": server.never,
}


@pytest.mark.parametrize("kind", FAULTS)
async def test_each_fault_is_its_own_kind(kind: str) -> None:
    async with service() as found:
        found.handler = FAULTS[kind]
        total = (await load(replace(spec_of(found), timeout_s=1.0))).total
    assert (total.answered, total.failed) == (0, {kind: 12})
    assert list(total.examples) == [kind]


@pytest.mark.parametrize("handler", [server.cut_stream, server.short_stream])
async def test_streams_that_break_off(handler: server.Handler) -> None:
    async with service() as found:
        found.handler = handler
        assert (await load(spec_of(found))).total.failed == {"stream cut": 12}


@pytest.mark.parametrize(
    ("handler", "stream"),
    [(server.garbage, True), (server.garbage, False), (server.garbage_stream, True)],
)
async def test_garbage_is_a_bad_answer(handler: server.Handler, stream: bool) -> None:
    async with service() as found:
        found.handler = handler
        assert (await load(spec_of(found, stream=stream))).total.failed == {"bad answer": 12}


async def test_nobody_there() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        spec = Spec(f"http://127.0.0.1:{sock.getsockname()[1]}", Shape(model="m"), CLOSED)
        total = (await load(spec)).total
    assert total.failed == {"no connection": 12}


async def test_faults_among_good_answers() -> None:
    async with service() as found:
        turns = iter([server.answer, server.cut_stream, server.answer, server.status(500)] * 10)

        async def mixed(request: web.BaseRequest) -> web.StreamResponse:
            return await next(turns)(request)

        found.handler = mixed
        total = (await load(spec_of(found))).total
    assert (total.answered, total.failed) == (6, {"stream cut": 3, "HTTP 500": 3})


async def test_a_load_that_is_stopped_reports_what_it_had() -> None:
    async with service() as found:
        stop = asyncio.Event()
        spec = spec_of(found, Pace(clients=3, duration_s=600.0))
        running = asyncio.create_task(load(spec, stop=stop))
        await until(lambda: len(found.bodies) >= 10)
        found.handler = server.never
        await until(lambda: found.never_answered == 3)
        stop.set()
        progress = await running
    total = progress.total
    assert total.answered >= 7
    assert (total.unfinished, total.failures) == (3, 0)
    assert total.sent == total.answered + 3
    assert progress.measured_s < 60
    assert workers_at_work() == []


async def test_a_worker_that_dies_is_told() -> None:
    async with service() as found:
        running = asyncio.create_task(load(spec_of(found, Pace(clients=2, duration_s=600.0))))
        await until(lambda: bool(found.bodies))
        [worker] = workers_at_work()
        worker.kill()
        with pytest.raises(CommandError, match="ended before its time"):
            await running


async def test_more_requests_than_the_system_has_files_for() -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    spec = Spec("http://127.0.0.1:9", pace=Pace(rate=1.0, max_in_flight=most + 1))
    if most == resource.RLIM_INFINITY:
        allow_files(spec)
        return
    with pytest.raises(SettingsError, match="more than this system allows"):
        allow_files(spec)
