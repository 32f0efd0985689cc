"""llama.cpp in a process of its own, or an external llama-server in its place."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from aiconsole.onhost.inferd.credentials import Secret
from aiconsole.onhost.inferd.engine.check import check
from aiconsole.onhost.inferd.engine.endpoint import LLAMA, Endpoint
from aiconsole.onhost.inferd.engine.memory import check_memory
from aiconsole.onhost.inferd.engine.private import write_key
from aiconsole.onhost.inferd.engine.process import EngineProcess
from aiconsole.onhost.inferd.engine.protocol import Ask
from aiconsole.onhost.inferd.engine.sizing import Sizing, size
from aiconsole.onhost.inferd.engine.supervisor import SPARE, Supervisor
from aiconsole.onhost.inferd.engine.upstream import OpenAIUpstream
from aiconsole.onhost.inferd.engine.worker import WorkerSpec
from aiconsole.onhost.inferd.errors import bad_request
from aiconsole.onhost.inferd.gguf import GgufHeader
from aiconsole.onhost.inferd.settings import EngineSettings, ModelSettings


class LlamaEngine(Supervisor):
    """Supervises one worker process."""

    def __init__(
        self,
        model: ModelSettings,
        settings: EngineSettings,
        run_dir: Path,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(model.name, settings, run_dir, on_change)
        self._model = model
        self._header: GgufHeader | None = None
        self._sizing: Sizing | None = None

    @property
    def context_tokens(self) -> int:
        """Tokens that prompt and answer of one request may have together."""
        return self._sizing.context_tokens if self._sizing else 0

    @property
    def slots(self) -> int:
        """Requests that it computes together."""
        return self._sizing.slots if self._sizing else 0

    def _prepare(self) -> None:
        self._header = check(self._model, self._settings)
        self._sizing = size(self._settings, self._header)
        # An external binary may put the model into a GPU's memory.
        if self._settings.memory_check and not self._settings.binary:
            check_memory(self._header, self._sizing)

    async def _spawn(self, private: Path) -> tuple[EngineProcess, OpenAIUpstream]:
        spec = self._spec(private)
        process = await EngineProcess.spawn(spec)
        endpoint = Endpoint(
            "http://engine/v1", Secret(spec.api_key), spec.socket_path,
            root_url="http://engine", quirks=LLAMA,
        )  # fmt: skip
        return process, OpenAIUpstream(endpoint, spec.slots + SPARE)

    def _admit(self, process: EngineProcess) -> None:
        """Its socket lies where nobody else can put one."""

    def _resident_share(self, resident_bytes: int) -> float:
        return resident_bytes / self._header.size_bytes if self._header else 0.0

    def _refuse_unknown(self, ask: Ask) -> None:
        if "tools" in ask.body and self._header and "tools" not in self._header.chat_template:
            # llama.cpp would leave them out without a word.
            raise bad_request(
                "This model knows no tools: its chat template does not mention them.",
                param="tools", code="tools_unsupported",
            )  # fmt: skip

    def _spec(self, private: Path) -> WorkerSpec:
        assert self._sizing is not None
        sock, key = private / "w.sock", secrets.token_urlsafe(32)
        sock.unlink(missing_ok=True)
        return WorkerSpec(
            model_path=self._model.path,
            model_name=self._model.name,
            socket_path=str(sock),
            api_key=key,
            api_key_file=write_key(private, key) if self._settings.binary else "",
            binary=self._settings.binary,
            pool_tokens=self._sizing.pool_tokens,
            slots=self._sizing.slots,
            threads=self._sizing.threads,
            batch_tokens=self._settings.batch_tokens,
            cache_ram_mib=self._sizing.cache_ram_mib,
            http_threads=2 * self._sizing.slots + 3 * SPARE,
            parent_pid=os.getpid(),
        )
