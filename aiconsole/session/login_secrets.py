"""Passwords and passphrases: asked when they are needed, kept in memory once they have worked."""

from __future__ import annotations

import asyncio
from functools import partial

from aiconsole.question import Ask, Question
from aiconsole.secret import Secret
from aiconsole.session.become import SudoPassword
from aiconsole.session.endpoint import Endpoint


class LoginSecrets:
    """What the operator typed since the console was started; never on disk.

    Passwords are kept by endpoint: behind another jump host the same address is another host.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._passwords: dict[Endpoint, Secret] = {}
        self._passphrases: dict[str, Secret] = {}
        self._sudo: dict[Endpoint, SudoPassword] = {}
        # Logins go on side by side; questions come one after the other.
        self._one_question = asyncio.Lock()

    async def password(self, endpoint: Endpoint) -> Secret | None:
        """Return the login password of a user on a host."""
        title = f"Password of {endpoint.user} on {endpoint.host_name} ({endpoint.address})"
        return self._passwords.get(endpoint) or await self._question(title)

    async def passphrase(self, file: str) -> Secret | None:
        """Return the passphrase of a private key."""
        return self._passphrases.get(file) or await self._question(f"Passphrase of the key {file}")

    def sudo_password(self, endpoint: Endpoint) -> SudoPassword:
        """Return the password for sudo of a user on a host, the same for every connection."""
        title = f"Password of {endpoint.user} on {endpoint.host_name} for sudo"
        return self._sudo.setdefault(endpoint, SudoPassword(partial(self._question, title)))

    def keep_password(self, endpoint: Endpoint, secret: Secret) -> None:
        """Keep a login password that has worked."""
        self._passwords[endpoint] = secret

    def keep_passphrase(self, file: str, secret: Secret) -> None:
        """Keep a passphrase that has worked."""
        self._passphrases[file] = secret

    def forget_password(self, endpoint: Endpoint) -> None:
        """Drop a login password that was refused."""
        self._passwords.pop(endpoint, None)

    async def _question(self, title: str) -> Secret | None:
        async with self._one_question:
            answer = await self._ask(Question(kind="secret", title=title))
        return answer if isinstance(answer, Secret) and answer else None
