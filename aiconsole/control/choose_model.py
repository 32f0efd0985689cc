"""Which model a release serves: a file that was named, what the host has, the built-in, or none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from aiconsole.bundle.builtin import BUILTIN, inspect_builtin
from aiconsole.bundle.model import ModelFile, inspect_model
from aiconsole.control.events import Progress
from aiconsole.control.inspection import Inspection
from aiconsole.control.options import DeployOptions
from aiconsole.control.release import ModelChoice, ServiceChoice
from aiconsole.control.service_settings import ServiceSettings
from aiconsole.control.telling import Tell
from aiconsole.errors import SettingsError
from aiconsole.onhost.wire import DEFAULT_SLOTS, pool_tokens, request_tokens


async def choose_model(
    options: DeployOptions,
    settings: ServiceSettings,
    seen: Inspection,
    service: ServiceChoice,
    served: ModelChoice | None,
    tell: Tell,
) -> tuple[ModelChoice, Path | None]:
    """The model, and its file on this machine where there is one to send.

    Raises:
        ModelError: The file cannot be served.
        SettingsError: The engine needs no file and nothing says what the model is called.
    """
    named = options.model_name or str(settings.get("model.name") or "")
    if not settings.needs_model:
        return _without_file(named, settings, served), None
    if options.model is None and served is not None and served.sha256 and not served.builtin:
        return replace(served, name=named or served.name), None
    host = seen.line.host.name

    def digesting(done_bytes: int, total_bytes: int) -> None:
        tell(Progress(host, "build", "Digest the model", done_bytes, total_bytes))

    if options.model is None:
        file = await inspect_builtin()
    else:
        file = await inspect_model(options.model, progress=digesting)
    choice = ModelChoice(
        named or file.name,
        file.sha256,
        file.size_bytes,
        file.memory_bytes(_context_tokens(file, settings, service, seen)),
        builtin=options.model in (None, BUILTIN.path),
    )
    return choice, file.path


def _without_file(named: str, settings: ServiceSettings, served: ModelChoice | None) -> ModelChoice:
    """A model that lies elsewhere: its memory is not this host's."""
    remotes = settings.get("engine.remotes") or []
    name = (
        named
        or (served.name if served is not None and not served.sha256 else "")
        or next((str(remote["model"]) for remote in remotes if remote.get("model")), "")
        or str((settings.get("engine.command") or {}).get("model_name", ""))
    )
    if not name:
        raise SettingsError(
            "Nothing says what clients call the model",
            f"the engine `{settings.engine}` has no file that would have a name",
            "Give --model-name, or name = ... under [model] in the settings",
        )
    return ModelChoice(name, "", 0, 0)


def _context_tokens(
    file: ModelFile, settings: ServiceSettings, service: ServiceChoice, seen: Inspection
) -> int:
    """Tokens of context that the engine will make room for, in all slots together."""
    wanted = settings.said("engine.context_tokens", service.context_tokens)
    return pool_tokens(
        request_tokens(wanted, file.context_tokens),
        settings.said("engine.slots", service.slots) or DEFAULT_SLOTS,
        file.kv_bytes_per_token,
        seen.facts.memory_total_bytes,
    )
