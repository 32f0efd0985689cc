"""The way to a host: its own settings, completed from ssh_config, with the jump hosts before it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from aiconsole.errors import SettingsError
from aiconsole.fleet.host import Host
from aiconsole.fleet.ssh_config import SshConfig
from aiconsole.session.endpoint import Endpoint

_LONGEST_WAY = 8


def endpoint_of(host: Host, config: SshConfig | None = None) -> Endpoint:
    """Resolve a host to its endpoint.

    Raises:
        SettingsError: ssh_config is wrong, or the jump hosts go round in a circle.
    """
    return _resolve(host, config or SshConfig.of_user(), ())


def _resolve(host: Host, config: SshConfig, before: tuple[str, ...]) -> Endpoint:
    name = host.address or host.name
    if host.name in before or len(before) > _LONGEST_WAY:
        raise SettingsError(
            "The jump hosts go round in a circle",
            " -> ".join((*before, host.name)),
            "Correct proxy_jump in hosts.toml, or ProxyJump in ssh_config.",
        )
    settings = config.resolve(name, user=host.user, port=host.port)
    jumps = host.jumps or config.jumps(settings.proxy_jump)
    via: Endpoint | None = None
    for jump in jumps:
        nearer = _resolve(jump, config, (*before, host.name))
        # Of a list, each host is reached from the one before it, as OpenSSH does it.
        via = nearer if via is None else replace(nearer, via=via)
    return Endpoint(
        host_name=host.name,
        address=settings.address,
        port=settings.port,
        user=settings.user,
        ssh_name=name,
        identity_files=host.identity_files or _existing(settings.identity_files),
        identities_only=bool(host.identity_files),
        via=via,
        config_files=config.files,
        known_hosts_files=settings.known_hosts_files,
        host_key_alias=settings.host_key_alias,
    )


def _existing(files: tuple[str, ...]) -> tuple[str, ...]:
    """Leave missing files of ssh_config out, as OpenSSH does."""
    return tuple(file for file in files if Path(file).expanduser().is_file())
