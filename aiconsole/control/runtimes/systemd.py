"""The three units of the service under systemd: socket, anchor and slots.

The socket belongs to systemd and outlives every slot. It names the anchor as its service, which
does nothing and stays active, so that systemd itself never starts a slot nor accepts. The slots
are instances of a template that take the same socket.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from aiconsole.errors import SettingsError
from aiconsole.onhost.wire import HostLayout

SOCKET_UNIT = "aiconsole-inferd.socket"
ANCHOR_UNIT = "aiconsole-inferd.service"
SLOT_UNIT = "aiconsole-inferd@.service"

_LOGS = "aiconsole"
"""Directory in /var/log that a unit may write to."""

_STOP_MARGIN_S = 15.0
"""Between the end of a drain and systemd's SIGKILL, for engines to end."""


def socket_unit(address: str) -> str:
    """Text of the socket unit.

    Args:
        address: `host:port`, an IP address or `localhost`.

    Raises:
        SettingsError: The host part is neither.
    """
    host, port = _ip(address)
    listen = f"[{host}]:{port}" if host.version == 6 else f"{host}:{port}"
    # At boot the socket is opened before the network has its addresses.
    free_bind = "" if host.is_loopback or host.is_unspecified else "FreeBind=yes\n"
    return f"""\
# Written by aiconsole. Local changes belong into `systemctl edit {SOCKET_UNIT}`.
[Unit]
Description=aiconsole inference, the listening socket
# The limit would close the socket; the console limits starts itself.
StartLimitIntervalSec=0

[Socket]
ListenStream={listen}
{free_bind}Backlog=4096
FileDescriptorName=inferd
Service={ANCHOR_UNIT}
TriggerLimitIntervalSec=0

[Install]
WantedBy=sockets.target
"""


def anchor_unit() -> str:
    """Text of the service that the socket names, so that systemd starts no slot by itself."""
    return """\
# Written by aiconsole.
[Unit]
Description=aiconsole inference, the anchor of its socket
StartLimitIntervalSec=0

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
"""


def credential_path(layout: HostLayout, name: str, *, encrypted: bool) -> str:
    """Where a secret lies; encrypted ones have names of their own, since units differ by that."""
    return layout.credential(name) + (".cred" if encrypted else "")


def service_lines(
    layout: HostLayout, credentials: Iterable[str], audit_paths: Iterable[str], *, encrypted: bool
) -> list[str]:
    """Lines of the slots' unit that follow from settings.

    Args:
        layout: The tree of the installation.
        credentials: Names of secrets, those of the release before included: it may come back.
        audit_paths: Files that the daemon writes its audit to; empty ones are none.
        encrypted: Whether secrets rest encrypted by systemd-creds.
    """
    verb = "LoadCredentialEncrypted" if encrypted else "LoadCredential"
    lines = [
        f"{verb}={name}:{credential_path(layout, name, encrypted=encrypted)}"
        for name in sorted(set(credentials))
    ]
    directories = sorted({path.rpartition("/")[0] for path in audit_paths if path})
    for directory in directories:
        if directory == f"/var/log/{_LOGS}":
            lines += [f"LogsDirectory={_LOGS}", "LogsDirectoryMode=0750"]
        else:
            lines.append(f"ReadWritePaths=-{directory}")
    return lines


def slot_unit(
    layout: HostLayout,
    user: str,
    gpu: bool,
    drain_timeout_s: float = 60.0,
    lines: Sequence[str] = (),
) -> str:
    """Text of the template of both slots, hardened.

    Args:
        layout: The tree of the installation; its `run` lies under /run.
        user: The system user that inferd runs as.
        gpu: Leave open what CUDA needs: its devices, and memory that it writes code into.
        drain_timeout_s: The longest that requests in flight may take after a stop.
        lines: Further lines of its service, from `service_lines`.
    """
    more = "".join(f"{line}\n" for line in lines)
    runtime_directory = f"{layout.run.removeprefix('/run/')}/slot-%i"
    launch = f"{layout.opt}/slots/%i/launch.py"
    return f"""\
# Written by aiconsole. Local changes belong into `systemctl edit {SLOT_UNIT}`.
[Unit]
Description=aiconsole inference, slot %i
After=network.target
StartLimitIntervalSec=0

[Service]
Type=notify
Sockets={SOCKET_UNIT}
# Without it systemd makes the shared socket block, and the other slot freezes in accept().
NonBlocking=yes
ExecStart=/usr/bin/python3 -I {launch} --slot %i --run-dir {layout.run}/slot-%i
# Settings that a running daemon can change are read again; the others need a restart.
ExecReload=/bin/kill -HUP $MAINPID
User={user}
RuntimeDirectory={runtime_directory}
RuntimeDirectoryMode=0700
# The tally of a stopped slot is read after its end.
RuntimeDirectoryPreserve=yes
KillMode=mixed
TimeoutStartSec=3600
TimeoutStopSec={drain_timeout_s + _STOP_MARGIN_S:g}
Restart=on-failure
RestartSec=2
LimitNOFILE=65536
LimitMEMLOCK=infinity
OOMPolicy=stop
# One audit line for each request: a limit would drop errors among them.
LogRateLimitIntervalSec=0
UMask=0077
{more}
{_HARDENING}{_GPU if gpu else _NO_GPU}
[Install]
WantedBy=multi-user.target
"""


_HARDENING = """\
AmbientCapabilities=
CapabilityBoundingSet=
KeyringMode=private
LockPersonality=yes
NoNewPrivileges=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
RemoveIPC=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
"""

_NO_GPU = """\
MemoryDenyWriteExecute=yes
PrivateDevices=yes
PrivateUsers=yes
"""

# CUDA compiles kernels at run time, and its devices belong to groups that PrivateUsers hides.
_GPU = """\
DevicePolicy=closed
DeviceAllow=char-nvidia* rw
"""


def _ip(address: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]:
    host, _, port = address.rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host.strip("[]")
    try:
        return ipaddress.ip_address(host), int(port)
    except ValueError as error:
        raise SettingsError(
            "The address to listen on is not an IP address and a port",
            f"{address!r}: {error}",
            "write it as 127.0.0.1:8000, 0.0.0.0:8000 or [::1]:8000",
        ) from error
