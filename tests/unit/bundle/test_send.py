"""Sending against the real tool on this machine, with the line cut where it hurts."""

import asyncio
import hashlib
import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from aiconsole.bundle.send import _request, send_missing
from aiconsole.bundle.tool import build_tool, open_call
from aiconsole.errors import LinkLostError, TransferError
from aiconsole.onhost.wire import HostLayout, Upload
from aiconsole.session.command import Command
from aiconsole.session.local import LocalSession
from aiconsole.session.protocol import Process

Files = list[tuple[Upload, Path]]


class CutProcess:
    """Passes bytes on until so many have gone out; then the line is dead."""

    def __init__(self, inner: Process, session: "CutSession") -> None:
        self._inner = inner
        self._session = session

    async def write(self, data: bytes) -> None:
        allowed = data[: self._session.left_bytes]
        self._session.left_bytes -= len(allowed)
        if allowed:
            await self._inner.write(allowed)
        if len(allowed) < len(data):
            # What was on the way may still arrive, as with a real line.
            await self._inner.write_eof()
            raise LinkLostError("the line was cut by the test")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class CutSession:
    """A session whose line dies after so many bytes."""

    def __init__(self, inner: LocalSession, left_bytes: int) -> None:
        self._inner = inner
        self.left_bytes = left_bytes

    @asynccontextmanager
    async def open(self, command: Command) -> AsyncIterator[CutProcess]:
        async with self._inner.open(command) as process:
            yield CutProcess(process, self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


@pytest.fixture
async def here() -> AsyncIterator[LocalSession]:
    session = LocalSession()
    yield session
    await session.close()


@pytest.fixture
def layout(tmp_path: Path) -> HostLayout:
    return HostLayout.of_user(str(tmp_path / "home"))


def make_files(directory: Path, sizes: list[int], seed: int = 3) -> Files:
    files = []
    for i, size in enumerate(sizes):
        path = directory / f"file-{i}"
        path.write_bytes(random.Random(seed + i).randbytes(size))
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        files.append((Upload(sha256, size), path))
    return files


async def send(session: Any, layout: HostLayout, files: Files, told: list[int]) -> None:
    await send_missing(
        session, build_tool(), layout, files, progress=told.append, python=sys.executable
    )


def arrived(layout: HostLayout, files: Files) -> bool:
    return all(
        Path(layout.upload(upload.sha256)).read_bytes() == path.read_bytes()
        for upload, path in files
    )


def present(layout: HostLayout, upload: Upload) -> bool:
    place = layout.upload(upload.sha256)
    return any(Path(place + end).exists() for end in ("", ".part"))


async def test_files_arrive_whole(tmp_path: Path, here: LocalSession, layout: HostLayout) -> None:
    files = make_files(tmp_path, [3_000_000, 0, 1, 262_144, 700_001])
    told: list[int] = []
    await send(here, layout, files, told)
    assert arrived(layout, files)
    assert told[0] == 0
    assert told[-1] == sum(upload.size_bytes for upload, _ in files)
    assert told == sorted(told)


async def test_large_files_go_side_by_side(
    tmp_path: Path, here: LocalSession, layout: HostLayout
) -> None:
    files = make_files(tmp_path, [2_100_000, 4_000_000, 300_000])
    await send(here, layout, files[2:], [])
    told: list[int] = []
    await send(here, layout, files, told)
    assert arrived(layout, files)
    assert told[0] >= 300_000
    assert told == sorted(told)
    assert told[-1] == 6_400_000


async def test_a_fault_of_one_channel_ends_the_other(
    tmp_path: Path, here: LocalSession, layout: HostLayout
) -> None:
    files = make_files(tmp_path, [2_100_000, 4_000_000])
    files[0][1].write_bytes(bytes(2_100_000))
    with pytest.raises(TransferError, match="is not what was sent"):
        await send(here, layout, files, [])
    assert not present(layout, files[0][0])
    assert not list(Path(layout.upload("x")).parent.glob("*.part*"))


async def test_what_is_there_is_not_sent_again(
    tmp_path: Path, here: LocalSession, layout: HostLayout
) -> None:
    files = make_files(tmp_path, [500_000, 400_000])
    await send(here, layout, files[:1], [])
    told: list[int] = []
    left = len(build_tool().content) + 400_000 + 4096
    await send(CutSession(here, left), layout, files, told)
    assert told[0] == 500_000
    assert arrived(layout, files)


async def test_cuts_anywhere_are_resumed(
    tmp_path: Path, here: LocalSession, layout: HostLayout
) -> None:
    files = make_files(tmp_path, [1_500_000, 900_000])
    overhead = len(build_tool().content)
    chance = random.Random(5)
    reached = [0]
    cuts = 0
    while True:
        line = CutSession(here, chance.randrange(0, overhead + 900_000))
        told: list[int] = []
        try:
            await send(line, layout, files, told)
            break
        except LinkLostError:
            cuts += 1
        assert told == sorted(told)
        if told:
            assert told[0] >= reached[-1], "bytes that had arrived were sent again"
            reached.append(told[0])
        assert cuts < 100
    assert cuts >= 3
    assert any(reached)
    assert arrived(layout, files)


async def test_a_file_that_changed_is_found_on_the_host(
    tmp_path: Path, here: LocalSession, layout: HostLayout
) -> None:
    files = make_files(tmp_path, [600_000])
    content = bytearray(files[0][1].read_bytes())
    content[400_000] ^= 1
    files[0][1].write_bytes(content)
    with pytest.raises(TransferError) as caught:
        await send(here, layout, files, [])
    assert "is not what was sent" in caught.value.title
    assert not present(layout, files[0][0])


async def test_a_file_that_became_shorter(
    tmp_path: Path, here: LocalSession, layout: HostLayout
) -> None:
    files = make_files(tmp_path, [600_000])
    os.truncate(files[0][1], 300_000)
    with pytest.raises(TransferError, match="became shorter"):
        await send(here, layout, files, [])


async def test_a_file_that_is_gone(tmp_path: Path, here: LocalSession, layout: HostLayout) -> None:
    files = make_files(tmp_path, [600_000])
    files[0][1].unlink()
    with pytest.raises(TransferError, match="cannot be read"):
        await send(here, layout, files, [])


async def test_no_room_is_told_before_a_byte_is_sent(
    tmp_path: Path, here: LocalSession, layout: HostLayout
) -> None:
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(1 << 43)
    line = CutSession(here, len(build_tool().content) + 4096)
    with pytest.raises(TransferError) as caught:
        await send(line, layout, [(Upload("a" * 64, 1 << 43), path)], [])
    assert "is full" in caught.value.title


async def test_two_files_at_once_by_two_consoles(
    tmp_path: Path, here: LocalSession, layout: HostLayout
) -> None:
    files = make_files(tmp_path, [8_000_000])
    await asyncio.gather(send(here, layout, files, []), send(here, layout, files, []))
    assert arrived(layout, files)


async def test_a_receiver_whose_console_is_gone_is_taken_over(
    tmp_path: Path, here: LocalSession, layout: HostLayout
) -> None:
    # A line that died in silence: its receiver still holds the file and waits.
    files = make_files(tmp_path, [1_000_000])
    request = _request(layout, files)
    async with open_call(
        here, build_tool(), layout, "receive", stdin=request, python=sys.executable
    ) as stalled:
        assert await stalled.read() == {"offsets": [0]}
        half = await asyncio.to_thread(files[0][1].read_bytes)
        await stalled.write(half[:600_000])
        told: list[int] = []
        await send(here, layout, files, told)
    assert told[0] == 600_000
    assert arrived(layout, files)
