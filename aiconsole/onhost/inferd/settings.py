"""settings.toml of a release: what the daemon serves, with what, and how much of it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aiconsole.onhost.inferd.errors import StartError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class Table(BaseModel):
    """A table of the file: frozen, and nothing in it that is not known."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ModelSettings(Table):
    """`[model]`: the one model that is served."""

    name: str = Field(min_length=1, max_length=200)
    """What clients call it."""
    path: str = Field(min_length=1)
    """Absolute path of the GGUF file."""
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    size_bytes: int = Field(default=0, ge=0)
    """Size that the file must have; 0 is any."""


class EngineSettings(Table):
    """`[engine]`: what runs the model; 0 is chosen from the model and the machine."""

    kind: Literal["llama"] = "llama"
    context_tokens: int = Field(default=0, ge=0, le=10_000_000)
    """Prompt and answer of one request together; 0 is the model's own, at most 8192."""
    slots: int = Field(default=0, ge=0, le=256)
    """Requests that are computed together; 0 is 4."""
    threads: int = Field(default=0, ge=0, le=512)
    """0 is what affinity and cgroup quota allow."""
    batch_tokens: int = Field(default=256, ge=32, le=8192)
    """Prompt tokens computed in one go; a cancelled prompt is noticed between two of them."""
    binary: str = ""
    """An external llama-server in place of the built-in engine."""
    load_timeout_s: float = Field(default=900.0, gt=0)
    stall_timeout_s: float = Field(default=60.0, gt=0)
    """Requests at work and no token from any for so long: the engine is started again.
    Three times as long as a batch of a prompt took lately is allowed in any case."""
    idle_proof_s: float = Field(default=60.0, gt=0)
    """An engine that had nothing to do for so long is asked for one token."""


class LimitSettings(Table):
    """`[limits]`: how much is let in, and for how long."""

    running: int = Field(default=0, ge=0, le=4096)
    """Requests in the engine at a time; 0 follows the slots."""
    queue: int = Field(default=64, ge=0, le=100_000)
    """Requests that may wait; more are answered 503."""
    body_bytes: int = Field(default=4 * 1024 * 1024, ge=1024)
    drain_timeout_s: float = Field(default=60.0, ge=0)
    """How long a stop waits for the requests at work."""
    idle_grace_s: float = Field(default=2.0, ge=0)
    """How long a stop keeps idle connections, so that their clients move over unharmed."""
    read_timeout_s: float = Field(default=60.0, gt=0)
    """How long a request may take to arrive whole; then it is answered 408."""
    write_timeout_s: float = Field(default=60.0, gt=0)
    """How long a client may take nothing of its answer; then its connection is broken off."""
    total_timeout_s: float = Field(default=600.0, gt=0)
    first_token_timeout_s: float = Field(default=120.0, gt=0)


class AuthSettings(Table):
    """`[auth]`: who may ask."""

    required: bool = False
    """A listening address that others can reach requires a key in any case."""
    keys_file: str = ""


class Settings(Table):
    """The whole file."""

    model: ModelSettings
    engine: EngineSettings = EngineSettings()
    limits: LimitSettings = LimitSettings()
    auth: AuthSettings = AuthSettings()


def load(path: Path) -> Settings:
    """Read the file.

    Raises:
        StartError: With file, line, and what was expected.
    """
    hint = "Correct the file, or deploy again."
    try:
        text = path.read_text(encoding="utf-8")
        return Settings.model_validate(_widen(tomllib.loads(text)))
    except OSError as error:
        raise _wrong(f"{path}: {error.strerror or error}", hint) from error
    except UnicodeDecodeError as error:
        raise _wrong(f"{path}: not UTF-8 at byte {error.start}", hint) from error
    except tomllib.TOMLDecodeError as error:
        raise _wrong(f"{path}: {error}", hint) from error
    except ValidationError as error:
        raise _wrong("; ".join(_faults(path, text, error)), hint) from error


def _wrong(detail: str, hint: str) -> StartError:
    return StartError("The settings cannot be used", detail, hint, permanent=True)


def _widen(tree: dict[str, Any]) -> dict[str, Any]:
    """Whole numbers are good seconds too: strict mode would refuse `60` where `60.0` is meant."""
    limits, engine = tree.get("limits"), tree.get("engine")
    for table in (limits, engine):
        if isinstance(table, dict):
            for key, value in table.items():
                if key.endswith("_s") and type(value) is int:
                    table[key] = float(value)
    return tree


def _faults(path: Path, text: str, error: ValidationError) -> list[str]:
    found = []
    for fault in error.errors():
        keys = [str(part) for part in fault["loc"]]
        line = _line_of(text, keys)
        where = f"{path}:{line}" if line else str(path)
        told = "not a known key" if fault["type"] == "extra_forbidden" else fault["msg"]
        found.append(f"{where}: {'.'.join(keys)}: {told}")
    return found


def _line_of(text: str, keys: list[str]) -> int:
    """Line of a key, or of its table where the key is missing; 0 if neither is there."""
    table, table_line = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[([^\[\]]+)\]", line):
            table = header[1].strip()
            table_line = number if table == keys[0] else table_line
        elif len(keys) > 1 and table == keys[0] and re.match(rf"\s*{re.escape(keys[1])}\s*=", line):
            return number
    return table_line
