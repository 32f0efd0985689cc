"""What an operator says of the service in a file: read, and checked by the daemon's own code."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomllib

from aiconsole.control.own_tables import FOREIGN, OwnTables, own_tables
from aiconsole.errors import SettingsError
from aiconsole.onhost.wire import line_of

NONE = "none"
"""In place of a file: back to what the console chooses."""

_TITLE = "The settings cannot be used"
_MOST_BYTES = 256 * 1024
_CHECK_TIMEOUT_S = 60.0
_ROOT = str(Path(__file__).parents[2])
# Isolated, so that no PYTHONPATH decides which code checks; the wings share no import.
_CHECK = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from aiconsole.onhost.inferd.settings.check import main; sys.exit(main())"
)
_DECIDED = {
    "model.path": "--model says which model is served",
    "model.sha256": "it is the digest of the model that --model names",
    "model.size_bytes": "it is the size of the model that --model names",
    "auth.keys_file": "client keys lie where the console looks after them",
}
"""Keys that an operator's file must not have, and why."""


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """An operator's settings, checked; empty where none were given."""

    text: str = ""
    """TOML as it was written, comments and the console's own tables included."""
    credentials: tuple[str, ...] = ()
    """Names of the secrets that the daemon will ask for."""
    files: tuple[str, ...] = ()
    """Paths on the host that the daemon will open."""
    tree: dict[str, Any] = field(default_factory=dict, compare=False)
    own: OwnTables = field(default_factory=OwnTables, compare=False)

    def get(self, key: str) -> Any:
        """The value of `table.key`; None where the file says nothing of it."""
        table, _, name = key.partition(".")
        there = self.tree.get(table)
        return there.get(name) if isinstance(there, dict) else None

    def said(self, key: str, otherwise: Any) -> Any:
        """The value of `table.key`, or another one where the file says nothing of it."""
        there = self.get(key)
        return otherwise if there is None else there

    @property
    def engine(self) -> str:
        """Kind of the engine."""
        return str(self.get("engine.kind") or "llama")

    @property
    def tls(self) -> bool:
        """Whether the public socket speaks TLS."""
        return "tls" in self.tree

    @property
    def needs_model(self) -> bool:
        """Whether a model's file has to lie on the host."""
        if self.engine == "command":
            argv = (self.get("engine.command") or {}).get("argv", [])
            return any("{model}" in str(part) for part in argv)
        return self.engine != "remote"

    @property
    def audit_path(self) -> str:
        """File of the audit; empty where it goes to the log."""
        return str(self.get("audit.path") or "")

    def as_json(self) -> dict[str, Any]:
        """What release.json keeps."""
        return {
            "text": self.text,
            "credentials": list(self.credentials),
            "files": list(self.files),
            "engine": self.engine,
            "tls": self.tls,
        }


def read_file(path: Path) -> str:
    """Text of an operator's file; `none` and an empty file are no settings.

    Raises:
        SettingsError: It cannot be read.
    """
    if str(path) == NONE:
        return ""
    try:
        data = path.expanduser().read_bytes()
        text = data.decode("utf-8")
    except FileNotFoundError as error:
        raise SettingsError(
            "There is no such file of settings", str(path), "Give a TOML file, or none"
        ) from error
    except (OSError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise SettingsError(_TITLE, f"{path}: {why}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(_TITLE, f"{path}: not UTF-8 at byte {error.start}") from error
    if len(data) > _MOST_BYTES:
        raise SettingsError(_TITLE, f"{path} has {len(data)} bytes, at most {_MOST_BYTES} are read")
    return text if text.strip() else ""


async def check_settings(name: str, text: str) -> ServiceSettings:
    """Have the daemon's own code check a file, and take what a deploy has to know out of it.

    Args:
        name: What faults call the file.
        text: Its text.

    Raises:
        SettingsError: With file, line, and what was expected.
    """
    if not text:
        return ServiceSettings()
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(_TITLE, f"{name}: {error}", "Correct the file") from error
    _refuse_decided(name, text, tree)
    own = own_tables(name, text, tree)
    answer = await _checked(name, text, tree)
    files = tuple(str(path) for _, path in answer["files"])
    return ServiceSettings(text, tuple(answer["credentials"]), files, tree, own)


def kept_settings(document: dict[str, Any]) -> ServiceSettings:
    """What release.json has kept; nothing where it has none, or none that can be read."""
    kept = document.get("settings")
    if not isinstance(kept, dict):
        return ServiceSettings()
    text = str(kept.get("text", ""))
    try:
        tree = tomllib.loads(text)
        own = own_tables("release.json", text, tree)
        credentials = tuple(str(name) for name in kept["credentials"])
        files = tuple(str(path) for path in kept["files"])
    except (ValueError, KeyError, TypeError, SettingsError):
        return ServiceSettings(text)
    return ServiceSettings(text, credentials, files, tree, own)


def _refuse_decided(name: str, text: str, tree: dict[str, Any]) -> None:
    found = ServiceSettings(text, tree=tree)
    for key, why in _DECIDED.items():
        if found.get(key) is not None:
            where = f"{name}:{line_of(text, key.split('.'))}"
            raise SettingsError(
                f"The console decides on {key}", f"{where}: {why}", "Take the line out of the file"
            )


async def _checked(name: str, text: str, tree: dict[str, Any]) -> dict[str, Any]:
    model = {"path": "/model.gguf"}  # What is not known yet must not count as missing.
    if not (isinstance(tree.get("model"), dict) and "name" in tree["model"]):
        model["name"] = "model"
    request = {"name": name, "text": text, "foreign": list(FOREIGN), "decided": {"model": model}}
    argv = [sys.executable, "-I", "-c", _CHECK, _ROOT]
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT_S):
            out, err = await process.communicate(json.dumps(request).encode())
        answer: dict[str, Any] = json.loads(out)
    except (TimeoutError, ValueError) as error:
        last = err.decode(errors="replace").strip()[-300:] if isinstance(error, ValueError) else ""
        raise SettingsError("The settings could not be checked", last or str(error)) from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if fault := answer.get("fault"):
        raise SettingsError(_TITLE, str(fault), "Correct the file; nothing was changed")
    return answer
