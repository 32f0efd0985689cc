"""Talking to inferd over the admin socket of a slot: plain HTTP, no key.

The directory belongs to the service's user, and the runner is root: what lies there is taken for
what it should be only after a look, and nothing in it may be endless.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import json
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from typing import Any

from aiconsole.onhost.runner.cancel import NEVER, Cancel
from aiconsole.onhost.runner.manifest import of_slot
from aiconsole.onhost.runner.steps.kind import StepError
from aiconsole.onhost.wire import HostLayout

_READY_WAIT_S = 30.0
_LOOK_S = 10.0
_PROMPT = "Once upon a time"
_MOST_BYTES = 1024 * 1024
"""Of an answer; the longest are completions of a few words."""


class NoAnswer(Exception):  # noqa: N818 - a state that callers handle
    """Nobody answers on the admin socket, or not with what was asked for."""


class Admin:
    """The daemon in one slot."""

    def __init__(self, layout: HostLayout, slot: str) -> None:
        self._slot = slot
        self._run = layout.slot_run(slot)
        self._layout = layout

    def status(self, timeout_s: float = 0.0) -> dict[str, Any]:
        """Return its status document; the usual limit where no other is given.

        Raises:
            NoAnswer: It does not run, or not well.
        """
        status, body = self._ask("GET", "/admin/status", None, timeout_s or _LOOK_S)
        document = _decoded(body)
        if status != 200 or not document:
            raise NoAnswer(f"the daemon in slot {self._slot} answered {status} for its status")
        return document

    def last_tally(self) -> dict[str, Any]:
        """Return the status document that the daemon left at its end; empty if it left none."""
        try:
            return _decoded(_read_plain(f"{self._run}/tally.json"))
        except OSError:
            return {}

    def prove(self, max_tokens: int, timeout_s: float, cancel: Cancel = NEVER) -> float:
        """Have it answer a real completion; returns how long that took, in seconds.

        Raises:
            StepError: It is not ready, answers with an error, or with nothing.
            Cancelled: The operator cancelled while it was not ready yet.
        """
        began = time.monotonic()
        try:
            self._await_ready(min(timeout_s, _READY_WAIT_S), cancel)
        except NoAnswer as error:
            raise StepError(f"slot {self._slot} cannot be used: {error}") from error
        chat = of_slot(self._layout, self._slot).chat_only
        if not self.complete(_PROMPT, max_tokens, timeout_s, chat=chat).strip():
            raise StepError(f"slot {self._slot} answered with an empty completion")
        return time.monotonic() - began

    def complete(self, prompt: str, max_tokens: int, timeout_s: float, *, chat: bool) -> str:
        """Return the text that it makes of a prompt.

        Raises:
            StepError: It does not answer, or with an error.
        """
        asked: dict[str, Any] = {"max_tokens": max_tokens, "temperature": 0.0}
        if model := of_slot(self._layout, self._slot).model:
            asked["model"] = model
        if chat:
            asked["messages"] = [{"role": "user", "content": prompt}]
        else:
            asked["prompt"] = prompt
        path = "/v1/chat/completions" if chat else "/v1/completions"
        try:
            status, body = self._ask("POST", path, asked, timeout_s)
        except NoAnswer as error:
            raise StepError(f"slot {self._slot} cannot be used: {error}") from error
        if status != 200:
            raise StepError(
                f"slot {self._slot} answered a completion with {status}: {_excerpt(body)}"
            )
        return _text(body)

    def unready(self) -> str:
        """Why /ready turns requests away, in the daemon's words; empty where it does not.

        Raises:
            NoAnswer: It does not run, or not well.
        """
        status, body = self._ask("GET", "/ready", None, timeout_s=_LOOK_S)
        if status == 200:
            return ""
        document = _decoded(body)
        told = [_excerpt(str(document.get(key, "")).encode()) for key in ("reason", "detail")]
        return ": ".join(part for part in told if part) or f"/ready says {status}"

    def _await_ready(self, seconds: float, cancel: Cancel) -> None:
        deadline = time.monotonic() + seconds
        while True:
            status, body = self._ask("GET", "/ready", None, timeout_s=_LOOK_S)
            if status == 200:
                return
            cancel.raise_if_requested()
            if time.monotonic() > deadline:
                raise NoAnswer(f"/ready says {status}: {_excerpt(body)}")
            cancel.wait(0.1)

    def _ask(
        self, method: str, path: str, body: dict[str, Any] | None, timeout_s: float
    ) -> tuple[int, bytes]:
        connection = _UnixConnection(f"{self._run}/admin.sock", timeout_s)
        headers = {"Connection": "close", "Content-Type": "application/json"}
        try:
            with connection.within(timeout_s):
                connection.request(method, path, json.dumps(body) if body else None, headers)
                response = connection.getresponse()
                content = response.read(_MOST_BYTES + 1)
        except TimeoutError as error:
            raise NoAnswer(f"no answer to {path} within {timeout_s:g} s") from error
        except OSError as error:
            raise NoAnswer(f"{self._run}/admin.sock: {error}") from error
        except http.client.HTTPException as error:
            raise NoAnswer(f"{self._run}/admin.sock: {_excerpt(str(error).encode())}") from error
        if len(content) > _MOST_BYTES:
            raise NoAnswer(f"the answer to {path} is longer than {_MOST_BYTES} bytes")
        return response.status, content


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        # Not by its name: a link there could lead root to another program's socket.
        found = os.open(self._path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if not stat.S_ISSOCK(os.fstat(found).st_mode):
                raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK))
            self.sock.connect(f"/proc/self/fd/{found}")
        finally:
            os.close(found)

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Limit a whole conversation: the socket's own limit begins anew with each byte.

        Raises:
            TimeoutError: It was not over in time.
        """
        late = threading.Event()

        def cut() -> None:
            late.set()
            with contextlib.suppress(OSError, AttributeError):  # Not connected, or closed by now.
                self.sock.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(seconds, cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        except (OSError, http.client.HTTPException):
            if not late.is_set():
                raise
        finally:
            timer.cancel()
            self.close()
        if late.is_set():  # A cut can look like the end of an answer.
            raise TimeoutError


def _read_plain(path: str) -> bytes:
    """Read a small file and nothing else: a FIFO would block for ever, a link leads elsewhere."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        return file.read(_MOST_BYTES) if stat.S_ISREG(os.fstat(fd).st_mode) else b""


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _text(body: bytes) -> str:
    try:
        choice = _decoded(body)["choices"][0]
        return str(choice["message"]["content"] if "message" in choice else choice["text"])
    except (KeyError, IndexError, TypeError):
        return ""


def _excerpt(body: bytes) -> str:
    text = body[:200].decode("utf-8", errors="replace")
    return "".join(c if c.isprintable() else " " for c in text).strip()
