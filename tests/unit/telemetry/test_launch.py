"""The probe carried to a host: the stub's dialogue, played on this machine."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pynvml
import pytest

from aiconsole.bundle.archive import pack
from aiconsole.bundle.cache import Layer
from aiconsole.bundle.platform import Platform
from aiconsole.bundle.source import copy_source
from aiconsole.errors import BundleError, CommandError
from aiconsole.onhost.wire import read_frame
from aiconsole.session.command import Command
from aiconsole.session.local import LocalSession
from aiconsole.session.protocol import Process, Session
from aiconsole.telemetry.launch import launched
from aiconsole.telemetry.shelf import Shelf


class RemoteLike:
    """A session that is not this machine's, so that the probe must be carried."""

    def __init__(self, **environment: str) -> None:
        self._session = LocalSession("web1")
        self._environment = tuple(f"{name}={value}" for name, value in environment.items())
        self.sent = 0

    @property
    def host_name(self) -> str:
        return "web1"

    def open(self, command: Command) -> AbstractAsyncContextManager[Process]:
        argv = ("env", *self._environment, *command.argv)
        return self._counted(replace(command, argv=argv))

    @asynccontextmanager
    async def _counted(self, command: Command) -> AsyncIterator[Process]:
        async with self._session.open(command) as process:
            write = process.write

            async def counted(data: bytes) -> None:
                self.sent += len(data)
                await write(data)

            process.write = counted  # type: ignore[method-assign]
            yield process


class ReadyShelf(Shelf):
    """Layers that need no network: the packages of this environment."""

    def __init__(self, *layers: Layer) -> None:
        super().__init__()
        self._ready = layers
        self.platforms: list[Platform] = []

    async def layers(self, platform: Platform) -> tuple[Layer, ...]:
        self.platforms.append(platform)
        return self._ready


def packed(name: str, tree: Path, directory: Path) -> Layer:
    archive = directory / f"{name}.tar.gz"
    found = pack(tree, archive)
    return Layer(name, found.sha256, archive, found.size_bytes, found.unpacked_bytes)


@pytest.fixture(scope="module")
def layers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Layer, ...]:
    directory = tmp_path_factory.mktemp("layers")
    code, packages = directory / "code", directory / "packages"
    code.mkdir()
    copy_source(code)
    skip = shutil.ignore_patterns("__pycache__", "tests")
    shutil.copytree(Path(psutil.__file__).parent, packages / "psutil", ignore=skip)
    shutil.copy(pynvml.__file__, packages / "pynvml.py")
    return packed("code", code, directory), packed("probe", packages, directory)


async def first_frame(session: RemoteLike, shelf: Shelf) -> int:
    async with asyncio.timeout(60), run(session, shelf) as process:
        return read_frame(await process.readline()).seq


def run(session: RemoteLike, shelf: Shelf) -> AbstractAsyncContextManager[Process]:
    as_session: Session = session  # type: ignore[assignment]
    return launched(as_session, shelf, ("--interval", "0.1"), sys.executable)


def placed(home: Path) -> dict[str, float]:
    root = home / ".cache" / "aiconsole" / "host-layers"
    return {path.name: path.stat().st_ino for path in root.iterdir()}


async def test_it_is_carried_once_and_runs(layers: tuple[Layer, ...], tmp_path: Path) -> None:
    session, shelf = RemoteLike(HOME=str(tmp_path)), ReadyShelf(*layers)
    assert await first_frame(session, shelf) == 0
    assert session.sent > sum(layer.size_bytes for layer in layers)
    there = placed(tmp_path)
    assert there.keys() == {layer.sha256 for layer in layers}
    assert (tmp_path / ".cache" / "aiconsole").stat().st_mode & 0o077 == 0
    session.sent = 0
    assert await first_frame(session, shelf) == 0
    assert session.sent < 1000
    assert placed(tmp_path) == there
    machine = os.uname().machine
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert [(p.architecture, p.python) for p in shelf.platforms] == [(machine, version)] * 2


async def test_bytecode_lies_beside_the_code_so_that_it_stays_small(
    layers: tuple[Layer, ...], tmp_path: Path
) -> None:
    await first_frame(RemoteLike(HOME=str(tmp_path)), ReadyShelf(*layers))
    root = tmp_path / ".cache" / "aiconsole" / "host-layers" / layers[1].sha256
    assert list((root / "__pycache__").glob("pynvml.*.pyc"))


async def test_two_at_once_do_not_disturb_each_other(
    layers: tuple[Layer, ...], tmp_path: Path
) -> None:
    shelf = ReadyShelf(*layers)
    both = [first_frame(RemoteLike(HOME=str(tmp_path)), shelf) for _ in range(2)]
    assert await asyncio.gather(*both) == [0, 0]
    assert placed(tmp_path).keys() == {layer.sha256 for layer in layers}


