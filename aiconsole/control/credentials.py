"""What a release needs of the host besides its own files: secrets, and files that lie there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from aiconsole.control.runtimes import systemd
from aiconsole.control.service_settings import ServiceSettings
from aiconsole.onhost.wire import CredentialStep, DirectoryStep, HostLayout, RequireStep, Step

_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - names, not files
"""What the hardening of the slots' unit takes out of their sight."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """How secrets rest on a host, and which of them come with this operation."""

    brought: frozenset[str] = frozenset()
    encrypted: bool = False
    """Whether systemd-creds is there."""
    before: ServiceSettings = field(default_factory=ServiceSettings)
    """Of the release that serves now: it needs its own secrets where it comes back."""


def outside_steps(
    layout: HostLayout, settings: ServiceSettings, user: str, keep: Keeping
) -> list[Step]:
    """Steps for all that the settings name and that no release holds."""
    steps: list[Step] = []
    under_systemd = layout.runtime == "systemd"
    if settings.files:
        hidden = _HIDDEN if under_systemd else ()
        reader = user if under_systemd else ""
        title = "Files that the settings name"
        steps.append(RequireStep("files", title, settings.files, reader, hidden))
    if settings.credentials:
        title = "Directory of credentials"
        steps.append(DirectoryStep("credentials", title, layout.credentials, 0o700))
    steps += [_credential(layout, name, keep) for name in settings.credentials]
    return steps


def unit_lines(layout: HostLayout, settings: ServiceSettings, keep: Keeping) -> list[str]:
    """Lines of the slots' unit, good for the release that comes and for the one before it."""
    both: Iterable[ServiceSettings] = (settings, keep.before)
    names = [name for one in both for name in one.credentials]
    paths = [one.audit_path for one in both]
    return systemd.service_lines(layout, names, paths, encrypted=keep.encrypted)


def _credential(layout: HostLayout, name: str, keep: Keeping) -> CredentialStep:
    encrypted = keep.encrypted and layout.runtime == "systemd"
    return CredentialStep(
        f"credential-{name}",
        f"Credential {name}",
        name,
        systemd.credential_path(layout, name, encrypted=encrypted),
        brought=name in keep.brought,
    )
