"""Answers given again, by a daemon that keeps them in memory."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract.inferd.running import Running, daemon, settings_text, until
from tests.contract.inferd.scrape import Scrape

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
SAID = "x-inferd-cache"


def cached(model: Path, cache: str = "", **options: str) -> str:
    return settings_text(model, **options) + f'\n[cache]\nbackend = "memory"\n{cache}\n'


def ask(name: str, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": name}]
    return {"messages": messages, "max_tokens": 12, "temperature": 0, **more}


@pytest.fixture(scope="module")
def keeping(tiny_model: Path) -> Iterator[Running]:
    """One daemon for the tests that only ask."""
    with (
        tempfile.TemporaryDirectory(prefix="inferd-test-") as name,
        daemon(Path(name), cached(tiny_model)) as running,
    ):
        yield running.until_ready()


@pytest.fixture
def client(keeping: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=keeping.url, timeout=60) as client:
        yield client


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    texts = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    assert texts.pop() == "[DONE]"
    return [json.loads(text) for text in texts]


def test_the_same_question_gets_the_same_bytes(keeping: Running, client: httpx.Client) -> None:
    before = Scrape(keeping.url)
    first = client.post(CHAT, json=ask("same"))
    again = client.post(CHAT, json=ask("same", user="another"))
    assert (first.headers[SAID], again.headers[SAID]) == ("miss", "hit")
    assert again.content == first.content
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    lines = [keeping.audit_of(answer) for answer in (first, again)]
    assert [line["cache"] for line in lines] == ["miss", "hit"]
    for name in ("prompt_tokens", "completion_tokens", "finish", "prompt_sha256", "code"):
        assert lines[0][name] == lines[1][name]
    after = Scrape(keeping.url)

    def grown(name: str, **labels: str) -> float:
        return after.value(name, **labels) - before.value(name, **labels)

    made = first.json()["usage"]["completion_tokens"]
    assert grown("inferd_cache_requests_total", result="hit") == 1
    assert grown("inferd_completion_tokens_total") == made  # what the engine has made
    assert grown("inferd_cached_tokens_total", kind="completion") == made
    assert grown("inferd_time_to_first_token_seconds_count") == 1
    assert grown("inferd_requests_total", route="chat", code="200") == 2
    assert after.value("inferd_cache_up") == 1


@pytest.mark.parametrize("stream_first", [False, True])
def test_streams_and_whole_answers_are_one(client: httpx.Client, stream_first: bool) -> None:
    question = ask(f"either way {stream_first}")
    options = {"stream": True, "stream_options": {"include_usage": True}}
    shapes: list[dict[str, Any]] = [options, {}] if stream_first else [{}, options]
    answers = [client.post(CHAT, json={**question, **shape}) for shape in shapes]
    assert [answer.headers[SAID] for answer in answers] == ["miss", "hit"]
    stream, whole = answers if stream_first else reversed(answers)
    pieces = events(stream)
    text = "".join(p["choices"][0]["delta"].get("content") or "" for p in pieces if p["choices"])
    assert text == whole.json()["choices"][0]["message"]["content"]
    assert pieces[-1]["usage"] == whole.json()["usage"]
    assert pieces[-1]["choices"] == []
    assert pieces[-2]["choices"][0]["finish_reason"] == "length"
    assert pieces[0]["choices"][0]["delta"]["role"] == "assistant"
    assert stream.headers["content-type"].startswith("text/event-stream")
    plain = events(client.post(CHAT, json={**question, "stream": True}))
    assert not any("usage" in piece for piece in plain)


def test_completions_and_lists_of_prompts(client: httpx.Client) -> None:
    question = {"prompt": ["one", "two"], "max_tokens": 5, "temperature": 0}
    first, again = (client.post(TEXT, json=question) for _ in range(2))
    assert [first.headers[SAID], again.headers[SAID]] == ["miss", "hit"]
    assert first.content == again.content
    pieces = events(client.post(TEXT, json={**question, "stream": True}))
    for index in range(2):
        text = "".join(c["text"] for p in pieces for c in p["choices"] if c["index"] == index)
        assert text == first.json()["choices"][index]["text"]


@pytest.mark.parametrize(
    ("more", "headers", "said"),
    [
        ({"temperature": 0.7}, {}, ["bypass", "bypass"]),
        ({"temperature": None}, {}, ["bypass", "bypass"]),
        ({"n": 2}, {}, ["bypass", "bypass"]),
        ({"cache": False}, {}, ["bypass", "bypass"]),
        ({}, {SAID: "no-store"}, ["bypass", "bypass"]),
        ({}, {"cache-control": "no-store"}, ["bypass", "bypass"]),
        ({"temperature": 0.7, "cache": True}, {}, ["miss", "hit"]),
        ({"temperature": 0.7}, {SAID: "use"}, ["miss", "hit"]),
        ({"n": 2, "cache": True}, {}, ["bypass", "bypass"]),
    ],
)
def test_what_is_kept(
    client: httpx.Client, more: dict[str, Any], headers: dict[str, str], said: list[str]
) -> None:
    question = ask(f"kept? {more} {headers}", **more)
    answers = [client.post(CHAT, json=question, headers=headers) for _ in range(2)]
    assert [answer.headers[SAID] for answer in answers] == said


def test_wishes_that_are_not_understood(client: httpx.Client) -> None:
    body = client.post(CHAT, json=ask("x", cache="yes"))
    header = client.post(CHAT, json=ask("x"), headers={SAID: "maybe"})
    assert (body.status_code, body.json()["error"]["param"]) == (400, "cache")
    assert (header.status_code, header.json()["error"]["param"]) == (400, SAID)


def test_a_proof_over_the_admin_socket_comes_from_the_engine(
    keeping: Running, client: httpx.Client
) -> None:
    assert client.post(CHAT, json=ask("proof")).headers[SAID] == "miss"
    transport = httpx.HTTPTransport(uds=str(keeping.run_dir / "admin.sock"))
    with httpx.Client(transport=transport, base_url="http://admin", timeout=60) as admin:
        assert admin.post(CHAT, json=ask("proof")).headers[SAID] == "bypass"
        assert admin.post(CHAT, json=ask("proof", cache=True)).headers[SAID] == "hit"


def test_errors_are_not_kept(client: httpx.Client) -> None:
    for _ in range(2):
        answer = client.post(CHAT, json=ask("word " * 9000))
        assert (answer.status_code, answer.headers[SAID]) == (400, "miss")


def test_without_a_cache_nothing_is_said(shared: Running) -> None:
    answer = httpx.post(shared.url + CHAT, json=ask("off"))
    assert SAID not in answer.headers
    assert shared.audit_of(answer)["cache"] == ""
    assert shared.status()["cache"] == {"backend": "off"}
    assert "inferd_cache_up" not in Scrape(shared.url).families


@pytest.mark.parametrize("shared_by_all", [False, True])
def test_clients_do_not_see_each_others_answers(
    room: Path, tiny_model: Path, shared_by_all: bool
) -> None:
    keys = [
        {"id": n, "label": n, "created_unix_s": 0, "sha256": hashlib.sha256(n.encode()).hexdigest()}
        for n in ("ak-a", "ak-b")
    ]
    (room / "keys.json").write_text(json.dumps({"keys": keys}))
    auth = f'required = true\nkeys_file = "{room}/keys.json"'
    text = cached(tiny_model, f"shared = {str(shared_by_all).lower()}", auth=auth)
    with daemon(room, text) as running:
        running.until_ready()

        def said(key: str) -> str:
            headers = {"authorization": f"Bearer {key}"}
            return httpx.post(running.url + CHAT, json=ask("q"), headers=headers).headers[SAID]

        assert [said("ak-a"), said("ak-a")] == ["miss", "hit"]
        assert said("ak-b") == ("hit" if shared_by_all else "miss")


def test_time_and_size_have_ends(room: Path, tiny_model: Path) -> None:
    with daemon(room, cached(tiny_model, "ttl_s = 1.5\nmax_entry_bytes = 1024")) as running:
        running.until_ready()
        with httpx.Client(base_url=running.url, timeout=60) as client:

            def said(**more: Any) -> str:
                return client.post(CHAT, json=ask("ends", **more)).headers[SAID]

            long = {"max_tokens": 1000, "ignore_eos": True}
            assert [said(**long), said(**long)] == ["miss", "miss"]
            began = time.monotonic()
            assert said() == "miss"
            status = running.status()["cache"]
            assert (status["backend"], status["up"], status["entries"]) == ("memory", True, 1)
            if (again := said()) != "hit":
                assert time.monotonic() - began > 1.5, again
            until(lambda: said() == "miss", "the end of its time")


SLOW = {"max_tokens": 600, "ignore_eos": True}


@pytest.fixture
async def many() -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=100)
    async with httpx.AsyncClient(timeout=120, limits=limits) as client:
        yield client


async def _begin(
    many: httpx.AsyncClient, running: Running, count: int, **more: Any
) -> list[asyncio.Task[httpx.Response]]:
    """Ask the same, and return when all of it is at work."""
    known = running.status()["in_flight"]
    question = ask("together", **{**SLOW, **more})
    tasks = [
        asyncio.create_task(many.post(running.url + CHAT, json=question)) for _ in range(count)
    ]

    def at_work() -> bool:
        return bool(running.status()["in_flight"] >= known + count)

    while not await asyncio.to_thread(at_work):
        assert not any(task.done() for task in tasks)
    return tasks


async def test_who_asks_the_same_waits_for_the_first(
    room: Path, slow_model: Path, many: httpx.AsyncClient
) -> None:
    # One place and no queue: whoever did not wait for the first would be refused.
    with daemon(room, cached(slow_model, limits="running = 1\nqueue = 1")) as running:
        running.until_ready()
        first = await _begin(many, running, 1)
        others = await _begin(many, running, 20) + await _begin(many, running, 5, stream=True)
        answers = await asyncio.gather(*first, *others)
        assert {answer.status_code for answer in answers} == {200}
        assert [a.headers[SAID] for a in answers] == ["miss"] + ["joined"] * 25
        assert {answer.content for answer in answers[:21]} == {answers[0].content}
        assert Scrape(running.url).value("inferd_completion_tokens_total") == 600
        joined = running.audit_of(answers[1])
        assert (joined["cache"], joined["completion_tokens"]) == ("joined", 600)

        # While the place and the queue are taken, what is kept is given all the same.
        busy = await _begin(many, running, 2, seed=1, cache=False)
        refused = await many.post(running.url + CHAT, json=ask("new"))
        again = await many.post(running.url + CHAT, json=ask("together", **SLOW))
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "queue_full")
        assert (again.status_code, again.headers[SAID]) == (200, "hit")
        await asyncio.gather(*busy)


async def test_when_the_first_leaves_the_next_one_computes(
    room: Path, slow_model: Path, many: httpx.AsyncClient
) -> None:
    with daemon(room, cached(slow_model)) as running:
        running.until_ready()
        (first,) = await _begin(many, running, 1)
        others = await _begin(many, running, 4)
        first.cancel()
        answers = await asyncio.gather(*others)
        assert {answer.status_code for answer in answers} == {200}
        assert sorted(a.headers[SAID] for a in answers) == ["joined"] * 3 + ["miss"]
        assert {a.json()["usage"]["completion_tokens"] for a in answers} == {600}
        until(lambda: any(line["code"] == 499 for line in running.audit), "the one who left")
        assert running.status()["in_flight"] == 0


async def test_who_waits_keeps_their_own_time(
    room: Path, slow_model: Path, many: httpx.AsyncClient
) -> None:
    text = cached(slow_model, limits="total_timeout_s = 1.5")
    with daemon(room, text) as running:
        running.until_ready()
        endless = {"max_tokens": 8000}

        async def timed() -> tuple[int, float]:
            began = time.monotonic()
            question = ask("endless", **{**SLOW, **endless})
            answer = await many.post(running.url + CHAT, json=question)
            return answer.status_code, time.monotonic() - began

        first = asyncio.create_task(timed())
        await asyncio.sleep(0.7)
        # The first one's time ends when this one has been there for 0.8 s: it then computes
        # by itself, and has all of its own 1.5 s.
        code, took_s = await timed()
        assert (await first)[0] == code == 504
        assert took_s >= 1.4


async def test_an_engine_that_dies_fails_only_who_computed(
    room: Path, slow_model: Path, many: httpx.AsyncClient
) -> None:
    with daemon(room, cached(slow_model)) as running:
        running.until_ready()
        (first,) = await _begin(many, running, 1)
        os.kill(running.engine_pid(), signal.SIGKILL)
        broken = await first
        assert (broken.status_code, broken.headers[SAID]) == (503, "miss")
        until(lambda: httpx.get(running.url + "/ready").status_code == 200, "ready again")
        again = await many.post(running.url + CHAT, json=ask("together", **SLOW))
        assert (again.status_code, again.headers[SAID]) == (200, "miss")


async def test_a_drain_reaches_those_who_wait(
    room: Path, slow_model: Path, many: httpx.AsyncClient
) -> None:
    limits = "drain_timeout_s = 0.3\nidle_grace_s = 0"
    with daemon(room, cached(slow_model, limits=limits)) as running:
        running.until_ready()
        asked = await _begin(many, running, 1, max_tokens=8000, seed=2)
        asked += await _begin(many, running, 3, max_tokens=8000, seed=2)
        running.process.send_signal(signal.SIGTERM)
        answers = await asyncio.gather(*asked)
        assert {a.status_code for a in answers} == {503}
        assert {a.json()["error"]["code"] for a in answers} == {"draining"}
        assert running.wait() == 0
