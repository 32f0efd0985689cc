"""When an answer may be asked for at a stroke."""

from __future__ import annotations

from typing import Any

import pytest

from aiconsole.onhost.inferd.engine.pace import Pace
from aiconsole.onhost.inferd.engine.protocol import Ask, Chunk


def _told(token_ms: float, tokens: int = 16) -> Chunk:
    return Chunk(b"", {"timings": {"predicted_n": tokens, "predicted_per_token_ms": token_ms}})


def _ask(max_tokens: int, prompt: Any = "hi", **more: Any) -> Ask:
    return Ask("text", {"prompt": prompt, "max_tokens": max_tokens}, **more)


def test_nothing_is_brief_until_the_pace_is_known() -> None:
    pace = Pace()
    assert not pace.is_brief(_ask(1))
    pace.learn([_told(0.001, tokens=1), Chunk(b"", None), Chunk(b"", {"timings": None})])
    assert not pace.is_brief(_ask(1))


def test_brief_is_what_ends_within_a_quarter_of_a_second() -> None:
    pace = Pace()
    pace.learn([_told(10.0)])
    assert pace.is_brief(_ask(25))
    assert not pace.is_brief(_ask(26))
    assert not pace.is_brief(_ask(10, stream=True))
    assert not pace.is_brief(_ask(10, choices=2))
    assert not pace.is_brief(_ask(10, prompt=["a", "b"]))


def test_the_pace_follows_the_engine() -> None:
    pace = Pace()
    pace.learn([_told(1.0)])
    for _ in range(50):
        pace.learn([_told(100.0)])
    assert pace.token_s == pytest.approx(0.1, rel=0.01)


def _prompt(tokens: int, token_ms: float) -> Chunk:
    return Chunk(b"", {"timings": {"prompt_n": tokens, "prompt_per_token_ms": token_ms}})


def test_a_prompt_that_was_known_says_nothing_of_the_pace() -> None:
    pace = Pace()
    pace.learn([_prompt(5, 0.5)])
    assert pace.prompt_token_s == pytest.approx(0.0005)
    pace.learn([_prompt(1, 9.0), _prompt(0, 0.0)])
    assert pace.prompt_token_s == pytest.approx(0.0005)
    for _ in range(50):
        pace.learn([_prompt(200, 0.1)])
    assert pace.prompt_token_s == pytest.approx(0.0001, rel=0.01)


def test_a_long_prompt_is_not_brief() -> None:
    pace = Pace()
    pace.learn([_told(1.0), _prompt(100, 0.1)])
    assert pace.is_brief(_ask(10, size_bytes=2000))
    assert not pace.is_brief(_ask(10, size_bytes=3000))
