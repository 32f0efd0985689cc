"""A process that computes: loaded, proven, watched, and started again."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from aiconsole.onhost.inferd import cpu
from aiconsole.onhost.inferd.engine.pace import Pace
from aiconsole.onhost.inferd.engine.private import make_private
from aiconsole.onhost.inferd.engine.process import EngineProcess
from aiconsole.onhost.inferd.engine.progress import Progress
from aiconsole.onhost.inferd.engine.proof import ANY_WAY, Way, prove
from aiconsole.onhost.inferd.engine.protocol import Ask, Chunk, EngineState, EngineStatus
from aiconsole.onhost.inferd.engine.reason import explain, visible
from aiconsole.onhost.inferd.engine.refusal import RefusalError
from aiconsole.onhost.inferd.engine.standing import Standing
from aiconsole.onhost.inferd.engine.upstream import OpenAIUpstream
from aiconsole.onhost.inferd.engine.vigil import Vigil
from aiconsole.onhost.inferd.errors import ApiError, unavailable
from aiconsole.onhost.inferd.settings import EngineSettings
from aiconsole.onhost.inferd.start_error import StartError

log = logging.getLogger("inferd.engine")

_POLL_S = 0.05
_PROBE_TIMEOUT_S = 120.0
_BACKOFF_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
_HEALTHY_AFTER_S = 60.0
_PATIENCE = 3
_KEPT_LINES = 12
_NO_SUCH_PAGE = 404
SPARE = 2
"""Connections to the engine beside one for each slot."""


class Supervisor(ABC):
    """What all engines have in common that are a process on this machine.

    What they differ in: how the process is prepared and spawned, and how far it has loaded.
    """

    _preparing = "checking the model file"

    def __init__(
        self, name: str, settings: EngineSettings, run_dir: Path, on_change: Callable[[], None]
    ) -> None:
        self._name = name
        self._settings = settings
        self._run_dir = run_dir
        self._private: Path | None = None
        self._process: EngineProcess | None = None
        self._upstream: OpenAIUpstream | None = None
        self._watch: asyncio.Task[None] | None = None
        self._ways: Sequence[Way] = ANY_WAY
        self._pace = Pace()
        self._progress = Progress()
        self._standing = Standing(on_change)

    @abstractmethod
    def _prepare(self) -> None:
        """Check what can be known before anything is started; called once, in a thread.

        Raises:
            StartError: It would end badly.
        """

    @abstractmethod
    async def _spawn(self, private: Path) -> tuple[EngineProcess, OpenAIUpstream]:
        """Start the process; it has not loaded yet.

        Raises:
            StartError: It cannot be started.
            OSError: Nothing can be.
        """

    @abstractmethod
    def _admit(self, process: EngineProcess) -> None:
        """Look at a process that says it is up, before anything is asked of it.

        Raises:
            StartError: It must not be asked.
        """

    def _refuse_unknown(self, ask: Ask) -> None:  # noqa: B027 - most engines refuse by themselves
        """Refuse what the engine would leave out without a word.

        Raises:
            ApiError: 400.
        """

    def _resident_share(self, resident_bytes: int) -> float:
        """How far it has loaded by the memory that it holds; 0 where that says nothing."""
        return 0.0

    def status(self) -> EngineStatus:
        """How it is now."""
        return self._standing.status

    async def start(self) -> None:
        """Check, load, and prove it by a completion.

        Raises:
            StartError: With the reason in plain words.
        """
        self._set("loading", phase=self._preparing)
        try:
            await asyncio.to_thread(self._prepare)
            self._private = make_private(self._run_dir)
            await self._launch(self._private)
        except StartError as error:
            self._set("failed", reason=str(error))
            raise
        self._watch = asyncio.create_task(self._keep_up(self._private))

    async def embed(self, body: dict[str, Any]) -> dict[str, Any]:
        """Compute embeddings."""
        upstream = self._ready_upstream()
        with self._progress.at_work():
            answer = await upstream.embed(body)
            self._progress.moved()
        return answer

    async def metrics_text(self) -> bytes:
        """The server's own series; none where it has no page of them."""
        try:
            return await self._ready_upstream().metrics_text()
        except RefusalError as refused:
            if refused.said is not None and refused.said.status == _NO_SUCH_PAGE:
                return b""
            raise

    def _ready_upstream(self) -> OpenAIUpstream:
        status = self.status()
        if self._upstream is None or status.state != "ready":
            raise unavailable(
                f"The engine is not ready: {status.reason or status.phase}.",
                code="engine_unavailable",
                retry_after_s=2.0,
            )
        return self._upstream

    async def stream(self, ask: Ask) -> AsyncGenerator[list[Chunk], None]:
        """Compute one request."""
        upstream = self._ready_upstream()
        self._refuse_unknown(ask)
        with self._progress.at_work():
            async with aclosing(self._computed(upstream, ask)) as batches:
                async for batch in batches:
                    self._progress.moved()
                    self._pace.learn(batch)
                    if batch:
                        with self._progress.aside():
                            yield batch

    async def _computed(
        self, upstream: OpenAIUpstream, ask: Ask
    ) -> AsyncGenerator[list[Chunk], None]:
        """The answer in the shape that costs least; an empty batch is progress with the prompt."""
        if self._pace.is_brief(ask):
            yield await upstream.whole(ask)
            return
        # A shorter prompt is computed in one go, before there could be progress to tell of.
        long_prompt = ask.size_bytes > self._settings.batch_tokens
        async with aclosing(upstream.stream(ask, tell_progress=long_prompt)) as batches:
            async for batch in batches:
                yield batch

    async def stop(self, grace_s: float) -> None:
        """End the process and remove its private directory."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
        await self._end_process(grace_s)
        if self._private is not None:
            shutil.rmtree(self._private, ignore_errors=True)
        self._set("stopped")

    async def _launch(self, private: Path) -> None:
        """Start one process and wait until it has answered a completion."""
        self._set("loading", phase="starting the engine")
        try:
            self._process, self._upstream = await self._spawn(private)
        except OSError as error:
            raise StartError("The engine cannot be started", str(error)) from error
        try:
            await self._until_loaded(self._process, self._upstream)
            self._set("loading", phase="proving it by a completion")
            await asyncio.wait_for(self._prove(self._upstream), _PROBE_TIMEOUT_S)
        except asyncio.TimeoutError:
            await self._end_process(0.0)
            raise StartError(
                "The engine did not answer", f"no completion within {_PROBE_TIMEOUT_S:.0f} s"
            ) from None
        except ApiError as error:
            raise await self._failed_load(self._process, str(error)) from error
        self._set("ready")

    async def _until_loaded(self, process: EngineProcess, upstream: OpenAIUpstream) -> None:
        limit_s = self._settings.load_timeout_s
        deadline = time.monotonic() + limit_s
        while not await upstream.healthy():
            if process.ended:
                raise await self._failed_load(process, "")
            if time.monotonic() > deadline:
                await self._end_process(0.0)
                _show(process)
                raise StartError("The engine did not load", f"not ready after {limit_s:.0f} s")
            loaded = self._resident_share(cpu.resident_bytes(process.pid))
            self._set("loading", phase="loading the model", progress=min(0.99, loaded))
            await asyncio.sleep(_POLL_S)
        if process.ended:
            # What answers is another server, which had the address before this one.
            raise await self._failed_load(process, "")
        try:
            self._admit(process)
        except StartError:
            await self._end_process(0.0)
            raise

    async def _failed_load(self, process: EngineProcess, otherwise: str) -> StartError:
        """The reason of a process that did not come up; ends it if it is still there."""
        await asyncio.sleep(0)
        alive = not process.ended
        await self._end_process(0.0)
        if not (alive and otherwise):
            otherwise = explain(process.output, await process.wait())
            _show(process)
            return StartError("The engine did not load", otherwise)
        return StartError("The engine failed its first completion", otherwise)

    async def _prove(self, upstream: OpenAIUpstream) -> None:
        """A real completion; the only proof that counts."""
        self._ways = (await prove(upstream, self._name, self._pace, self._ways),)

    async def _keep_up(self, private: Path) -> None:
        """Start the process again whenever it ends or is stuck, with growing pauses."""
        failures = 0
        while True:
            began = time.monotonic()
            reason = await self._broken()
            log.error("the engine has to be started again: %s", reason)
            if self._progress.moved_at - began > _HEALTHY_AFTER_S:
                failures = 0
            while not await self._again(private, reason, failures):
                failures += 1
                reason = self.status().reason
            failures += 1

    async def _broken(self) -> str:
        """Wait until the process ends or is stuck; why."""
        process, upstream = self._process, self._upstream
        assert process is not None
        assert upstream is not None
        proof_s = self._settings.idle_proof_s
        vigil = Vigil(self._progress, lambda: self._prove(upstream), self._patience_s, proof_s)
        ended = asyncio.create_task(process.wait())
        stuck = asyncio.create_task(vigil.watch())
        try:
            await asyncio.wait({ended, stuck}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                return explain(process.output, ended.result())
            self._set("stalled", reason=stuck.result())
            return stuck.result()
        finally:
            ended.cancel()
            stuck.cancel()

    def _patience_s(self) -> float:
        """How long there may be no token: a batch of a prompt takes its time on a slow machine."""
        batch_s = self._settings.batch_tokens * self._pace.prompt_token_s
        return max(self._settings.stall_timeout_s, _PATIENCE * batch_s)

    async def _again(self, private: Path, reason: str, failures: int) -> bool:
        await self._end_process(0.0)
        pause_s = _BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)]
        self._standing.start_again(reason, pause_s)
        await asyncio.sleep(pause_s)
        try:
            await self._launch(private)
        except StartError as error:
            self._set("restarting", reason=str(error))
            return False
        log.warning("the engine answers again, after: %s", reason)
        return True

    async def _end_process(self, grace_s: float) -> None:
        if self._upstream is not None:
            await self._upstream.close()
            self._upstream = None
        if self._process is not None:
            await self._process.end(grace_s)

    def _set(
        self, state: EngineState, *, reason: str = "", phase: str = "", progress: float = 0.0
    ) -> None:
        pid = self._process.pid if self._process and not self._process.ended else 0
        self._standing.set(state, reason=reason, phase=phase, progress=progress, pid=pid)


def _show(process: EngineProcess) -> None:
    for line in process.output.splitlines()[-_KEPT_LINES:]:
        log.warning("engine: %s", visible(line))
