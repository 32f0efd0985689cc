"""llama.cpp in a process of its own: checked, loaded, proven, watched, and started again."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import shutil
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiconsole.onhost.inferd import cpu
from aiconsole.onhost.inferd.engine.check import check
from aiconsole.onhost.inferd.engine.pace import Pace
from aiconsole.onhost.inferd.engine.private import make_private, write_key
from aiconsole.onhost.inferd.engine.process import EngineProcess
from aiconsole.onhost.inferd.engine.progress import Progress
from aiconsole.onhost.inferd.engine.protocol import Ask, Chunk, EngineState, EngineStatus
from aiconsole.onhost.inferd.engine.reason import explain
from aiconsole.onhost.inferd.engine.sizing import Sizing, size
from aiconsole.onhost.inferd.engine.upstream import OpenAIUpstream
from aiconsole.onhost.inferd.engine.vigil import Vigil
from aiconsole.onhost.inferd.engine.worker import WorkerSpec
from aiconsole.onhost.inferd.errors import ApiError, bad_request, unavailable
from aiconsole.onhost.inferd.gguf import GgufHeader
from aiconsole.onhost.inferd.settings import EngineSettings, ModelSettings
from aiconsole.onhost.inferd.start_error import StartError

log = logging.getLogger("inferd.engine")

_POLL_S = 0.05
_PROBE_TIMEOUT_S = 120.0
_BACKOFF_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
_HEALTHY_AFTER_S = 60.0
_PATIENCE = 3
_SPARE = 2


class LlamaEngine:
    """Supervises one worker process."""

    def __init__(
        self,
        model: ModelSettings,
        settings: EngineSettings,
        run_dir: Path,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._model = model
        self._settings = settings
        self._run_dir = run_dir
        self._on_change = on_change
        self._header: GgufHeader | None = None
        self._sizing: Sizing | None = None
        self._private: Path | None = None
        self._process: EngineProcess | None = None
        self._upstream: OpenAIUpstream | None = None
        self._watch: asyncio.Task[None] | None = None
        self._pace = Pace()
        self._progress = Progress()
        self._status = EngineStatus("starting")

    @property
    def context_tokens(self) -> int:
        """Tokens that prompt and answer of one request may have together."""
        return self._sizing.context_tokens if self._sizing else 0

    @property
    def slots(self) -> int:
        """Requests that it computes together."""
        return self._sizing.slots if self._sizing else 0

    def status(self) -> EngineStatus:
        """How it is now."""
        return self._status

    async def start(self) -> None:
        """Check the file and the CPU, load, and prove it by a completion.

        Raises:
            StartError: With the reason in plain words.
        """
        self._set("loading", phase="checking the model file")
        try:
            self._header = await asyncio.to_thread(check, self._model, self._settings)
            self._sizing = size(self._settings, self._header)
            self._private = make_private(self._run_dir)
            await self._launch()
        except StartError as error:
            self._set("failed", reason=str(error))
            raise
        self._watch = asyncio.create_task(self._keep_up())

    async def embed(self, body: dict[str, Any]) -> dict[str, Any]:
        """Compute embeddings."""
        upstream = self._ready_upstream()
        with self._progress.at_work():
            answer = await upstream.embed(body)
            self._progress.moved()
        return answer

    async def metrics_text(self) -> bytes:
        """llama.cpp's own series."""
        return await self._ready_upstream().metrics_text()

    @property
    def _knows_tools(self) -> bool:
        return self._header is not None and "tools" in self._header.chat_template

    def _ready_upstream(self) -> OpenAIUpstream:
        if self._upstream is None or self._status.state != "ready":
            raise unavailable(
                f"The engine is not ready: {self._status.reason or self._status.phase}.",
                code="engine_unavailable",
                retry_after_s=2.0,
            )
        return self._upstream

    async def stream(self, ask: Ask) -> AsyncGenerator[list[Chunk], None]:
        """Compute one request."""
        upstream = self._ready_upstream()
        if "tools" in ask.body and not self._knows_tools:
            # llama.cpp would leave them out without a word.
            raise bad_request(
                "This model knows no tools: its chat template does not mention them.",
                param="tools", code="tools_unsupported",
            )  # fmt: skip
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

    async def _launch(self) -> None:
        """Start one process and wait until it has answered a completion."""
        spec = self._spec()
        self._set("loading", phase="starting the engine")
        try:
            self._process = await EngineProcess.spawn(spec)
        except OSError as error:
            raise StartError("The engine cannot be started", str(error)) from error
        self._upstream = OpenAIUpstream(spec.socket_path, spec.api_key, spec.slots + _SPARE)
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
            raise await self._failed_load(str(error)) from error
        self._set("ready")

    def _spec(self) -> WorkerSpec:
        assert self._sizing is not None
        assert self._private is not None
        sock, key = self._private / "w.sock", secrets.token_urlsafe(32)
        sock.unlink(missing_ok=True)
        return WorkerSpec(
            model_path=self._model.path,
            model_name=self._model.name,
            socket_path=str(sock),
            api_key=key,
            api_key_file=write_key(self._private, key) if self._settings.binary else "",
            binary=self._settings.binary,
            pool_tokens=self._sizing.pool_tokens,
            slots=self._sizing.slots,
            threads=self._sizing.threads,
            batch_tokens=self._settings.batch_tokens,
            cache_ram_mib=self._sizing.cache_ram_mib,
            http_threads=2 * self._sizing.slots + 3 * _SPARE,
            parent_pid=os.getpid(),
        )

    async def _until_loaded(self, process: EngineProcess, upstream: OpenAIUpstream) -> None:
        limit_s = self._settings.load_timeout_s
        deadline = time.monotonic() + limit_s
        while not await upstream.healthy():
            if process.ended:
                raise await self._failed_load("")
            if time.monotonic() > deadline:
                await self._end_process(0.0)
                raise StartError("The engine did not load", f"not ready after {limit_s:.0f} s")
            assert self._header is not None
            loaded = cpu.resident_bytes(process.pid) / self._header.size_bytes
            self._set("loading", phase="loading the model", progress=min(0.99, loaded))
            await asyncio.sleep(_POLL_S)

    async def _failed_load(self, otherwise: str) -> StartError:
        """The reason of a process that did not come up; ends it if it is still there."""
        process = self._process
        assert process is not None
        await asyncio.sleep(0)
        alive = not process.ended
        await self._end_process(0.0)
        if alive and otherwise:
            return StartError("The engine failed its first completion", otherwise)
        for line in process.output.splitlines()[-12:]:
            log.warning("engine: %s", line)
        return StartError("The engine did not load", explain(process.output, await process.wait()))

    async def _prove(self, upstream: OpenAIUpstream) -> None:
        """A real completion; the only proof that counts."""
        ask = Ask("text", {"model": self._model.name, "prompt": "Hello", "max_tokens": 1})
        finished = False
        async with aclosing(upstream.stream(ask)) as batches:
            async for batch in batches:
                self._pace.learn(batch)
                finished = finished or any(chunk.fields for chunk in batch)
        if not finished:
            raise unavailable("the completion came back without an end", code="engine_error")

    async def _keep_up(self) -> None:
        """Start the process again whenever it ends or is stuck, with growing pauses."""
        failures = 0
        while True:
            began = time.monotonic()
            reason = await self._broken()
            log.error("the engine has to be started again: %s", reason)
            if self._progress.moved_at - began > _HEALTHY_AFTER_S:
                failures = 0
            while not await self._again(reason, failures):
                failures += 1
                reason = self._status.reason
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

    async def _again(self, reason: str, failures: int) -> bool:
        await self._end_process(0.0)
        pause_s = _BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)]
        self._status = EngineStatus(
            "stalled" if self._status.state == "stalled" else "restarting",
            reason,
            f"starting again in {pause_s:g} s",
            restarts=self._status.restarts + 1,
            last_fault=reason,
        )
        self._on_change()
        await asyncio.sleep(pause_s)
        try:
            await self._launch()
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
        kept = reason or (
            self._status.reason if state in ("loading", "restarting", "stalled") else ""
        )
        new = replace(
            self._status,
            state=state,
            reason=kept,
            phase=phase,
            progress=round(progress, 2),
            pid=pid,
        )
        if new != self._status:
            self._status = new
            self._on_change()
