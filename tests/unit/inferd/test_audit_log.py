"""The audit from a request to its line, and what happens when nothing can be written."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aiconsole.onhost.inferd.access.grant import Grant
from aiconsole.onhost.inferd.audit.line import Clock, line
from aiconsole.onhost.inferd.audit.log import Audit
from aiconsole.onhost.inferd.audit.prompt import note_prompt
from aiconsole.onhost.inferd.exchange import Exchange
from aiconsole.onhost.inferd.settings import AuditSettings


def exchange(request_id: str = "r", **more: Any) -> Exchange:
    return Exchange(request_id, "POST", "/v1/x", "10.0.0.1", False, **more)


def ids(path: Path) -> list[str]:
    return [json.loads(text)["id"] for text in path.read_text().splitlines()]


async def until(met: Any) -> None:
    deadline = asyncio.get_running_loop().time() + 30
    while not met():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)


async def test_lines_come_in_their_order_and_the_last_ones_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    dropped: list[int] = []
    audit = Audit(AuditSettings(path=str(path)), "r1", dropped.append)
    for number in range(500):
        audit.write(exchange(str(number)))
    await until(lambda: path.exists() and len(ids(path)) == 500)
    audit.write(exchange("last"))
    await audit.close()
    assert ids(path) == [*map(str, range(500)), "last"]
    assert not dropped


async def test_losses_are_counted_and_told_once_and_end_by_themselves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "log" / "audit.log"
    dropped: list[int] = []
    audit = Audit(AuditSettings(path=str(path)), "r1", dropped.append)
    for number in range(3):
        audit.write(exchange(str(number)))
        audit.write(exchange(str(number)))
        await until(lambda number=number: sum(dropped) == 2 * number + 2)
    path.parent.mkdir()
    audit.write(exchange("good"))
    await until(path.exists)
    await audit.close()
    assert ids(path) == ["good"]
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert "6 were lost" in caplog.records[1].message


async def test_a_reader_that_does_not_read_blocks_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading, writing = os.pipe()
    monkeypatch.setattr("sys.stdout", SimpleNamespace(fileno=lambda: writing))
    dropped: list[int] = []
    audit = Audit(AuditSettings(), "r1", dropped.append)
    loop = asyncio.get_running_loop()
    slowest_s = 0.0
    for number in range(30_000):
        began = loop.time()
        audit.write(exchange(str(number)))
        slowest_s = max(slowest_s, loop.time() - began)
        if number % 1000 == 0:
            await asyncio.sleep(0.02)
    await until(lambda: sum(dropped) > 0)
    assert slowest_s < 2.0  # nothing waited for the reader, who never came
    began = loop.time()
    await audit.close()
    assert loop.time() - began < 20
    os.close(reading)
    os.close(writing)


async def test_it_moves_when_the_settings_do(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    audit = Audit(AuditSettings(path=str(first)), "r1", lambda _: None)
    audit.write(exchange("a"))
    audit.configure(AuditSettings(path=str(second), prompts=True, max_prompt_chars=20))
    assert audit.wants == 20
    audit.write(exchange("b"))
    await until(second.exists)
    second.rename(tmp_path / "moved")
    audit.reopen()
    audit.write(exchange("c"))
    await audit.close()
    assert (ids(first), ids(tmp_path / "moved"), ids(second)) == (["a"], ["b"], ["c"])


def test_a_name_that_is_no_text_cannot_stop_the_line() -> None:
    bad = exchange(grant=Grant(name="half \ud800", tenant="t"))
    assert json.loads(line(bad, "now", "r1"))["key"] == "half \ud800"


def test_the_time_is_of_now() -> None:
    clock = Clock()
    first, second = (datetime.fromisoformat(clock.now()) for _ in range(2))
    now = datetime.now(first.tzinfo)
    assert first <= second
    assert abs((now - first).total_seconds()) < 5


def test_prompts_are_digests_unless_they_are_wanted() -> None:
    messages = [{"role": "user", "content": "größer " * 50}]
    silent, told, turned = exchange(), exchange(), exchange()
    note_prompt(silent, messages, 0)
    note_prompt(told, messages, 40)
    note_prompt(turned, [dict(reversed(messages[0].items()))], 0)
    assert silent.prompt_sha256 == told.prompt_sha256 == turned.prompt_sha256
    assert "prompt" not in json.loads(line(silent, "now", "r1"))
    assert json.loads(line(told, "now", "r1"))["prompt"] == told.prompt
    assert len(told.prompt) == 40
    assert "größer" in told.prompt
    text = exchange()
    note_prompt(text, 'a "text"', 40)
    assert text.prompt == 'a "text"'
