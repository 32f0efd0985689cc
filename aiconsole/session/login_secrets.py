"""Passwords and passphrases: asked when they are needed, kept in memory once they have worked."""

from __future__ import annotations

import asyncio

from aiconsole.question import Ask, Question
from aiconsole.secret import Secret
from aiconsole.session.endpoint import Endpoint


class LoginSecrets:
    """What the operator typed since the console was started; never on disk."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._kept: dict[str, Secret] = {}
        # Logins go on side by side; questions come one after the other.
        self._one_question = asyncio.Lock()

    async def password(self, endpoint: Endpoint) -> Secret | None:
        """Return the login password of a user on a host."""
        title = f"Password of {endpoint.user} on {endpoint.host_name} ({endpoint.address})"
        return await self._get(_password_name(endpoint), title)

    async def passphrase(self, file: str) -> Secret | None:
        """Return the passphrase of a private key."""
        return await self._get(_passphrase_name(file), f"Passphrase of the key {file}")

    async def sudo_password(self, endpoint: Endpoint) -> Secret | None:
        """Return the password for sudo; each session keeps its own once it has worked."""
        return await self._question(f"Password of {endpoint.user} on {endpoint.host_name} for sudo")

    def keep_password(self, endpoint: Endpoint, secret: Secret) -> None:
        """Keep a login password that has worked."""
        self._kept[_password_name(endpoint)] = secret

    def keep_passphrase(self, file: str, secret: Secret) -> None:
        """Keep a passphrase that has worked."""
        self._kept[_passphrase_name(file)] = secret

    def forget_password(self, endpoint: Endpoint) -> None:
        """Drop a login password that was refused."""
        self._kept.pop(_password_name(endpoint), None)

    async def _get(self, name: str, title: str) -> Secret | None:
        return self._kept.get(name) or await self._question(title)

    async def _question(self, title: str) -> Secret | None:
        async with self._one_question:
            answer = await self._ask(Question(kind="secret", title=title))
        return answer if isinstance(answer, Secret) and answer else None


def _password_name(endpoint: Endpoint) -> str:
    return f"login:{endpoint.user}@{endpoint.key_name}"


def _passphrase_name(file: str) -> str:
    return f"key:{file}"
