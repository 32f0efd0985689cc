"""Trusting a host's key: the operator compares the fingerprint once, for every hop of the way."""

from __future__ import annotations

from collections.abc import Sequence

from aiconsole.errors import HostKeyError, LoginError, NotConfirmedError
from aiconsole.fleet.host import Host
from aiconsole.question import Ask, Question
from aiconsole.session.pool import Pool
from aiconsole.session.protocol import Session


async def connect_trusting(
    pool: Pool, host: Host, ask: Ask, accepted: Sequence[str] = ()
) -> Session:
    """Connect, and ask for each key on the way that is not known yet.

    Args:
        pool: Keeps the connection.
        host: Where to go.
        ask: Confirms a fingerprint.
        accepted: Fingerprints that need no question.

    Raises:
        HostKeyError: A key has changed.
        NotConfirmedError: A fingerprint was not confirmed.
    """
    while True:
        try:
            return await pool.session(host, now=True)
        except HostKeyError as error:
            if error.changed:
                raise
            await _confirm(error, ask, accepted, danger=False)
            pool.host_keys.accept(error.fingerprint)


async def trust_anew(pool: Pool, host: Host, ask: Ask, accepted: Sequence[str] = ()) -> str:
    """Trust the keys on the way as they are now, changed ones too.

    Returns:
        The fingerprint that was accepted last; empty where all keys were trusted already.

    Raises:
        NotConfirmedError: A fingerprint was not confirmed.
    """
    trusted = ""
    while True:
        try:
            await pool.session(host, now=True)
        except HostKeyError as error:
            if not error.fingerprint or error.fingerprint == trusted:
                raise
            await _confirm(error, ask, accepted, danger=error.changed)
            trusted = pool.host_keys.accept(error.fingerprint).fingerprint
        except LoginError:
            # Whose key it is was the question here, and that is settled.
            if not trusted:
                raise
            return trusted
        else:
            return trusted


async def _confirm(error: HostKeyError, ask: Ask, accepted: Sequence[str], *, danger: bool) -> None:
    if error.fingerprint in accepted:
        return
    if accepted:
        raise NotConfirmedError(
            error.title,
            f"{error.detail}\naccepted were: {', '.join(accepted)}",
            "Find out why the fingerprint is another one before you accept it.",
        )
    answer = await ask(
        Question(
            kind="confirm",
            title=f"{error.title}. Trust it?",
            detail=f"{error.detail}\nOn the host: ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub",
            danger=danger,
        )
    )
    if answer is not True:
        raise NotConfirmedError(
            error.title,
            error.detail,
            "Compare the fingerprint, then confirm it on a terminal or give "
            f"--accept-fingerprint {error.fingerprint}",
        )
