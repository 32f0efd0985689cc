"""The audit of a daemon: its fields, its file, and its privacy."""

from __future__ import annotations

import contextlib
import hashlib
import json
import stat
import threading
from pathlib import Path
from typing import Any

import httpx

from tests.contract.inferd.running import Running, bound, daemon, settings_text, until
from tests.contract.inferd.scrape import Scrape

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"


def audited(model: Path, path: Path, more: str = "") -> str:
    return settings_text(model) + f'\n[audit]\npath = "{path}"\n{more}\n'


def lines(*paths: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for path in paths for text in path.read_text().splitlines()]


def test_every_field_of_a_line(shared: Running) -> None:
    messages = [{"role": "user", "content": "a secret ü"}]
    body = {"messages": messages, "max_tokens": 3, "ignore_eos": True, "stream": True}
    answer = httpx.post(shared.url + CHAT, json=body, headers={"x-request-id": "mine"})
    line = shared.audit_of(answer)
    canonical = '[{"content":"a secret ü","role":"user"}]'.encode()
    known = {
        "id": "mine", "key": "", "ip": "127.0.0.1", "method": "POST", "route": "chat",
        "model": "tiny", "release": "tiny-a", "code": 200, "reason": "", "finish": "length",
        "stream": True, "completion_tokens": 3, "cache": "",
        "prompt_sha256": hashlib.sha256(canonical).hexdigest(),
    }  # fmt: skip
    assert {name: line[name] for name in known} == known
    assert set(line) - set(known) == {"ts", "prompt_tokens", "queue_s", "ttft_s", "total_s"}
    assert 0 <= line["queue_s"] <= line["ttft_s"] <= line["total_s"]
    assert "secret" not in shared.log


def test_it_is_a_private_file_with_prompts_where_they_are_wanted(
    room: Path, tiny_model: Path
) -> None:
    path = room / "audit.log"
    with daemon(
        room, audited(tiny_model, path, "prompts = true\nmax_prompt_chars = 16")
    ) as running:
        running.until_ready()
        httpx.post(running.url + TEXT, json={"prompt": "tell me a long story", "max_tokens": 1})
        httpx.get(running.url + "/v1/models")
        until(lambda: path.exists() and len(lines(path)) == 2, "two lines")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        first, second = lines(path)
        assert (first["prompt"], first["route"]) == ("tell me a long s", "completions")
        assert (second["method"], second["route"], "prompt" in second) == ("GET", "models", False)
        assert not running.audit  # not on stdout as well


def test_two_slots_share_a_file_that_is_set_aside(room: Path, tiny_model: Path) -> None:
    path = room / "audit.log"
    text = audited(tiny_model, path, "max_bytes = 4096\nkeep = 200")
    asked: list[str] = []
    with contextlib.ExitStack() as stack:
        slots = [
            stack.enter_context(daemon(room, text, slot=slot, sock=stack.enter_context(bound())))
            for slot in ("a", "b")
        ]
        for slot in slots:
            slot.until_ready()

        def ask(slot: Running) -> None:
            with httpx.Client(base_url=slot.url) as client:
                for _ in range(150):
                    asked.append(client.get("/v1/models").headers["x-request-id"])

        threads = [threading.Thread(target=ask, args=(slot,)) for slot in slots]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for slot in slots:
            slot.tally_after_stop()
    files = [path, *room.glob("audit.log.*")]
    assert sorted(line["id"] for line in lines(*files)) == sorted(asked)
    assert len(files) > 5
    assert all(file.stat().st_size <= 4096 for file in files)


def test_a_file_that_cannot_be_written_costs_lines_and_no_requests(
    room: Path, tiny_model: Path
) -> None:
    path = room / "missing" / "audit.log"
    with daemon(room, audited(tiny_model, path)) as running:
        running.until_ready()
        for _ in range(3):
            assert httpx.get(running.url + "/v1/models").status_code == 200
        until(
            lambda: Scrape(running.url).value("inferd_audit_dropped_total") == 3, "counted losses"
        )
        path.parent.mkdir()
        assert httpx.get(running.url + "/v1/models").status_code == 200
        until(path.exists, "the file")
        until(lambda: "3 were lost" in running.log, "word of it")
        assert running.log.count("audit lines are lost") == 1
        assert len(lines(path)) == 1
