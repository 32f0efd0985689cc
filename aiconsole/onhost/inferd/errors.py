"""Errors that a client meets, in OpenAI's envelope."""

from __future__ import annotations

import math
from typing import Any

import orjson


class ApiError(Exception):
    """An answer that is an error.

    Attributes:
        status: HTTP status.
        kind: `type` of OpenAI's envelope.
        code: What a program can act on.
        param: The field that is wrong, or empty.
        retry_after_s: When it is worth asking again; 0 where it is not.
        extra: Further members of the envelope.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str,
        param: str = "",
        retry_after_s: float = 0.0,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.code = code
        self.param = param
        self.retry_after_s = retry_after_s
        self.extra = extra or {}

    def as_json(self) -> bytes:
        """The envelope."""
        error = {
            "message": self.message,
            "type": self.kind,
            "param": self.param or None,
            "code": self.code,
            **self.extra,
        }
        return orjson.dumps({"error": error})

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Headers that belong to this error."""
        found = [(b"content-type", b"application/json")]
        if self.retry_after_s > 0:
            found.append((b"retry-after", str(math.ceil(self.retry_after_s)).encode()))
        if self.status == 401:
            found.append((b"www-authenticate", b"Bearer"))
        return found


def bad_request(message: str, *, param: str = "", code: str = "invalid_value") -> ApiError:
    """What the client sent cannot be used."""
    return ApiError(400, message, code=code, param=param)


def unauthorized(message: str, *, code: str = "invalid_api_key") -> ApiError:
    """No key, or not one of ours."""
    return ApiError(401, message, code=code)


def unavailable(message: str, *, code: str, retry_after_s: float = 1.0) -> ApiError:
    """Not now: full, loading, or on the way out."""
    return ApiError(503, message, kind="unavailable_error", code=code, retry_after_s=retry_after_s)


def timed_out(message: str, *, code: str) -> ApiError:
    """A limit of time was reached."""
    return ApiError(504, message, kind="timeout_error", code=code)


def failed() -> ApiError:
    """A fault of ours; what it was stands in the log alone."""
    return ApiError(
        500, "The server failed; the log has the reason.", kind="server_error", code="internal"
    )
