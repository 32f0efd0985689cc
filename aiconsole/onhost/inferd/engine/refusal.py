"""Why a server did not answer, and what a client of the daemon hears of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import orjson

from aiconsole.onhost.inferd.errors import ApiError

_OVERFLOWS = (
    # vLLM and OpenAI: the limit first, then what was asked, with or without the answer's share.
    r"maximum context length (?:is|of) (?P<n_ctx>\d+) tokens"
    r"(?:.*?(?:requested|resulted in|request has|contains|total of)(?: a total of| at least)?"
    r" (?P<n_prompt_tokens>\d+))?",
    # SGLang
    r"input \((?P<n_prompt_tokens>\d+) tokens\) is longer than the model's context length"
    r" \((?P<n_ctx>\d+) tokens\)",
    # llama.cpp, of an input for an embedding: it has to fit into one batch
    r"input \((?P<n_prompt_tokens>\d+) tokens\) is too large to process\..*?"
    r"batch size: (?P<n_batch>\d+)",
)
_MAX_MESSAGE_CHARS = 2000
Silence: TypeAlias = Literal["not-reached", "silent", "broke-off"]

_UNHEARD = "The engine gave no reason."


@dataclass(frozen=True, slots=True)
class Said:
    """A server's error, whatever shape it came in."""

    status: int
    """HTTP status, or the code that an error in mid-stream named."""
    message: str
    code: str
    """`code` or `type` of the error; may be empty."""
    numbers: dict[str, int]
    """Of a request that is too long: `n_prompt_tokens`, `n_ctx`, `n_batch`, as far as known."""
    overflow: bool
    """Whether the request is too long for the model."""
    retry_after_s: float = 0.0


class RefusalError(ApiError):
    """An error that a server answered, or its silence; raised as what a client may hear.

    Attributes:
        said: What the server said; None where the connection failed or broke.
        silence: Where it said nothing: how that came.
    """

    said: Said | None = None
    silence: Silence = "broke-off"


def read(status: int, body: bytes, retry_after_s: float = 0.0) -> Said:
    """Read an error: OpenAI's envelope, that of vLLM and SGLang, FastAPI's, or no JSON at all."""
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        fields = None
    error = _error_of(fields)
    message = _text(error.get("message") or error.get("detail")) or _UNHEARD
    code = _text(error.get("code")) if not _is_number(error.get("code")) else ""
    kind = code or _text(error.get("type"))
    numbers = {
        key: error[key] for key in ("n_prompt_tokens", "n_ctx") if _is_number(error.get(key))
    }
    overflow = kind in ("exceed_context_size_error", "context_length_exceeded")
    if found := _overflow_in(message):
        overflow, numbers = True, {**found, **numbers}
    return Said(status, message, kind, numbers, overflow, retry_after_s)


def in_stream(fields: Any, status: int = 500) -> Said:
    """Read an error that came as an event; its own code is worth more than the stream's 200."""
    code = _error_of(fields).get("code")
    if isinstance(code, str) and code.isdigit():
        code = int(code)
    named = code if isinstance(code, int) and 400 <= code < 600 else status
    return read(named, orjson.dumps(fields))


def refusal(said: Said) -> RefusalError:
    """An error of an engine of ours: the client's mistakes are 400, all else is not its fault."""
    if said.overflow:
        return _made(said, too_long(said))
    if 400 <= said.status < 500 and said.status not in (401, 403, 404, 429):
        return _made(said, ApiError(400, said.message, code="engine_refused"))
    if said.status in (429, 503):
        code = "engine_loading" if said.status == 503 else "engine_busy"
        return _made(
            said,
            ApiError(
                503, said.message, kind="unavailable_error", code=code,
                retry_after_s=said.retry_after_s or 1.0,
            ),
        )  # fmt: skip
    message = f"The engine failed: {said.message}"
    return _made(said, ApiError(500, message, kind="server_error", code="engine_error"))


def gone(silence: Silence = "broke-off") -> RefusalError:
    """An engine of ours that cannot be reached, or went away in mid-answer."""
    error = RefusalError(
        503, "The engine broke off; it is being restarted.", kind="unavailable_error",
        code="engine_unavailable", retry_after_s=1.0,
    )  # fmt: skip
    error.silence = silence
    return error


def too_long(said: Said) -> ApiError:
    """The answer to a request that does not fit, with the numbers under llama.cpp's names."""
    param = "input" if "n_batch" in said.numbers else "messages"
    extra: dict[str, Any] = dict(said.numbers)
    return ApiError(400, said.message, code="context_length_exceeded", param=param, extra=extra)


def _made(said: Said, error: ApiError) -> RefusalError:
    made = RefusalError(
        error.status, error.message, kind=error.kind, code=error.code, param=error.param,
        retry_after_s=error.retry_after_s, extra=error.extra,
    )  # fmt: skip
    made.said = said
    return made


def _error_of(fields: Any) -> dict[str, Any]:
    if not isinstance(fields, dict):
        return {}
    error = fields.get("error", fields)
    return error if isinstance(error, dict) else {"message": error}


def _overflow_in(message: str) -> dict[str, int]:
    for pattern in _OVERFLOWS:
        if found := re.search(pattern, message, re.DOTALL):
            return {key: int(value) for key, value in found.groupdict().items() if value}
    return {}


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _text(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text[:_MAX_MESSAGE_CHARS]
