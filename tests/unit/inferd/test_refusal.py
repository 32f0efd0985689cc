"""Errors as real servers write them, and what the client hears."""

from __future__ import annotations

import orjson
import pytest

from aiconsole.onhost.inferd.engine.refusal import gone, in_stream, read, refusal

BAD = {"type": "BadRequestError", "param": None, "code": 400}


def _told(message: str, **more: object) -> bytes:
    return orjson.dumps({"error": {"message": message, **more}})


LLAMA = _told(
    "request (9001 tokens) exceeds the available context size (8192 tokens), try increasing it",
    code=400, type="exceed_context_size_error", n_prompt_tokens=9001, n_ctx=8192,
)  # fmt: skip
LLAMA_EMBED = _told(
    "input (602 tokens) is too large to process. increase the physical batch size"
    " (current batch size: 256)",
    code=500, type="server_error",
)  # fmt: skip
VLLM_OLD = orjson.dumps({
    "object": "error",
    "message": "This model's maximum context length is 8192 tokens. However, you requested 9216"
    " tokens (8192 in the messages, 1024 in the completion). Please reduce the length.",
    **BAD,
})  # fmt: skip
VLLM = _told(
    "This model's maximum context length is 2048 tokens. However, your request has 3001 input"
    " tokens. Please reduce the length of the input messages.",
    **BAD,
)
SGLANG = orjson.dumps({
    "object": "error",
    "message": "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
    **BAD,
})  # fmt: skip
OPENAI = _told(
    "This model's maximum context length is 128000 tokens. However, your messages resulted in"
    " 130000 tokens.",
    type="invalid_request_error", param="messages", code="context_length_exceeded",
)  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body", "numbers"),
    [
        (400, LLAMA, {"n_prompt_tokens": 9001, "n_ctx": 8192}),
        (500, LLAMA_EMBED, {"n_prompt_tokens": 602, "n_batch": 256}),
        (400, VLLM_OLD, {"n_prompt_tokens": 9216, "n_ctx": 8192}),
        (400, VLLM, {"n_prompt_tokens": 3001, "n_ctx": 2048}),
        (400, SGLANG, {"n_prompt_tokens": 5000, "n_ctx": 4096}),
        (400, OPENAI, {"n_prompt_tokens": 130000, "n_ctx": 128000}),
    ],
)
def test_too_long_is_told_in_one_way_with_the_numbers(
    status: int, body: bytes, numbers: dict[str, int]
) -> None:
    error = refusal(read(status, body))
    assert (error.status, error.code) == (400, "context_length_exceeded")
    assert error.extra == numbers
    assert orjson.loads(error.as_json())["error"]["n_prompt_tokens"] == numbers["n_prompt_tokens"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":{"message":"no such sampler","code":"400","type":"None"}}', "no such sampler"),
        (b'{"error":"plain"}', "plain"),
        (b'{"detail":[{"msg":"wrong"}]}', '[{"msg":"wrong"}]'),
        (b'{"object":"error","message":"old"}', "old"),
        (b"<html>busy</html>", "The engine gave no reason."),
        (b"[1]", "The engine gave no reason."),
        (b"", "The engine gave no reason."),
        (b'{"error":{"message":"' + b"x" * 9999 + b'"}}', "x" * 2000),
    ],
)
def test_every_shape_of_an_error(body: bytes, message: str) -> None:
    assert read(400, body).message == message


@pytest.mark.parametrize(
    ("status", "known_as"),
    [(400, 400), (422, 400), (401, 500), (403, 500), (404, 500), (500, 500), (502, 500),
     (503, 503), (429, 503)],
)  # fmt: skip
def test_whose_fault_it_is(status: int, known_as: int) -> None:
    assert refusal(read(status, b"{}")).status == known_as


def test_when_to_come_again() -> None:
    assert refusal(read(503, b"{}", 7.0)).retry_after_s == 7
    assert refusal(read(429, b"{}")).retry_after_s == 1
    assert (gone().status, gone().code) == (503, "engine_unavailable")


def test_an_error_in_mid_stream_knows_its_own_status() -> None:
    assert in_stream({"error": {"code": 400, "message": "m"}}).status == 400
    assert in_stream({"error": {"code": "429", "message": "m"}}).status == 429
    assert in_stream({"error": {"code": "odd", "message": "m"}}).status == 500
    assert in_stream({"error": {"code": 7, "message": "m"}}).status == 500
    assert in_stream("nonsense").status == 500
