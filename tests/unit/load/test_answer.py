"""Answers as servers send them, good ones and others."""

from __future__ import annotations

import json

import pytest

from aiconsole.load.answer import Answer
from aiconsole.load.failure import FailedError


def events(*documents: object) -> bytes:
    lines = (d if isinstance(d, str) else json.dumps(d) for d in documents)
    return b"".join(f"data: {line}\n\n".encode() for line in lines)


def delta(text: str | None, finish: str | None = None) -> dict[str, object]:
    return {"choices": [{"delta": {"content": text}, "finish_reason": finish}]}


USAGE = {"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 2}}


def test_a_stream_in_any_cut() -> None:
    whole = events(
        {"choices": [{"delta": {"role": "assistant", "content": ""}}]},
        delta("a"), delta("b"), delta(None, "stop"), USAGE, "[DONE]",
    ).replace(b"\n", b"\r\n")  # fmt: skip
    for size in (1, 2, 3, 50, len(whole)):
        answer = Answer()
        for number, start in enumerate(range(0, len(whole), size)):
            answer.feed(whole[start : start + size], float(number))
        answer.close()
        assert len(answer.arrivals_s) == 2
        assert (answer.tokens_in, answer.tokens_out) == (11, 2)


def test_comments_and_other_fields_are_passed_over() -> None:
    answer = Answer()
    answer.feed(b": keep-alive\n\nevent: x\nid: 3\n" + events(delta("a"), "[DONE]"), 1.0)
    answer.close()
    assert answer.arrivals_s == [1.0]
    assert answer.tokens_out is None


def test_a_stream_that_ends_early_is_cut() -> None:
    answer = Answer()
    answer.feed(events(delta("a"), delta("b")), 1.0)
    with pytest.raises(FailedError) as caught:
        answer.close()
    assert caught.value.kind == "stream cut"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (events({"error": {"message": "engine gone"}}), "error event"),
        (events({"error": "gone"}), "error event"),
        (events("{half"), "bad answer"),
        (events([1, 2]), "bad answer"),
        (events("[" * 100_000), "bad answer"),
        (b"data: " + b"x" * 5_000_000, "bad answer"),
    ],
)
def test_bad_events(data: bytes, kind: str) -> None:
    with pytest.raises(FailedError) as caught:
        Answer().feed(data, 1.0)
    assert caught.value.kind == kind
    assert len(caught.value.example) <= 300


@pytest.mark.parametrize(
    ("document", "tokens"),
    [
        ({"choices": [{"message": {"content": "a"}}], "usage": USAGE["usage"]}, 2),
        ({"choices": [{"message": {"content": None, "tool_calls": [{}]}}]}, None),
        ({"choices": [{"message": {"content": None}}]}, None),
        ({"choices": [{"text": ""}]}, None),
        ({"text": "a"}, None),
        ({"data": [{"embedding": [1]}], "usage": {"prompt_tokens": 3}}, 0),
    ],
)
def test_whole_answers(document: dict[str, object], tokens: int | None) -> None:
    answer = Answer()
    answer.whole(json.dumps(document).encode(), 1.0)
    assert answer.tokens_out == tokens


@pytest.mark.parametrize(
    "data",
    [b"", b"<html>", b"[]", b"{}", b'{"choices": []}', b'{"data": []}', b'{"choices": [3]}',
     b'{"choices": {"a": 1}}', b"\xff"],
)  # fmt: skip
def test_no_answers(data: bytes) -> None:
    with pytest.raises(FailedError) as caught:
        Answer().whole(data, 1.0)
    assert caught.value.kind == "bad answer"


def test_counts_that_are_no_numbers_are_not_believed() -> None:
    answer = Answer()
    usage = {"prompt_tokens": "many", "completion_tokens": -5}
    answer.whole(json.dumps({"text": "a", "usage": usage}).encode(), 1.0)
    assert answer.tokens_in is None
