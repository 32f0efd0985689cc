"""In which ways a request can fail; each is counted by itself."""

from __future__ import annotations

import ssl

import aiohttp

EXAMPLE_CHARACTERS = 300
"""Of what a server said; kept once for each kind."""

CONNECT, TLS, RESET, TIMEOUT = "no connection", "TLS refused", "reset", "timeout"
CUT, EVENT, BAD = "stream cut", "error event", "bad answer"


class FailedError(Exception):
    """A request that got no whole and good answer.

    Attributes:
        kind: What it is counted as.
        example: What was seen, as it came: hostile text.
    """

    def __init__(self, kind: str, example: str) -> None:
        super().__init__(kind)
        self.kind = kind
        self.example = example[:EXAMPLE_CHARACTERS]


def of_status(status: int, retry_after: str | None, text: str) -> FailedError:
    """An answer that is no success; one that says when to come back is counted apart."""
    if status in (429, 503) and retry_after:
        return FailedError(f"HTTP {status}, told to wait", f"Retry-After: {retry_after}; {text}")
    return FailedError(f"HTTP {status}", text)


def of_exception(error: Exception, *, answering: bool) -> FailedError:
    """What a library's exception means.

    Args:
        error: Of aiohttp or of the system.
        answering: True where the head of the answer was there already.
    """
    text = f"{type(error).__name__}: {error}"
    match error:
        case TimeoutError():
            return FailedError(TIMEOUT, "no whole answer in time" if answering else "no answer")
        case ssl.SSLError() | aiohttp.ClientSSLError():
            return FailedError(TLS, text)
        case aiohttp.ClientConnectorError():
            return FailedError(CONNECT, text)
        case aiohttp.ClientPayloadError():
            return FailedError(CUT, text)
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError() | OSError():
            return FailedError(CUT if answering else RESET, text)
        case _:
            return FailedError(BAD, text)