async def test_a_login_shell_may_be_noisy(layers: tuple[Layer, ...], tmp_path: Path) -> None:
    noisy = tmp_path / "python3"
    noisy.write_text(f"#!/bin/sh\necho 'Welcome {{}}'; echo 5; exec {sys.executable} \"$@\"\n")
    noisy.chmod(0o755)
    session: Session = RemoteLike(HOME=str(tmp_path))  # type: ignore[assignment]
    async with launched(session, ReadyShelf(*layers), ("--count", "1"), str(noisy)) as process:
        assert read_frame(await process.readline()).seq == 0


@pytest.fixture
def memory() -> Iterator[Path]:
    """Where the layers go when the home takes none."""
    place = Path(f"/dev/shm/aiconsole-{os.getuid()}")
    before = place.exists()
    yield place
    if not before:
        shutil.rmtree(place, ignore_errors=True)


async def test_a_home_that_takes_nothing_is_no_obstacle(
    layers: tuple[Layer, ...], tmp_path: Path, memory: Path
) -> None:
    (tmp_path / ".cache").write_text("a file where a directory should be")
    assert await first_frame(RemoteLike(HOME=str(tmp_path)), ReadyShelf(*layers)) == 0
    assert await asyncio.to_thread(os.path.isdir, memory / "host-layers" / layers[0].sha256)


async def test_a_cache_that_others_may_write_is_not_used(
    layers: tuple[Layer, ...], tmp_path: Path, memory: Path
) -> None:
    theirs = tmp_path / ".cache" / "aiconsole" / "host-layers"
    theirs.mkdir(parents=True)
    for layer in layers:
        (theirs / layer.sha256).mkdir()
    theirs.chmod(0o777)
    assert await first_frame(RemoteLike(HOME=str(tmp_path)), ReadyShelf(*layers)) == 0
    assert await asyncio.to_thread(os.path.isdir, memory / "host-layers" / layers[0].sha256)


async def test_what_arrives_damaged_is_refused(layers: tuple[Layer, ...], tmp_path: Path) -> None:
    wrong = replace(layers[0], sha256="0" * 64)
    with pytest.raises(CommandError, match="arrived damaged"):
        await first_frame(RemoteLike(HOME=str(tmp_path)), ReadyShelf(wrong, layers[1]))
    assert not list((tmp_path / ".cache").rglob("0" * 64))


async def test_old_layers_go_and_those_in_use_stay(
    layers: tuple[Layer, ...], tmp_path: Path
) -> None:
    session, shelf = RemoteLike(HOME=str(tmp_path)), ReadyShelf(*layers)
    await first_frame(session, shelf)
    root = tmp_path / ".cache" / "aiconsole" / "host-layers"
    (root / "part-left").mkdir()
    old = root / ("e" * 64)
    old.mkdir()
    for path in root.iterdir():
        os.utime(path, (1.0, 1.0))
    (tmp_path / "extra").mkdir()
    (tmp_path / "extra" / "new.txt").write_text("new")
    more = packed("extra", tmp_path / "extra", tmp_path)
    async with run(session, shelf) as running:
        assert read_frame(await running.readline()).seq == 0
        for layer in layers:
            os.utime(root / layer.sha256, (1.0, 1.0))
        await first_frame(session, ReadyShelf(*layers, more))
        names = {path.name for path in root.iterdir()}
        assert names == {layer.sha256 for layer in (*layers, more)}


async def test_no_python_is_said_so(layers: tuple[Layer, ...]) -> None:
    session: Session = RemoteLike()  # type: ignore[assignment]
    with pytest.raises(CommandError) as caught:
        async with launched(session, ReadyShelf(*layers), (), "python3-not-here"):
            pass
    assert caught.value.title == "web1 has no python3"


async def test_a_host_that_says_something_else_is_not_understood(
    layers: tuple[Layer, ...], tmp_path: Path
) -> None:
    chatty = tmp_path / "python3"
    chatty.write_text("#!/bin/sh\nexec yes $(printf '\\033')\n")
    chatty.chmod(0o755)
    session: Session = RemoteLike()  # type: ignore[assignment]
    with pytest.raises(CommandError, match=r"not understood: \\x1b"):
        async with launched(session, ReadyShelf(*layers), (), str(chatty)):
            pass


async def test_an_old_python_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text(
        "#!/bin/sh\n"
        'echo \'{"hello": 1, "python": "3.7", "machine": "x86_64", "glibc": "2.28"}\'\n'
        "cat >/dev/null\n"
    )
    old.chmod(0o755)
    session: Session = RemoteLike()  # type: ignore[assignment]
    with pytest.raises(BundleError, match=r"Python must be 3\.10 or newer"):
        async with launched(session, Shelf(), (), str(old)):
            pass
