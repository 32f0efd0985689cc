"""Errors of SSH in the operator's words: the one place where asyncssh's are translated."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import asyncssh

from aiconsole.errors import (
    HostError,
    HostKeyError,
    LinkLostError,
    LoginError,
    UnreachableError,
)
from aiconsole.session.endpoint import Endpoint
from aiconsole.session.host_keys import HostKey, Trusted
from aiconsole.visible import visible

_BUSY_HINT = (
    "The host's sshd may limit connections (MaxStartups) or hold this address back after failed "
    "logins (PerSourcePenalties); wait half a minute and try again."
)


def connect_error(endpoint: Endpoint, error: Exception) -> HostError:
    """Translate what ended an attempt to connect, other than keys and logins."""
    if isinstance(error, HostError):
        return error
    if isinstance(error, asyncssh.Error):
        return _handshake_error(endpoint, error)
    if isinstance(error, OSError):
        return _network_error(endpoint, error)
    return UnreachableError(
        f"{endpoint.host_name} cannot be reached", visible(str(error)), "Check its settings."
    )


def host_key_error(endpoint: Endpoint, offered: HostKey | None, trusted: Trusted) -> HostKeyError:
    """Say that a key is unknown, has changed, or may not be used."""
    name, fingerprint = endpoint.host_name, offered.fingerprint if offered else ""
    shown = f"it showed {offered.algorithm} {fingerprint}" if offered else "it showed a certificate"
    if trusted.keys:
        known = ", ".join(f"{key.get_algorithm()} {key.get_fingerprint()}" for key in trusted.keys)
        files = " and ".join(str(path) for path in dict.fromkeys(trusted.sources))
        return HostKeyError(
            f"The host key of {name} has changed",
            f"{shown}\nbut {known} is trusted ({files})\n"
            "Either the host was set up anew, or somebody stands between you and it.",
            "If you know why the key changed, compare it with `ssh-keygen -lf "
            f"/etc/ssh/ssh_host_*_key.pub` on the host, then run `aiconsole hosts trust {name}`.",
            fingerprint=fingerprint,
            changed=True,
        )
    if not offered or fingerprint in {key.get_fingerprint() for key in trusted.revoked}:
        return HostKeyError(
            f"The host key of {name} may not be used",
            f"{shown}, which known_hosts does not trust or has revoked",
            "Ask whoever keeps the known_hosts file.",
            fingerprint=fingerprint,
            changed=True,
        )
    return HostKeyError(
        f"The host key of {name} is not known yet",
        f"{endpoint.key_name}: {shown}",
        f"Compare the fingerprint, then run `aiconsole hosts trust {name}`.",
        fingerprint=fingerprint,
        changed=False,
    )


def login_error(endpoint: Endpoint, offered: tuple[str, ...], password_tried: bool) -> LoginError:
    """Say who was refused, and with what."""
    tried = "\n".join(f"refused: {key}" for key in offered) or "there was no key to offer"
    if password_tried:
        title = f"{endpoint.host_name} did not accept the password of {endpoint.user}"
        tried += "\nrefused: the password that was typed"
    else:
        title = f"{endpoint.host_name} refused the login of {endpoint.user}"
    return LoginError(
        title,
        tried,
        f"Put a key of yours into ~{endpoint.user}/.ssh/authorized_keys on the host, name the "
        "right one as identity file, or check the user name.",
    )


def locked_key_error(endpoint: Endpoint, file: str, passphrase_tried: bool) -> LoginError:
    """Say that a key which the host accepts could not be opened."""
    reason = "the passphrase does not open it" if passphrase_tried else "no passphrase was given"
    return LoginError(
        f"The private key for {endpoint.host_name} stayed locked",
        f"{file}: {reason}",
        f"Type its passphrase on a terminal, or load it into the agent: ssh-add {file}",
    )


def damaged_key_error(endpoint: Endpoint, reason: str) -> LoginError:
    """Say that a key file cannot be read."""
    return LoginError(
        f"A private key for {endpoint.host_name} cannot be read",
        visible(reason),
        "Check the file with ssh-keygen -y -f FILE.",
    )


def link_lost(host_name: str, error: BaseException | None) -> LinkLostError:
    """Say that a link died while something was under way."""
    return LinkLostError(
        f"The link to {host_name} is lost",
        visible(str(error)) if error is not None and str(error) else "the connection was closed",
        "What was under way there may have finished or not; look before you do it again.",
    )


@contextmanager
def link_faults(host_name: str) -> Iterator[None]:
    """Translate what asyncssh raises while a connection is used."""
    try:
        yield
    except asyncssh.ChannelOpenError as error:
        raise _channel_error(host_name, error) from error
    except (asyncssh.Error, OSError) as error:
        raise link_lost(host_name, error) from error


def _channel_error(host_name: str, error: asyncssh.ChannelOpenError) -> HostError:
    if error.code == asyncssh.OPEN_CONNECT_FAILED and "closed" in error.reason.lower():
        return link_lost(host_name, error)
    return HostError(
        f"{host_name} does not open another channel",
        visible(error.reason),
        "Its sshd may limit sessions (MaxSessions) or forbid forwarding (AllowTcpForwarding).",
    )


def _network_error(endpoint: Endpoint, error: OSError) -> UnreachableError:
    name, where = endpoint.host_name, f"{endpoint.address} port {endpoint.port}"
    if isinstance(error, socket.gaierror):
        return UnreachableError(
            f"The name {endpoint.address} was not found",
            f"{name}: {visible(error.strerror or str(error))}",
            "Check the address in the inventory or in ssh_config, and this machine's DNS.",
        )
    if isinstance(error, ConnectionRefusedError) or "Connect call failed" in str(error):
        return UnreachableError(
            f"{name} refused the connection",
            f"nothing listens on {where}, or a firewall rejects it",
            "Check that sshd runs there, and the port.",
        )
    if isinstance(error, (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)):
        return UnreachableError(
            f"{name} ended the connection before the login", f"{where} reset it", _BUSY_HINT
        )
    if isinstance(error, TimeoutError):
        return UnreachableError(
            f"{name} does not answer",
            f"no answer from {where} in time",
            "Check that the host is up, and that no firewall drops the connection.",
        )
    if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN):
        return UnreachableError(
            f"There is no route to {name}",
            f"{where}: {error.strerror}",
            "Check this machine's network and VPN, and the address.",
        )
    return UnreachableError(
        f"{name} cannot be reached", f"{where}: {visible(error.strerror or str(error))}",
        "Check the address and the network.",
    )  # fmt: skip


def _handshake_error(endpoint: Endpoint, error: asyncssh.Error) -> HostError:
    name, where = endpoint.host_name, f"{endpoint.address} port {endpoint.port}"
    reason = visible(error.reason)
    match error:
        case asyncssh.ChannelOpenError():
            via = endpoint.via.host_name if endpoint.via else "the jump host"
            return UnreachableError(
                f"{name} cannot be reached from {via}",
                f"{where}: {reason}",
                f"Check the address as {via} sees it, and that {via} allows TCP forwarding.",
            )
        case asyncssh.KeyExchangeFailed():
            return UnreachableError(
                f"{name} and this console share no algorithm", reason, "Update the host's sshd."
            )
        case asyncssh.ProtocolNotSupported() | asyncssh.ProtocolError():
            return UnreachableError(
                f"What answers at {name} is no SSH server", f"{where}: {reason}", "Check the port."
            )
        case asyncssh.DisconnectError() if "Too many authentication" in error.reason:
            return LoginError(
                f"{name} ended the login after too many keys",
                reason,
                "Name the one right key as identity file, so that no other is offered.",
            )
        case _:
            return UnreachableError(
                f"{name} ended the connection before the login", f"{where}: {reason}", _BUSY_HINT
            )
