"""One run of the engine's process: started with its spec through a pipe, watched, ended."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import deque
from pathlib import Path

from aiconsole.onhost.inferd.engine.minder import MinderSpec
from aiconsole.onhost.inferd.engine.worker import WorkerSpec

_BOOT = (
    "import json,sys;sys.path[:]=json.loads(sys.argv[1]);"
    "from aiconsole.onhost.inferd.engine.{module} import main;main()"
)
_KEPT_LINES = 100
_KEPT_LINE_CHARS = 500
_KILL_S = 10.0
_PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "CUDA_VISIBLE_DEVICES")


class EngineProcess:
    """A child that lives as long as its stdin is open."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def spawn(cls, spec: WorkerSpec) -> EngineProcess:
        """Start it and hand it the spec."""
        return cls(await _start("worker", spec.as_line(), asyncio.subprocess.DEVNULL))

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it is gone."""
        return self._process.returncode is not None

    @property
    def output(self) -> str:
        """The end of what it printed on stderr."""
        return "\n".join(self._lines)

    async def wait(self) -> int:
        """Wait for its end and its last words; the exit status, negative for a signal."""
        code = await self._process.wait()
        # A grandchild could hold the pipe open: its output is not worth waiting for.
        await asyncio.wait([self._reader], timeout=1.0)
        return code

    async def end(self, grace_s: float) -> None:
        """Close its stdin, which ends it; after `grace_s` kill it."""
        if not self.ended:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                await asyncio.wait_for(self._process.wait(), grace_s)
            except asyncio.TimeoutError:
                self.kill()
        await self.wait()
        self._reader.cancel()

    def kill(self) -> None:
        """End it by force."""
        if not self.ended:
            self._process.kill()

    async def _read(self) -> None:
        assert self._process.stderr is not None
        rest = ""
        while data := await self._process.stderr.read(65536):
            *lines, rest = (rest + data.decode("utf-8", "replace")).split("\n")
            rest = rest[-_KEPT_LINE_CHARS:]
            self._lines.extend(line[:_KEPT_LINE_CHARS] for line in lines)
        if rest:
            self._lines.append(rest)


class MindedProcess(EngineProcess):
    """A server of somebody else's, behind the small process that minds it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        super().__init__(process)
        self._served_pid = 0

    @classmethod
    async def mind(cls, spec: MinderSpec) -> MindedProcess:
        """Start it and hand it the spec."""
        minded = cls(await _start("minder", spec.as_line(), asyncio.subprocess.PIPE))
        await minded._hear_pid()
        return minded

    @property
    def pid(self) -> int:
        """Of the server; of its minder until it is known."""
        return self._served_pid or self._process.pid

    async def end(self, grace_s: float) -> None:
        """Ask the server to stop; after `grace_s` kill it and all that it started."""
        stdin = self._process.stdin
        assert stdin is not None
        if not self.ended and grace_s > 0:
            stdin.write(b"stop\n")
            await asyncio.wait([asyncio.create_task(self._process.wait())], timeout=grace_s)
        # Without its stdin the minder kills what is left, and then it ends; if it can.
        await super().end(_KILL_S)

    async def _hear_pid(self) -> None:
        assert self._process.stdout is not None
        told = await self._process.stdout.readline()
        self._served_pid = int(told) if told.strip().isdigit() else 0


async def _start(module: str, line: bytes, stdout: int) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-c", _BOOT.format(module=module), _search_path(),
        stdin=asyncio.subprocess.PIPE,
        stdout=stdout,
        stderr=asyncio.subprocess.PIPE,
        env=_environment(),
        cwd="/",
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(line)
    return process


def _search_path() -> str:
    return json.dumps([str(entry) for entry in _entries()])


def _entries() -> list[Path]:
    return [path for path in map(Path, sys.path) if path.is_absolute()]


def passed_on() -> dict[str, str]:
    """Little of the environment is: no notification or listening sockets, no credentials."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ}


def _environment() -> dict[str, str]:
    found = passed_on()
    # libgomp's threads would spin for milliseconds at each barrier, on cores that others need too.
    # Seen on two busy cores: 0.6 requests/s with its default, 3.6 with this; idle ones: the same.
    found["GOMP_SPINCOUNT"] = "1000"
    libraries = [
        str(lib) for lib in (entry / "lib" for entry in _entries()) if any(lib.glob("*.so*"))
    ]
    if libraries:
        # A bare host may lack libgomp; a layer brings it.
        found["LD_LIBRARY_PATH"] = os.pathsep.join(libraries)
    return found
