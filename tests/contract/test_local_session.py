"""The session of this machine fulfils the contract."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest

from aiconsole.session.local import LocalSession
from aiconsole.session.protocol import Session
from tests.contract.session_contract import SessionContract, shell


class TestLocalSession(SessionContract):
    @pytest.fixture
    async def session(self) -> AsyncIterator[Session]:
        session = LocalSession()
        yield session
        await session.close()

    async def test_who_it_is(self, session: Session) -> None:
        assert session.host_name == "localhost"
        assert session.is_root == (os.geteuid() == 0)

    async def test_a_daemon_outlives_its_command(self, session: Session) -> None:
        """A program that has ended takes nothing with it, as with sshd."""
        done = await session.run(shell("sleep 60 </dev/null >/dev/null 2>&1 & echo $!"))
        pid = int(done.stdout)
        os.kill(pid, 0)
        os.kill(pid, 9)
