"""Logging in: which keys and passwords go to a host, and what asyncssh is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import asyncssh
from asyncssh.public_key import get_default_certificate_algs, get_default_public_key_algs

from aiconsole.secret import Secret
from aiconsole.session.endpoint import Endpoint
from aiconsole.session.host_keys import HostKey, HostKeys, Trusted
from aiconsole.session.login_secrets import LoginSecrets

KEEPALIVE_INTERVAL_S = 3
KEEPALIVE_COUNT = 2
"""Two unanswered questions in a row: a dead link is found after 9 s."""
CONNECT_TIMEOUT_S = 15.0


class Client(asyncssh.SSHClient):
    """One attempt to log in: notes the host's key, asks for a password at most once."""

    def __init__(
        self,
        endpoint: Endpoint,
        host_keys: HostKeys,
        login_secrets: LoginSecrets,
        clock: asyncio.Timeout,
    ) -> None:
        self.shown_key: HostKey | None = None
        self.password: Secret | None = None
        self.passphrases: dict[str, Secret | None] = {}
        self.lost: BaseException | None = None
        self._endpoint = endpoint
        self._host_keys = host_keys
        self._secrets = login_secrets
        self._clock = clock

    def connection_lost(self, exc: Exception | None) -> None:
        """Keep the reason for those who find the link dead."""
        self.lost = exc

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        """Note an untrusted key and refuse it: the operator is asked without a link open."""
        self.shown_key = HostKey.of(self._endpoint, key)
        self._host_keys.note(self.shown_key)
        return False

    async def password_auth_requested(self) -> str | None:
        """Return the login password, once."""
        if self.password is not None:
            return None
        self.password = await self._patiently(self._secrets.password(self._endpoint))
        return self.password.reveal() if self.password else None

    def kbdint_auth_requested(self) -> str | None:
        """Take part in the question-and-answer form of the password login."""
        return "" if self.password is None else None

    async def kbdint_challenge_received(
        self, name: str, instructions: str, lang: str, prompts: Any
    ) -> Any:
        """Answer a single hidden question with the password; no other."""
        if not prompts:
            return []
        if len(prompts) != 1 or prompts[0][1]:
            return None
        password = await self.password_auth_requested()
        return None if password is None else [password]

    async def passphrase_of(self, file: str) -> str | None:
        """Return the passphrase of a private key."""
        secret = await self._patiently(self._secrets.passphrase(file))
        self.passphrases[file] = secret
        return secret.reveal() if secret else None

    def keep_secrets(self) -> None:
        """Keep what has worked, for the next connection."""
        if self.password is not None:
            self._secrets.keep_password(self._endpoint, self.password)
        for file, secret in self.passphrases.items():
            if secret is None:
                continue
            self._secrets.keep_passphrase(file, secret)

    async def _patiently(self, question: Awaitable[Secret | None]) -> Secret | None:
        """Wait for the operator without the connection's clock running."""
        self._clock.reschedule(None)
        try:
            return await question
        finally:
            self._clock.reschedule(asyncio.get_running_loop().time() + CONNECT_TIMEOUT_S)


def options_for(endpoint: Endpoint, client: Client, trusted: Trusted) -> dict[str, Any]:
    """Return the arguments of `asyncssh.connect`; what is not here comes from ssh_config."""
    agent: dict[str, Any] = {}
    if endpoint.identities_only and endpoint.identity_files:
        identities = _public_blobs(endpoint.identity_files)
        agent = {"agent_identities": identities} if identities else {"agent_path": None}
    return {
        **agent,
        "host": endpoint.ssh_name or endpoint.address,
        "port": endpoint.port,
        "username": endpoint.user,
        "config": [str(path) for path in endpoint.config_files if path.is_file()],
        "client_factory": lambda: client,
        # An empty list stands for the usual keys, and keeps missing ones of ssh_config out.
        "client_keys": [str(Path(file).expanduser()) for file in endpoint.identity_files],
        "passphrase": client.passphrase_of,
        "known_hosts": lambda host, address, port: trusted.as_lists(),
        "server_host_key_algs": _host_key_algorithms(trusted),
        "x509_trusted_certs": None,
        "gss_host": None,
        "agent_forwarding": False,
        "request_pty": False,
        "keepalive_interval": KEEPALIVE_INTERVAL_S,
        "keepalive_count_max": KEEPALIVE_COUNT,
        "login_timeout": 0,
        "connect_timeout": None,
    }


async def offered_keys(endpoint: Endpoint) -> tuple[str, ...]:
    """Name the keys that a login offers, for the message that says they were refused."""
    names = [f"key {path}{_fingerprint(path)}" for path in _key_files(endpoint)]
    if not endpoint.identities_only:
        names += await _agent_keys()
    return tuple(names)


_USUAL_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk")
_AGENT_TIMEOUT_S = 2.0


def _key_files(endpoint: Endpoint) -> list[Path]:
    if endpoint.identity_files:
        return [Path(file).expanduser() for file in endpoint.identity_files]
    usual = [Path("~/.ssh", name).expanduser() for name in _USUAL_KEYS]
    return [path for path in usual if path.is_file()]


async def _agent_keys() -> list[str]:
    try:
        async with asyncio.timeout(_AGENT_TIMEOUT_S), asyncssh.connect_agent() as agent:
            keys = await agent.get_keys()
    except (OSError, ValueError, asyncssh.Error):
        return []
    return [f"key of the agent {key.get_comment(errors='replace')}" for key in keys]


def _public_key(file: Path) -> asyncssh.SSHKey | None:
    """Read the public half beside a private key, or the one inside it."""
    for path in (Path(f"{file}.pub"), file):
        try:
            return asyncssh.read_public_key(path)
        except (OSError, asyncssh.KeyImportError):
            continue
    return None


def _fingerprint(file: Path) -> str:
    key = _public_key(file)
    return f" {key.get_fingerprint()}" if key else ""


def _public_blobs(files: tuple[str, ...]) -> list[bytes]:
    keys = [_public_key(Path(file).expanduser()) for file in files]
    return [key.public_data for key in keys if key is not None]


def _host_key_algorithms(trusted: Trusted) -> list[str]:
    """Prefer the kinds of key that are trusted, and allow the others: a changed kind is seen."""
    preferred = [algorithm for key in trusted.keys for algorithm in key.sig_algorithms]
    certificates = get_default_certificate_algs() if trusted.authorities else []
    names = [*certificates, *preferred, *get_default_public_key_algs()]
    return [name.decode("ascii") for name in dict.fromkeys(names)]
