"""An OpenAI-compatible server of somebody else's, started and watched: vLLM, SGLang, llama-server.

It listens on a free port of loopback or on a UNIX socket in a private directory, and ends with the
daemon, together with all that it started.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aiconsole.onhost.inferd.credentials import Secret
from aiconsole.onhost.inferd.engine.endpoint import Endpoint, Quirks
from aiconsole.onhost.inferd.engine.minder import MinderSpec
from aiconsole.onhost.inferd.engine.port import free_port, holders
from aiconsole.onhost.inferd.engine.process import EngineProcess, MindedProcess, passed_on
from aiconsole.onhost.inferd.engine.supervisor import SPARE, Supervisor
from aiconsole.onhost.inferd.engine.upstream import OpenAIUpstream
from aiconsole.onhost.inferd.settings import CommandSettings, EngineSettings, ModelSettings
from aiconsole.onhost.inferd.start_error import StartError

log = logging.getLogger("inferd.engine")

DEFAULT_SLOTS = 32
"""Servers of this kind batch on a GPU; theirs are 256 and more, and a queue is better kept here."""
_TRIES = 3


@dataclass(frozen=True, slots=True)
class _Address:
    """Where one run of the server listens."""

    port: int
    socket_path: str

    @property
    def root_url(self) -> str:
        return f"http://127.0.0.1:{self.port}" if self.port else "http://engine"


class CommandEngine(Supervisor):
    """Supervises one server, whatever it is."""

    _preparing = "checking the engine's program"

    def __init__(
        self,
        model: ModelSettings,
        settings: EngineSettings,
        run_dir: Path,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(model.name, settings, run_dir, on_change)
        assert settings.command is not None
        self._model = model
        self._command: CommandSettings = settings.command
        self._address = _Address(0, "")

    @property
    def context_tokens(self) -> int:
        """What the settings say; 0 where only the server knows."""
        return self._settings.context_tokens

    @property
    def slots(self) -> int:
        """Requests that are sent to it together."""
        return self._settings.slots or DEFAULT_SLOTS

    async def stop(self, grace_s: float) -> None:
        """Ask the server to stop, in the time that its settings give it, and clean up."""
        await super().stop(max(grace_s, self._command.stop_grace_s))

    def _prepare(self) -> None:
        program = self._command.argv[0]
        directory = self._command.working_directory
        path = self._environment(_Address(0, ""), "").get("PATH")
        if directory and not Path(directory).is_dir():
            raise _bad("engine.command.working_directory", f"{directory} is not a directory")
        if shutil.which(Path(directory, program) if "/" in program else program, path=path) is None:
            raise _bad("engine.command.argv", f"{program} is missing or not executable")

    async def _launch(self, private: Path) -> None:
        """Start it; another port is taken where somebody was faster."""
        for left in reversed(range(_TRIES)):
            try:
                await super()._launch(private)
            except StartError as error:
                if not left or not self._lost_the_race(error):
                    raise
                log.warning("port %d was taken: trying another", self._address.port)
            else:
                return

    def _lost_the_race(self, error: StartError) -> bool:
        return self._address.port > 0 and "is taken" in error.detail

    async def _spawn(self, private: Path) -> tuple[EngineProcess, OpenAIUpstream]:
        command = self._command
        self._address = address = _address(command, private)
        key = secrets.token_urlsafe(32) if command.key_variable else ""
        spec = MinderSpec(
            argv=[self._filled(argument, address) for argument in command.argv],
            environment=self._environment(address, key),
            directory=command.working_directory or "/",
            stop_signal=int(signal.Signals[command.stop_signal]),
        )
        process = await MindedProcess.mind(spec)
        endpoint = Endpoint(
            address.root_url + "/v1",
            Secret(key) if key else None,
            address.socket_path,
            root_url=address.root_url,
            health_path=command.health_path,
            metrics_path=command.metrics_path,
            quirks=Quirks(
                closes_streams=True,
                sums_usage=command.progress,
                tells_progress=command.progress,
                model_name=command.model_name,
            ),
        )
        return process, OpenAIUpstream(endpoint, self.slots + SPARE)

    def _admit(self, process: EngineProcess) -> None:
        """Nothing is sent to a stranger who was faster, nor served beside our own door."""
        found = holders(self._address.port) if self._address.port else []
        if any(holder.stranger for holder in found):
            raise StartError(
                "The engine did not load",
                f"its port {self._address.port} is taken by a process of another user",
            )
        if all(holder.loopback for holder in found):
            return
        if self._command.key_variable:
            log.warning("the engine listens on other addresses than loopback, behind its key alone")
            return
        raise StartError(
            "The engine would be open to the network",
            f"it listens on port {self._address.port} of other addresses than loopback,"
            " and asks for no key",
            "Add its option for the address to engine.command.argv (such as --host 127.0.0.1), or"
            " have it ask for a key by engine.command.key_variable.",
            permanent=True,
        )

    def _environment(self, address: _Address, key: str) -> dict[str, str]:
        given = self._command.environment
        found = {**passed_on(), **{k: self._filled(v, address) for k, v in given.items()}}
        if key:
            found[self._command.key_variable] = key
        return found

    def _filled(self, text: str, address: _Address) -> str:
        """Not `format`: an argument may well hold JSON, with braces of its own."""
        for name, value in (
            ("{port}", str(address.port)),
            ("{socket}", address.socket_path),
            ("{model}", self._model.path),
            ("{model_name}", self._command.model_name or self._model.name),
            ("{context}", str(self._settings.context_tokens)),
            ("{slots}", str(self.slots)),
        ):
            text = text.replace(name, value)
        return text


def _address(command: CommandSettings, private: Path) -> _Address:
    if command.transport == "port":
        return _Address(free_port(), "")
    sock = private / "w.sock"
    sock.unlink(missing_ok=True)
    return _Address(0, os.fspath(sock))


def _bad(field: str, detail: str) -> StartError:
    return StartError(
        "The engine's program cannot be run", detail, f"Correct {field} in the settings.",
        permanent=True,
    )  # fmt: skip
