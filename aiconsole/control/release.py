"""A release: what a slot runs, named after its content so that the same content is the same one."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from typing import Any

from aiconsole import __version__
from aiconsole.control.service_settings import ServiceSettings, kept_settings
from aiconsole.control.settings_toml import merge
from aiconsole.errors import CommandError
from aiconsole.onhost.wire import HostLayout, HostStatus


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """The model of a release, as it lies on a host."""

    name: str
    """What clients ask for."""
    sha256: str
    """Empty where the engine needs no file: a remote provider, or a server of its own."""
    size_bytes: int
    memory_bytes: int
    """Estimate of one slot that has loaded it, context included."""
    builtin: bool = False
    """True for the model that comes with aiconsole: a newer console brings a newer one."""


@dataclass(frozen=True, slots=True)
class ServiceChoice:
    """How a release serves its model."""

    slots: int = 0
    """Requests that run at once; 0 lets the daemon choose."""
    context_tokens: int = 0
    """0 takes the model's own."""
    drain_timeout_s: float = 60.0
    auth_required: bool = False
    """True where the service listens on more than loopback."""


@dataclass(frozen=True, slots=True)
class Release:
    """An immutable directory on a host."""

    layout: HostLayout
    layers: tuple[str, ...]
    """sha256 of each layer; the first wins where two hold the same file."""
    model: ModelChoice
    service: ServiceChoice
    launch: str
    """Text of launch.py, which a slot executes."""
    settings: ServiceSettings = field(default_factory=ServiceSettings)
    """What the operator says of the service."""

    @property
    def id(self) -> str:
        """Name of the model and eight digits of the content's digest."""
        parts = [self.layers, asdict(self.model), asdict(self.service), self.launch]
        if self.settings.text:
            parts.append(self.settings.text)
        content = json.dumps(parts, sort_keys=True)
        name = re.sub(r"[^a-z0-9]+", "-", self.model.name.lower()).strip("-") or "model"
        return f"{name[:32]}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"

    def settings_toml(self) -> str:
        """What inferd reads."""
        return merge(self.settings.text, self._decided())

    def _decided(self) -> dict[str, dict[str, Any]]:
        """What the console puts into the settings; an engine's numbers are the operator's first."""
        model: dict[str, Any] = {"name": self.model.name}
        if self.model.sha256:
            model["path"] = self.model_path
            model["sha256"] = self.model.sha256
            model["size_bytes"] = self.model.size_bytes
        engine = {
            "kind": self.settings.engine,
            "context_tokens": self.settings.said(
                "engine.context_tokens", self.service.context_tokens
            ),
            "slots": self.settings.said("engine.slots", self.service.slots),
        }
        return {
            "model": model,
            "engine": engine,
            "limits": {"drain_timeout_s": self.service.drain_timeout_s},
            "auth": {"required": self.service.auth_required, "keys_file": self.layout.keys_file},
        }

    @property
    def model_path(self) -> str:
        """Where the model lies on the host; empty where the engine needs no file."""
        return self.layout.model(self.model.sha256) if self.model.sha256 else ""

    def release_json(self) -> str:
        """What launch.py reads, and what the console learns of an earlier release."""
        document: dict[str, Any] = {
            "id": self.id,
            "layers": [self.layout.layer(sha256) for sha256 in self.layers],
            "model": {**asdict(self.model), "path": self.model_path},
            "service": asdict(self.service),
            "aiconsole": __version__,
        }
        if self.settings.text:
            document["settings"] = self.settings.as_json()
        return json.dumps(document, indent=2) + "\n"


def served_choices(status: HostStatus) -> tuple[ModelChoice, ServiceChoice] | None:
    """Read back what the host was last told to serve; None where nothing was deployed yet.

    Raises:
        CommandError: Its release.json is not one of ours.
    """
    if not status.service.release_id:
        return None
    return _choices(_document(status, status.service.release_id))


def model_of(status: HostStatus, release_id: str) -> ModelChoice:
    """The model of a release that lies on the host.

    Raises:
        CommandError: Its release.json is missing or not one of ours.
    """
    return _choices(_document(status, release_id))[0]


def service_of(status: HostStatus, release_id: str) -> ServiceChoice:
    """How a release that lies on the host serves.

    Raises:
        CommandError: Its release.json is missing or not one of ours.
    """
    return _choices(_document(status, release_id))[1]


def settings_of(status: HostStatus, release_id: str) -> ServiceSettings:
    """The operator's settings of a release that lies on the host."""
    return kept_settings(_document(status, release_id))


def held_digests(status: HostStatus) -> frozenset[str]:
    """Digests of the layers and models that releases on the host refer to."""
    held: set[str] = set()
    for document in status.releases:
        layers, model = document.get("layers"), document.get("model")
        if isinstance(layers, list):
            held.update(str(layer).rpartition("/")[2] for layer in layers)
        if isinstance(model, dict):
            held.add(str(model.get("sha256", "")))
    return frozenset(held)


def _document(status: HostStatus, release_id: str) -> dict[str, Any]:
    for document in status.releases:
        if document.get("id") == release_id:
            return document
    return {"id": release_id}


def _choices(document: dict[str, Any]) -> tuple[ModelChoice, ServiceChoice]:
    try:
        model = document["model"]
        return (
            ModelChoice(
                str(model["name"]),
                str(model["sha256"]),
                int(model["size_bytes"]),
                int(model["memory_bytes"]),
                builtin=model.get("builtin") is True,
            ),
            ServiceChoice(**document["service"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CommandError(
            "The release on the host cannot be read",
            f"release.json of {document.get('id')} has {_fault_of(error)}",
            "Deploy with --model to say what to serve",
        ) from error


def _fault_of(error: KeyError | TypeError | ValueError) -> str:
    return f"no {error.args[0]}" if isinstance(error, KeyError) else "another shape than ours"
