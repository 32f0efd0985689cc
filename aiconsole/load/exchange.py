"""One request and its answer, over aiohttp."""

from __future__ import annotations

import resource
import ssl
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from yarl import URL

from aiconsole import __version__
from aiconsole.errors import SettingsError
from aiconsole.load import failure
from aiconsole.load.answer import Answer
from aiconsole.load.body import body_of
from aiconsole.load.failure import FailedError
from aiconsole.load.spec import Spec
from aiconsole.secret import Secret

_MOST_ANSWER_BYTES = 64 * 1024 * 1024
_CONNECT_S = 10.0
_OTHER_FILES = 64


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request that has ended."""

    sent_s: float
    """By the monotonic clock, as all times here."""
    ended_s: float
    answer: Answer | None
    """None where it failed."""
    failed: FailedError | None = None


class Client:
    """Asks one service; it never follows a redirect, uses no proxy, and keeps no cookie."""

    def __init__(self, session: aiohttp.ClientSession, spec: Spec) -> None:
        self._session = session
        self._spec = spec
        self._url = URL(spec.request_url)

    async def ask(self, number: int) -> Exchange:
        """Send the request of this number and read its whole answer."""
        body = body_of(self._spec, number)
        sent_s = time.monotonic()
        answering = False
        try:
            async with self._session.post(self._url, data=body, allow_redirects=False) as response:
                answering = True
                answer = await self._read(response)
        except FailedError as failed:
            return Exchange(sent_s, time.monotonic(), None, failed)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            meaning = failure.of_exception(error, answering=answering)
            return Exchange(sent_s, time.monotonic(), None, meaning)
        return Exchange(sent_s, time.monotonic(), answer)

    async def get(self, path: str) -> tuple[int, bytes]:
        """The status and the beginning of what lies at a path of the service."""
        url = URL(self._spec.url + path)
        async with self._session.get(url, allow_redirects=False) as response:
            return response.status, await response.content.read(1_000_000)

    async def _read(self, response: aiohttp.ClientResponse) -> Answer:
        if response.status != 200:
            text = (await response.content.read(4096)).decode(errors="replace")
            raise failure.of_status(response.status, response.headers.get("Retry-After"), text)
        answer = Answer()
        if not self._spec.streams:
            answer.whole(await _whole(response), time.monotonic())
            return answer
        if not response.content_type.startswith("text/event-stream"):
            said = (await response.content.read(200)).decode(errors="replace")
            raise FailedError(failure.BAD, f"{response.content_type}, no stream: {said}")
        size = 0
        async for data in response.content.iter_any():
            size += len(data)
            if size > _MOST_ANSWER_BYTES:
                raise FailedError(failure.BAD, "an answer without end")
            answer.feed(data, time.monotonic())
        answer.close()
        return answer


@asynccontextmanager
async def open_client(spec: Spec, key: Secret | None) -> AsyncGenerator[Client, None]:
    """A client with a pool of its own, as large as the load needs.

    Raises:
        SettingsError: The file of authorities cannot be used, or too few files may be open.
    """
    allow_files(spec)
    headers = {
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": f"aiconsole-bench/{__version__}",
    }
    if key:
        headers["Authorization"] = f"Bearer {key.reveal()}"
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=tls_context(spec.ca_file)),
        timeout=aiohttp.ClientTimeout(total=spec.timeout_s, sock_connect=_CONNECT_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=headers,
        trust_env=False,
        auto_decompress=False,
    ) as session:
        yield Client(session, spec)


def allow_files(spec: Spec) -> None:
    """Let this process have as many open files as requests can be at work; the usual limit is 1024.

    Raises:
        SettingsError: The system allows fewer.
    """
    wanted = (spec.pace.max_in_flight if spec.pace.is_open else spec.pace.clients) + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY != hard < wanted:
        raise SettingsError(
            f"{wanted - _OTHER_FILES:,} requests at once are more than this system allows",
            f"a process may have {hard:,} open files here (ulimit -Hn), and each request is one",
            "raise that limit, or give --processes, fewer --clients or a smaller --max-in-flight",
        )
    if resource.RLIM_INFINITY != soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def tls_context(ca_file: str) -> ssl.SSLContext:
    """How certificates are checked: always.

    Raises:
        SettingsError: The file holds no certificate, or cannot be read.
    """
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"{ca_file} cannot be used as a file of authorities",
            str(error),
            "give the PEM file of the authority that signed the server's certificate",
        ) from error


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    data = bytearray()
    async for part in response.content.iter_any():
        data += part
        if len(data) > _MOST_ANSWER_BYTES:
            raise FailedError(failure.BAD, "an answer without end")
    return bytes(data)
