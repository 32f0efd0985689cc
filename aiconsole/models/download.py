"""Fetches a file over HTTP: resumed after a cut, checked against what the server said of it."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx

from aiconsole import __version__
from aiconsole.errors import ModelError, RefusedError
from aiconsole.models.answer import Body, WaitError, read_answer
from aiconsole.models.part import Part
from aiconsole.models.source import check_url, shown_url
from aiconsole.models.store import Progress, disk_error, refuse_full_disk
from aiconsole.models.wanted import Patience, Wanted
from aiconsole.units import bytes_text
from aiconsole.visible import visible

_MAGIC = b"GGUF"
_BLOCK_BYTES = 1024 * 1024
_MOST_REDIRECTS = 10
_REDIRECTS = (301, 302, 303, 307, 308)


async def download(
    wanted: Wanted, part: Part, progress: Progress, patience: Patience | None = None
) -> None:
    """Fetch a file into `part`, which keeps what came for the next time.

    Raises:
        ModelError: It cannot be had, or is no GGUF file; the text says whether bytes are kept.
        RefusedError: A redirect leads where it should not.
    """
    patience = patience or Patience()
    timeout = httpx.Timeout(patience.idle_s, connect=min(15.0, patience.idle_s))
    async with httpx.AsyncClient(timeout=timeout, follow_redirects=False) as client:
        failures = 0
        while True:
            had_bytes = part.size_bytes
            try:
                await _fetch(client, wanted, part, progress)
            except (WaitError, httpx.TransportError, ssl.SSLError) as error:
                failures = 0 if part.size_bytes > had_bytes else failures + 1
                if failures >= _most_tries(error, part, patience):
                    raise _gave_up(wanted, part, error) from error
                progress(f"Try again ({_why(error)})", part.size_bytes, part.mark.total_bytes)
                await asyncio.sleep(_pause_s(error, failures, patience))
            except OSError as error:
                raise disk_error(error, part.path) from error
            else:
                return


async def _fetch(client: httpx.AsyncClient, wanted: Wanted, part: Part, progress: Progress) -> None:
    async with _open(client, wanted, _range(wanted, part)) as answer:
        body = read_answer(answer, part, wanted.size_bytes)
        if body is None:
            return
        if body.start_bytes == 0:
            part.begin(body.mark)
        total_bytes = body.mark.total_bytes or wanted.size_bytes
        refuse_full_disk(part.path.parent, max(0, total_bytes - body.start_bytes))
        await _take(answer, body, part, total_bytes, progress)
    if total_bytes and part.size_bytes != total_bytes:
        raise WaitError(f"it ended after {part.size_bytes} of {total_bytes} bytes")


async def _take(
    answer: httpx.Response, body: Body, part: Part, total_bytes: int, progress: Progress
) -> None:
    """Write what comes; a cut leaves what came."""
    done_bytes = body.start_bytes
    progress("Download", done_bytes, total_bytes)
    with part.path.open("ab") as file:
        # Not `aiter_raw(size)`: at a cut it loses what it has gathered.
        gathered = bytearray()
        try:
            async for block in answer.aiter_raw():
                if done_bytes == 0:
                    _refuse_other(block, answer, part)
                gathered += block
                done_bytes += len(block)
                if len(gathered) >= _BLOCK_BYTES:
                    await asyncio.to_thread(file.write, bytes(gathered))
                    gathered.clear()
                progress("Download", done_bytes, total_bytes)
        finally:
            file.write(gathered)
            file.flush()
            os.fsync(file.fileno())


def _refuse_other(block: bytes, answer: httpx.Response, part: Part) -> None:
    """Look at the first bytes: nobody should wait an hour for what is no model."""
    if block.startswith(_MAGIC[: len(block)]):
        return
    part.drop()
    raise ModelError(
        "What the server sends is not a GGUF model",
        f"{shown_url(str(answer.url))} begins with "
        f"{visible(block[:24].decode('utf-8', 'replace'))}",
        "inferd serves GGUF files: look for a GGUF version of the model",
    )


def _range(wanted: Wanted, part: Part) -> dict[str, str]:
    """Ask for the rest only where it is sure to belong to the bytes that are here."""
    have_bytes, mark = part.size_bytes, part.mark
    if not have_bytes or not (mark.validator or wanted.sha256):
        return {}
    headers = {"Range": f"bytes={have_bytes}-"}
    if mark.validator:
        headers["If-Range"] = mark.validator
    return headers


@asynccontextmanager
async def _open(
    client: httpx.AsyncClient, wanted: Wanted, headers: Mapping[str, str]
) -> AsyncGenerator[httpx.Response, None]:
    """Ask, and follow redirects; the token goes to the first server alone."""
    url = wanted.url
    for _ in range(_MOST_REDIRECTS + 1):
        head = {
            "Accept-Encoding": "identity",
            "User-Agent": f"aiconsole/{__version__}",
            **headers,
        }
        if wanted.token and _origin(url) == _origin(wanted.url):
            head["Authorization"] = f"Bearer {wanted.token.reveal()}"
        async with client.stream("GET", url, headers=head) as answer:
            if answer.status_code not in _REDIRECTS:
                yield answer
                return
            url = _next_url(url, answer)
    raise ModelError("The server redirects without an end", shown_url(wanted.url))


def _next_url(url: str, answer: httpx.Response) -> str:
    location = str(answer.headers.get("location", ""))
    try:
        target = str(httpx.URL(url).join(location))
    except httpx.InvalidURL as error:
        raise ModelError(
            "The server redirects to what is no address", f"{shown_url(url)}: {error}"
        ) from error
    check_url(target)
    if urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https":
        raise RefusedError(
            "The server redirects from https to http",
            f"{shown_url(url)} to {shown_url(target)}, where anybody on the way can change it",
            "Use another address; one that you trust as it is can be given itself, with --sha256",
        )
    return target


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = httpx.URL(url)
    return parts.scheme, parts.host, parts.port


def _most_tries(error: Exception, part: Part, patience: Patience) -> int:
    """A wrong certificate stays wrong, and a name that was mistyped is not found later."""
    if not isinstance(error, httpx.ConnectError):
        return patience.tries
    if "CERTIFICATE" in str(error).upper():
        return 0
    return patience.tries if part.size_bytes else 2


def _why(error: Exception) -> str:
    return visible(str(error)[:300]) or type(error).__name__


def _pause_s(error: Exception, failures: int, patience: Patience) -> float:
    if isinstance(error, WaitError) and error.pause_s is not None:
        return error.pause_s
    return float(min(60.0, patience.pause_s * 2 ** max(0, failures - 1)))


def _gave_up(wanted: Wanted, part: Part, error: Exception) -> ModelError:
    kept = part.size_bytes
    return ModelError(
        "The download did not come to its end",
        f"{shown_url(wanted.url)}: {_why(error)}",
        f"Run it again: {bytes_text(kept)} are kept, and it goes on from there"
        if kept
        else "Check the address and the network, and run it again",
    )
