"""What can be known before a process is started: the binary, the CPU, the model's header."""

from __future__ import annotations

import os
from pathlib import Path

from aiconsole.onhost.inferd import cpu
from aiconsole.onhost.inferd.gguf import GgufError, GgufHeader, read_header
from aiconsole.onhost.inferd.settings import EngineSettings, ModelSettings
from aiconsole.onhost.inferd.start_error import StartError


def check(model: ModelSettings, settings: EngineSettings) -> GgufHeader:
    """Look at all that would end a load early; the header of the model.

    Raises:
        StartError: With the reason in plain words.
    """
    _check_program(settings.binary)
    path = Path(model.path)
    try:
        header = read_header(path)
    except OSError as error:
        raise _bad_model(f"{path}: {error.strerror or error}") from error
    except GgufError as error:
        raise _bad_model(f"{path}: {error}") from error
    if model.size_bytes and header.size_bytes != model.size_bytes:
        raise _bad_model(f"{path}: {header.size_bytes:,} bytes instead of {model.size_bytes:,}")
    return header


def _check_program(binary: str) -> None:
    if binary and not os.access(binary, os.X_OK):
        raise StartError(
            "The engine's binary cannot be run",
            f"{binary} is missing or not executable",
            "Correct engine.binary in the settings.",
            permanent=True,
        )
    if not binary and (missing := cpu.missing_flags()):
        raise StartError(
            "This CPU cannot run the built-in engine",
            f"it does not show {', '.join(missing)}",
            "On a virtual machine, set its CPU type to `host`.",
            permanent=True,
        )


def _bad_model(detail: str) -> StartError:
    return StartError("The model cannot be served", detail, "Ship the model again.", permanent=True)
