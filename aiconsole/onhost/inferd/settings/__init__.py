"""settings.toml of a release: what the daemon serves, with what, how much of it, and to whom."""

from aiconsole.onhost.inferd.settings.audit import AuditSettings
from aiconsole.onhost.inferd.settings.auth import AuthSettings, JwtSettings
from aiconsole.onhost.inferd.settings.cache import CacheSettings
from aiconsole.onhost.inferd.settings.engine import CommandSettings, EngineSettings, RemoteSettings
from aiconsole.onhost.inferd.settings.file import Settings, load
from aiconsole.onhost.inferd.settings.limits import LimitSettings
from aiconsole.onhost.inferd.settings.model import ModelSettings
from aiconsole.onhost.inferd.settings.web import CorsSettings, MetricsSettings, TlsSettings

__all__ = [
    "AuditSettings",
    "AuthSettings",
    "CacheSettings",
    "CommandSettings",
    "CorsSettings",
    "EngineSettings",
    "JwtSettings",
    "LimitSettings",
    "MetricsSettings",
    "ModelSettings",
    "RemoteSettings",
    "Settings",
    "TlsSettings",
    "load",
]
