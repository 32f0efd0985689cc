"""Whether the operator's settings, the options of a deploy and its credentials fit together."""

from __future__ import annotations

import re
from collections.abc import Collection

from aiconsole.control.options import DEFAULT_DRAIN_S, DeployOptions, is_loopback
from aiconsole.control.service_settings import ServiceSettings
from aiconsole.errors import SettingsError
from aiconsole.onhost.wire import HostLayout

_UNIT_PATH = re.compile(r"(/[A-Za-z0-9._@+-]+){2,}")


def refuse_disagreement(settings: ServiceSettings, options: DeployOptions) -> None:
    """Refuse a deploy in which an option says one thing and the settings another.

    Raises:
        SettingsError: With both values.
    """
    drain_s = options.drain_timeout_s if options.drain_timeout_s != DEFAULT_DRAIN_S else 0
    for key, option, value in (
        ("model.name", "--model-name", options.model_name),
        ("engine.slots", "--slots", options.slots),
        ("engine.context_tokens", "--context", options.context_tokens),
        ("limits.drain_timeout_s", "--drain", drain_s),
    ):
        there = settings.get(key)
        if value and there is not None and there != value:
            raise SettingsError(
                f"The settings and {option} disagree",
                f"{key} is {there} in the settings, {option} says {value}",
                f"Leave {option} out, or change the file",
            )
    if options.model is not None and not settings.needs_model:
        raise SettingsError(
            "The settings and --model disagree",
            f"the engine `{settings.engine}` of the settings takes no model file"
            + (": {model} is not in its argv" if settings.engine == "command" else ""),
            "Leave --model out, or change the file",
        )


def refuse_open_door(settings: ServiceSettings, address: str) -> None:
    """Refuse to serve others without keys.

    Raises:
        SettingsError: The settings ask for that.
    """
    if settings.get("auth.required") is False and not is_loopback(address):
        raise SettingsError(
            "An address that others reach needs client keys",
            f"auth.required is false in the settings, and inferd listens on {address}",
            "Take the line out of the file, or listen on 127.0.0.1",
        )


def refuse_unknown(settings: ServiceSettings, brought: Collection[str]) -> None:
    """Refuse secrets that nothing asks for: a name is mistyped.

    Raises:
        SettingsError: One of them is not in the settings.
    """
    for name in brought:
        if name not in settings.credentials:
            known = ", ".join(settings.credentials) or "none"
            raise SettingsError(
                f"The settings ask for no credential {name}",
                f"they name: {known}",
                "Correct the name, or use it in the settings first",
            )


def refuse_audit_path(settings: ServiceSettings, layout: HostLayout) -> None:
    """Refuse a file of the audit that the service's unit could not be told of.

    Raises:
        SettingsError: Its path is relative, in no directory, or has characters of units.
    """
    path = settings.audit_path
    plain = _UNIT_PATH.fullmatch(path) and ".." not in path.split("/")
    if path and layout.runtime == "systemd" and not plain:
        raise SettingsError(
            "The audit cannot be written there",
            f"audit.path is {path!r}",
            "Give an absolute path of plain characters, such as /var/log/aiconsole/audit.jsonl",
        )
