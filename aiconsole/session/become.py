"""Becoming root with sudo: one password, sent once, only to sudo's own question.

A blind `sudo -S` hands the password to the command where sudo does not ask for one, and spends
three attempts on a wrong one. Here a nonce in the prompt and another in the answer of the shell
that sudo starts tell exactly who is reading.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aiconsole.errors import SudoError
from aiconsole.secret import Secret
from aiconsole.session.pipes import Pipes
from aiconsole.visible import visible

AskSudo: TypeAlias = Callable[[], Awaitable[Secret | None]]
"""Asks for the password; None where nobody could be asked."""

_HEARD_LIMIT_BYTES = 64 * 1024


async def ask_no_one() -> Secret | None:
    """Answer for a session without an operator."""
    return None


class SudoPassword:
    """One user's password for sudo on one host: asked once, kept in memory once it has worked.

    It outlives the connection, so that nobody is asked again after a lost link.
    """

    def __init__(self, ask: AskSudo = ask_no_one) -> None:
        self._ask = ask
        self._kept: Secret | None = None
        # Of several commands at once only one asks; the others use what it learnt.
        self.asking = asyncio.Lock()

    @property
    def kept(self) -> Secret | None:
        """The password that has worked; None before, and after sudo refused it."""
        return self._kept

    async def get(self) -> Secret | None:
        """Return the kept password, or ask for it."""
        return self._kept or await self._ask()

    def keep(self, secret: Secret) -> None:
        """Keep a password that sudo has accepted."""
        self._kept = secret

    def forget(self) -> None:
        """Drop a password that sudo has refused."""
        self._kept = None


def sudo_argv(argv: tuple[str, ...], nonce: str) -> tuple[str, ...]:
    """Wrap a program so that sudo and the shell behind it say the nonce on stderr."""
    script = f"printf '%s\\n' {_granted(nonce)} >&2; unset LC_ALL; exec \"$@\""
    return (
        *("env", "LC_ALL=C", "sudo", "-k", "-S", "-p", _prompt(nonce)),
        *("--", "/bin/sh", "-c", script, "sh", *argv),
    )


def _prompt(nonce: str) -> str:
    return f"[become-{nonce}]"


def _granted(nonce: str) -> str:
    return f"BECOME-OK-{nonce}"


class SudoGate:
    """Takes programs past sudo."""

    def __init__(self, host_name: str, user: str, password: SudoPassword) -> None:
        self._host_name = host_name
        self._user = user
        self._password = password

    def new_nonce(self) -> str:
        """Return a word that no program can know beforehand."""
        return secrets.token_hex(16)

    async def pass_through(self, pipes: Pipes, nonce: str) -> bytes:
        """Answer sudo until the program runs; return what it has said on stderr by then.

        Raises:
            SudoError: sudo refused, after at most one attempt with a password.
            LinkLostError: The link died.
        """
        heard = await self._hear(pipes, b"", (_prompt(nonce), _granted(nonce) + "\n"))
        if not _asked(heard, nonce):
            return await self._enter(pipes, heard, nonce)
        if self._password.kept is not None:
            return await self._answer(pipes, heard, nonce, self._password.kept)
        async with self._password.asking:
            password = await self._password.get()
            if password is None:
                raise self._error(
                    "nobody could be asked for the password of sudo",
                    "Run it on a terminal, log in as root, or allow the user NOPASSWD in sudoers.",
                )
            return await self._answer(pipes, heard, nonce, password)

    async def _answer(self, pipes: Pipes, heard: bytes, nonce: str, password: Secret) -> bytes:
        """Send the password once; a second question means that it was wrong."""
        if "\n" in password.reveal():
            raise self._error("the password has a line break in it")
        try:
            await pipes.send(password.reveal().encode() + b"\n")
        except BrokenPipeError:
            # sudo ended meanwhile; what it said tells why.
            return await self._enter(pipes, heard, nonce)
        rest = heard.split(_prompt(nonce).encode(), 1)[1]
        rest = await self._hear(pipes, rest, (_prompt(nonce), _granted(nonce) + "\n"))
        if _asked(rest, nonce):
            self._password.forget()
            await pipes.send_eof()
            await self._hear(pipes, b"", ())
            raise self._error(
                f"sudo did not accept the password of {self._user}",
                "One attempt was made. Check the password of this user on that host.",
            )
        passed = await self._enter(pipes, rest, nonce)
        self._password.keep(password)
        return passed

    async def _enter(self, pipes: Pipes, heard: bytes, nonce: str) -> bytes:
        """Return what follows the shell's word, or say why sudo did not start it."""
        noise, word, rest = heard.partition(_granted(nonce).encode() + b"\n")
        if word:
            return rest
        status = await pipes.exit_status()
        reason, hint = explain(noise.decode(errors="replace"), status, self._user)
        raise self._error(reason, hint, visible(_without_prompt(noise, nonce)))

    async def _hear(self, pipes: Pipes, heard: bytes, words: tuple[str, ...]) -> bytes:
        """Read stderr until one of the words is in it, or to its end."""
        while not any(word.encode() in heard for word in words):
            chunk = await pipes.receive_error()
            if not chunk:
                break
            heard = (heard + chunk)[-_HEARD_LIMIT_BYTES:]
        return heard

    def _error(self, reason: str, hint: str = "", detail: str = "") -> SudoError:
        return SudoError(f"{self._host_name}: {reason}", detail, hint)


def _asked(heard: bytes, nonce: str) -> bool:
    """True where sudo's prompt came and the shell's word did not."""
    return _prompt(nonce).encode() in heard and _granted(nonce).encode() + b"\n" not in heard


def _without_prompt(noise: bytes, nonce: str) -> str:
    return noise.decode(errors="replace").replace(_prompt(nonce), "").strip()


_REASONS: tuple[tuple[str, str, str], ...] = (
    (
        r"must have a tty",
        "sudo wants a terminal (requiretty in sudoers)",
        "Add `Defaults:{user} !requiretty` to sudoers, or log in as root.",
    ),
    (
        r"is not in the sudoers file|may not run sudo|is not allowed to (?:execute|run)",
        "{user} may not use sudo there",
        "Add the user to the group sudo, or log in as root.",
    ),
    (
        r"sudo[^\n]{0,20}: (?:command )?not found|No such file or directory",
        "sudo is not installed there",
        "Install sudo, or log in as root.",
    ),
    (
        r"no new privileges|effective uid is not 0|must be owned by uid 0|setuid bit set",
        "sudo cannot work there",
        "The session runs without the right to gain privileges; log in as root.",
    ),
    (
        r"account (?:is locked|validation failure|has expired)|password (?:has )?expired",
        "the account of {user} is locked or its password has expired",
        "Unlock the account or renew its password on the host.",
    ),
    (
        r"incorrect password|Sorry, try again|no password was provided",
        "sudo did not accept the password of {user}",
        "One attempt was made. Check the password of this user on that host.",
    ),
)


def explain(noise: str, status: int, user: str) -> tuple[str, str]:
    """Turn what sudo said into a reason and a hint."""
    for pattern, reason, hint in _REASONS:
        if re.search(pattern, noise):
            return reason.format(user=user), hint.format(user=user)
    return (
        f"sudo ended with exit status {status} before the command",
        "Run `sudo -v` on the host to see what is wrong.",
    )
