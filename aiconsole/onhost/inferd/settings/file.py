"""The whole file: read, checked, and its faults told with file, line and what was expected."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError, model_validator

from aiconsole.onhost.inferd.settings.audit import AuditSettings
from aiconsole.onhost.inferd.settings.auth import AuthSettings
from aiconsole.onhost.inferd.settings.cache import CacheSettings
from aiconsole.onhost.inferd.settings.engine import EngineSettings
from aiconsole.onhost.inferd.settings.limits import LimitSettings
from aiconsole.onhost.inferd.settings.model import ModelSettings
from aiconsole.onhost.inferd.settings.table import Table
from aiconsole.onhost.inferd.settings.web import CorsSettings, MetricsSettings, TlsSettings
from aiconsole.onhost.inferd.start_error import StartError
from aiconsole.onhost.wire.line import line_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class Settings(Table):
    """The whole file."""

    model: ModelSettings
    engine: EngineSettings = EngineSettings()
    limits: LimitSettings = LimitSettings()
    auth: AuthSettings = AuthSettings()
    cache: CacheSettings = CacheSettings()
    audit: AuditSettings = AuditSettings()
    metrics: MetricsSettings = MetricsSettings()
    cors: CorsSettings = CorsSettings()
    tls: TlsSettings | None = None

    @model_validator(mode="after")
    def _engine_has_what_it_needs(self) -> Settings:
        kind = self.engine.kind
        if kind == "llama" and not self.model.path:
            raise ValueError("model.path is needed by the engine `llama`")
        if kind == "command" and self.engine.command is None:
            raise ValueError("[engine.command] is needed by the engine `command`")
        if kind == "remote" and not self.engine.remotes:
            raise ValueError("[[engine.remotes]] is needed by the engine `remote`")
        return self


def load(path: Path) -> Settings:
    """Read the file.

    Raises:
        StartError: With file, line, and what was expected.
    """
    try:
        text = path.read_text(encoding="utf-8")
        return check(str(path), text, parse(str(path), text))
    except OSError as error:
        raise _wrong(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise _wrong(f"{path}: not UTF-8 at byte {error.start}") from error


def check(name: str, text: str, tree: dict[str, Any]) -> Settings:
    """Check a file that has been parsed.

    Args:
        name: What faults call the file.
        text: Its text, for the lines of faults.
        tree: What it holds.

    Raises:
        StartError: With file, line, and what was expected.
    """
    try:
        return Settings.model_validate(_widen(tree))
    except ValidationError as error:
        raise _wrong("; ".join(_faults(name, text, error))) from error


def parse(name: str, text: str) -> dict[str, Any]:
    """Read TOML.

    Raises:
        StartError: It is none; with the name of the file, line and column.
    """
    try:
        tree: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _wrong(f"{name}: {error}") from error
    return tree


def _wrong(detail: str) -> StartError:
    hint = "Correct the file, or deploy again."
    return StartError("The settings cannot be used", detail, hint, permanent=True)


def _widen(tree: Any) -> Any:
    """Whole numbers are good seconds too: strict mode would refuse `60` where `60.0` is meant."""
    if isinstance(tree, list):
        return [_widen(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    return {key: _seconds(key, _widen(value)) for key, value in tree.items()}


def _seconds(key: str, value: Any) -> Any:
    is_rate = key.endswith(("_s", "requests_per_minute"))
    return float(value) if is_rate and type(value) is int else value


def _faults(name: str, text: str, error: ValidationError) -> list[str]:
    found = []
    for fault in error.errors():
        keys = [str(part) for part in fault["loc"]]
        line = line_of(text, keys)
        where = f"{name}:{line}" if line else name
        told = "not a known key" if fault["type"] == "extra_forbidden" else fault["msg"]
        found.append(f"{where}: {'.'.join(keys)}: {told}" if keys else f"{where}: {told}")
    return found
