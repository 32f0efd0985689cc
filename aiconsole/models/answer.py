"""What a server's answer to a download means: bytes to take, a fault to end with, or to wait."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import httpx

from aiconsole.errors import ModelError
from aiconsole.models.part import Mark, Part
from aiconsole.models.source import shown_url
from aiconsole.visible import visible

_RANGE = re.compile(r"bytes ([0-9]{1,20})-([0-9]{1,20})/([0-9]{1,20}|\*)")
_LENGTH = re.compile(r"[0-9]{1,20}")
_LONGEST_WAIT_S = 300.0
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_HINTS = {
    401: "The server wants credentials: use a signed link, or fetch the file yourself",
    403: "The server refuses it to this machine: check the link, a signed one may have run out",
    404: "Check the address",
    410: "Look for where the file is now",
}


class WaitError(Exception):
    """The server may answer better later.

    Attributes:
        pause_s: What it asks for; None where it does not say.
    """

    def __init__(self, why: str, pause_s: float | None = None) -> None:
        super().__init__(why)
        self.pause_s = pause_s


@dataclass(frozen=True, slots=True)
class Body:
    """The bytes that an answer brings."""

    start_bytes: int
    """Where they go on; 0 begins anew."""
    mark: Mark


def read_answer(answer: httpx.Response, part: Part, expected_bytes: int) -> Body | None:
    """Decide about an answer by its head; None means that the part is whole already.

    Raises:
        WaitError: Try again later.
        ModelError: It will not get better.
    """
    url = shown_url(str(answer.url))
    have_bytes, known = part.size_bytes, part.mark
    if answer.status_code == 416:
        if have_bytes and have_bytes == (_total_of(answer) or known.total_bytes):
            return None
        part.drop()
        raise WaitError("the server's file is shorter than what came of it before", 0.0)
    if answer.status_code in _PASSING:
        raise WaitError(f"the server answered {_status(answer)}", _pause_s(answer))
    if answer.status_code not in (200, 206):
        hint = _HINTS.get(answer.status_code, "Check the address")
        raise ModelError(f"The server answered {_status(answer)}", url, hint)
    _refuse_page(answer, url)
    body = _partial(answer, part, known) if answer.status_code == 206 else _whole(answer)
    if expected_bytes and body.mark.total_bytes not in (0, expected_bytes):
        raise ModelError(
            "The server's file has another size than it should",
            f"{url}: {body.mark.total_bytes} bytes, expected {expected_bytes}",
            "Try again later; if it stays, get the file from somewhere else",
        )
    return body


def _whole(answer: httpx.Response) -> Body:
    length = str(answer.headers.get("content-length", ""))
    return Body(0, Mark(_validator(answer), _number(length)))


def _partial(answer: httpx.Response, part: Part, known: Mark) -> Body:
    have_bytes = part.size_bytes
    match = _RANGE.fullmatch(answer.headers.get("content-range", ""))
    total_bytes = _total_of(answer)
    fits = match and int(match[1]) == have_bytes and have_bytes
    same = not total_bytes or not known.total_bytes or total_bytes == known.total_bytes
    if not fits or not same:
        part.drop()
        raise WaitError("the server sent another piece than the one asked for")
    return Body(have_bytes, Mark(known.validator, total_bytes or known.total_bytes))


def _validator(answer: httpx.Response) -> str:
    """What names the bytes; a weak ETag does not."""
    etag = str(answer.headers.get("etag", ""))
    if etag.startswith('"'):
        return etag
    return str(answer.headers.get("last-modified", ""))


def _total_of(answer: httpx.Response) -> int:
    return _number(str(answer.headers.get("content-range", "")).rpartition("/")[2])


def _number(text: str) -> int:
    return int(text) if _LENGTH.fullmatch(text) else 0


def _refuse_page(answer: httpx.Response, url: str) -> None:
    kind = str(answer.headers.get("content-type", "")).partition(";")[0].strip().lower()
    if kind in ("text/html", "application/xhtml+xml"):
        raise ModelError(
            "The address leads to a web page, not to a file",
            f"{url} answers with {kind}",
            "Copy the download's own link; for the Hugging Face hub: hf:org/repo",
        )
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise ModelError(
            "The server sends the file packed, which was not asked for",
            f"{url}: Content-Encoding {visible(answer.headers['content-encoding'][:40])}",
        )


def _pause_s(answer: httpx.Response) -> float | None:
    """What Retry-After says: seconds or a date; nothing longer than a few minutes is waited."""
    text = str(answer.headers.get("retry-after", ""))
    if text.isascii() and text.isdecimal():
        pause_s = float(text[:9])
    else:
        try:
            pause_s = parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, TypeError):
            return None
    if pause_s > _LONGEST_WAIT_S:
        raise ModelError(
            f"The server answered {_status(answer)}",
            f"it asks to come back in {pause_s:.0f} s",
            "Try again then; what has come is kept",
        )
    return max(0.0, pause_s)


def _status(answer: httpx.Response) -> str:
    return f"{answer.status_code} {visible(answer.reason_phrase[:60])}".strip()
