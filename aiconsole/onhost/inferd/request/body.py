"""The body of a request: read within its limit, decoded strictly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from aiconsole.onhost.inferd.errors import ApiError, bad_request
from aiconsole.onhost.inferd.exchange import Scope, header
from aiconsole.onhost.inferd.request.duplicates import has_duplicates


class ClientGoneError(Exception):
    """The client left before its request was whole."""


async def read(
    scope: Scope, receive: Callable[[], Awaitable[Any]], limit_bytes: int
) -> tuple[dict[str, Any], int]:
    """Read and decode a JSON object; the object, and its size in bytes.

    Raises:
        ApiError: 415, 413 or 400.
        ClientGoneError: Nobody is there to hear of it.
    """
    _check_type(header(scope, b"content-type"))
    length = header(scope, b"content-length")
    if length.isdigit() and int(length) > limit_bytes:
        raise _too_large(limit_bytes)
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        part = message.get("body", b"")
        size += len(part)
        if size > limit_bytes:
            raise _too_large(limit_bytes)
        parts.append(part)
        if not message.get("more_body", False):
            break
    return _decode(b"".join(parts)), size


def _check_type(given: bytes) -> None:
    """Another type than JSON is refused: a web page can send those to us without being asked."""
    kind = given.partition(b";")[0].strip().lower()
    if kind and kind != b"application/json" and not kind.endswith(b"+json"):
        raise ApiError(
            415,
            "The body must be JSON, sent with `Content-Type: application/json`.",
            code="unsupported_media_type",
        )


def _decode(data: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        if not data.strip():
            raise bad_request(
                "The body is empty; a JSON object is needed.", code="invalid_json"
            ) from None
        raise bad_request(f"The body is not valid JSON: {error}.", code="invalid_json") from None
    if not isinstance(value, dict):
        raise bad_request("The body must be a JSON object.", code="invalid_json")
    _check_keys(data, value)
    return value


def _check_keys(data: bytes, value: dict[str, Any]) -> None:
    try:
        twice = has_duplicates(data, list(value))
    except RecursionError:
        raise bad_request("The body nests too deeply.", code="invalid_json") from None
    if twice:
        raise bad_request("The body names a key twice.", code="duplicate_key")


def _too_large(limit_bytes: int) -> ApiError:
    return ApiError(413, f"The body is larger than {limit_bytes:,} bytes.", code="body_too_large")
