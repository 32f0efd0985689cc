"""Send files to a host, resuming after each cut of the line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path

from aiconsole.bundle.send import send_missing
from aiconsole.control.events import LinkChanged, Progress
from aiconsole.control.line import HostLine
from aiconsole.control.telling import Done, Tell, telling
from aiconsole.errors import LinkLostError, UnreachableError
from aiconsole.onhost.wire import Upload

_ATTEMPTS = 20
"""Cuts in a row without a byte of progress before the operator gets to decide."""

_RETRY_S = (0.2, 1.0, 2.0, 5.0)


async def send_files(
    line: HostLine, files: Sequence[tuple[Upload, Path]]
) -> AsyncGenerator[Progress | LinkChanged, None]:
    """Send what the host does not hold yet; what arrived before a cut is not sent again.

    Raises:
        TransferError: The host refused: disk full, read-only, wrong digest.
        LinkLostError, UnreachableError: The line did not come back; run again to resume.
    """
    host, failures, best_bytes, lost = line.host.name, 0, 0, False
    while True:
        try:
            async with aclosing(telling(partial(_send_once, line, files, lost))) as items:
                async for item in items:
                    if lost:
                        lost = False
                        yield LinkChanged(host, "up", "resumed")
                    if isinstance(item, Done):
                        return
                    if item.done_bytes > best_bytes:
                        failures, best_bytes = 0, item.done_bytes
                    yield item
        except (LinkLostError, UnreachableError) as error:
            failures += 1
            if failures > _ATTEMPTS:
                raise
            if not lost:
                lost = True
                yield LinkChanged(host, "unknown", f"{error}; resuming when it is back")
            await asyncio.sleep(_RETRY_S[min(failures, len(_RETRY_S)) - 1])


async def _send_once(
    line: HostLine, files: Sequence[tuple[Upload, Path]], lost: bool, tell: Tell
) -> None:
    total_bytes = sum(upload.size_bytes for upload, _ in files)
    await send_missing(
        await line.session(now=lost),
        line.tool,
        line.layout,
        files,
        sudo=line.sudo,
        python=line.python,
        opening=lambda request: line.open("receive", stdin=request),
        progress=lambda sent: tell(Progress(line.host.name, "upload", "Send", sent, total_bytes)),
    )
