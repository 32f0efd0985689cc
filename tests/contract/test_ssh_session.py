"""The session over SSH fulfils the contract, and knows a dead link from a finished command."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aiconsole.errors import (
    HostKeyError,
    LinkLostError,
    LoginError,
    UnreachableError,
)
from aiconsole.question import Answer, Question, ask_nobody
from aiconsole.secret import Secret
from aiconsole.session.command import Command
from aiconsole.session.endpoint import Endpoint
from aiconsole.session.host_keys import HostKeys
from aiconsole.session.login_secrets import LoginSecrets
from aiconsole.session.protocol import Session
from aiconsole.session.ssh import CHANNELS, SshSession, connect
from tests.contract.session_contract import BIG, SessionContract, shell
from tests.contract.ssh_server import Server, start_server


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    server = await start_server(tmp_path)
    yield server
    await server.close()


def endpoint_of(server: Server, **changes: object) -> Endpoint:
    settings: dict[str, object] = {
        "host_name": "web1",
        "address": "127.0.0.1",
        "port": server.port,
        "user": "root",
        "identity_files": (str(server.client_key_file),),
        "identities_only": True,
    }
    return Endpoint(**{**settings, **changes})  # type: ignore[arg-type]


def trusting(server: Server, tmp_path: Path) -> HostKeys:
    file = tmp_path / "known_hosts"
    key = server.host_key.export_public_key().decode().strip()
    file.write_text(f"[127.0.0.1]:{server.port} {key}\n")
    return HostKeys(file)


async def log_in(server: Server, tmp_path: Path) -> SshSession:
    return await connect(endpoint_of(server), trusting(server, tmp_path), LoginSecrets(ask_nobody))


class TestSshSession(SessionContract):
    @pytest.fixture
    async def session(self, server: Server, tmp_path: Path) -> AsyncIterator[Session]:
        session = await log_in(server, tmp_path)
        yield session
        await session.close()

    async def test_who_it_is(self, session: Session) -> None:
        assert (session.host_name, session.user, session.is_root) == ("web1", "root", True)


@pytest.fixture
async def session(server: Server, tmp_path: Path) -> AsyncIterator[SshSession]:
    session = await log_in(server, tmp_path)
    yield session
    await session.close()


async def test_a_cut_link_ends_a_run_as_unknown(server: Server, session: SshSession) -> None:
    running = asyncio.create_task(session.run(Command(("sleep", "60"))))
    await server.until(lambda: server.channels_now > 0)
    server.cut()
    with pytest.raises(LinkLostError, match="web1"):
        await running


async def test_a_cut_link_is_no_end_of_file(server: Server, session: SshSession) -> None:
    async with session.open(shell("echo half; sleep 60")) as process:
        assert await process.readline() == b"half\n"
        server.cut()
        for _ in range(2):
            with pytest.raises(LinkLostError):
                await process.readline()
        with pytest.raises(LinkLostError):
            await process.wait()


async def test_a_cut_link_in_the_middle_of_a_line(server: Server, session: SshSession) -> None:
    async with session.open(shell("printf half; echo up >&2; sleep 60")) as process:
        reading = asyncio.create_task(process.readline())
        await server.until(lambda: server.channels_now > 0)
        await asyncio.sleep(0)
        server.cut()
        with pytest.raises(LinkLostError):
            await reading


async def test_a_cut_link_ends_a_write(server: Server, session: SshSession) -> None:
    async with session.open(shell("echo up; sleep 60")) as process:
        assert await process.readline() == b"up\n"
        writing = asyncio.create_task(process.write(BIG))
        await asyncio.sleep(0)
        server.cut()
        with pytest.raises(LinkLostError):
            await writing


async def test_a_dead_session_starts_nothing(server: Server, session: SshSession) -> None:
    server.cut()
    await session.wait_closed()
    assert not session.is_open
    with pytest.raises(LinkLostError):
        await session.run(Command(("true",)))


async def test_the_ninth_program_waits(server: Server, session: SshSession) -> None:
    async with asyncio.TaskGroup() as group:
        stop = asyncio.Event()

        async def hold() -> None:
            async with session.open(Command(("sleep", "60"))):
                await stop.wait()

        for _ in range(CHANNELS):
            group.create_task(hold())
        await server.until(lambda: server.channels_now == CHANNELS)
        ninth = group.create_task(session.run(Command(("echo", "ninth"))))
        done, _ = await asyncio.wait({ninth}, timeout=0.3)
        assert not done
        assert server.channels_most == CHANNELS
        stop.set()
        assert (await ninth).stdout == b"ninth\n"


async def test_places_come_back_after_every_kind_of_end(
    server: Server, session: SshSession
) -> None:
    for _ in range(CHANNELS + 2):
        async with session.open(Command(("sleep", "60"))) as process:
            process.kill()
        async with session.open(Command(("true",))) as process:
            await process.wait()
    assert (await session.run(Command(("echo", "on")))).stdout == b"on\n"


async def test_an_unknown_key_is_asked_for_and_stored(server: Server, tmp_path: Path) -> None:
    keys, endpoint = HostKeys(tmp_path / "known"), endpoint_of(server)
    with pytest.raises(HostKeyError, match="not known yet") as caught:
        await connect(endpoint, keys, LoginSecrets(ask_nobody))
    assert not caught.value.changed
    assert caught.value.fingerprint == server.host_key.get_fingerprint()
    assert caught.value.fingerprint in caught.value.detail
    assert server.logins == []
    keys.accept(caught.value.fingerprint)
    session = await connect(endpoint, keys, LoginSecrets(ask_nobody))
    await session.close()
    assert keys.own_file.stat().st_mode & 0o777 == 0o600


async def test_a_changed_key_is_refused_with_what_to_do(server: Server, tmp_path: Path) -> None:
    other = await start_server(tmp_path)
    keys = trusting(other, tmp_path)
    content = keys.own_file.read_text().replace(str(other.port), str(server.port))
    keys.own_file.write_text(content)
    await other.close()
    with pytest.raises(HostKeyError, match="has changed") as caught:
        await connect(endpoint_of(server), keys, LoginSecrets(ask_nobody))
    error = caught.value
    assert error.changed
    assert error.fingerprint == server.host_key.get_fingerprint()
    assert other.host_key.get_fingerprint() in error.detail
    assert str(keys.own_file) in error.detail
    assert "aiconsole hosts trust web1" in error.hint


async def test_a_key_of_another_kind_counts_as_changed(server: Server, tmp_path: Path) -> None:
    import asyncssh

    other = asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_public_key().decode()
    file = tmp_path / "known_hosts"
    file.write_text(f"[127.0.0.1]:{server.port} {other}")
    with pytest.raises(HostKeyError, match="has changed"):
        await connect(endpoint_of(server), HostKeys(file), LoginSecrets(ask_nobody))


async def test_a_wrong_key_names_what_was_offered(server: Server, tmp_path: Path) -> None:
    stranger = await start_server(tmp_path)
    endpoint = endpoint_of(server, identity_files=(str(stranger.client_key_file),))
    with pytest.raises(LoginError, match="refused the login of root") as caught:
        await connect(endpoint, trusting(server, tmp_path), LoginSecrets(ask_nobody))
    assert str(stranger.client_key_file) in caught.value.detail
    assert "SHA256:" in caught.value.detail
    await stranger.close()


async def test_a_missing_identity_file_is_named(server: Server, tmp_path: Path) -> None:
    endpoint = endpoint_of(server, identity_files=("/nowhere/id",))
    with pytest.raises(LoginError, match="identity file of web1 is missing"):
        await connect(endpoint, trusting(server, tmp_path), LoginSecrets(ask_nobody))


class Operator:
    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[Question] = []

    async def __call__(self, question: Question) -> Answer:
        self.asked.append(question)
        return Secret(self.answers.pop(0)) if self.answers else None


async def test_a_password_is_asked_once_and_kept(server: Server, tmp_path: Path) -> None:
    server.password = "opensesame"
    operator = Operator("opensesame")
    secrets = LoginSecrets(operator)
    endpoint = endpoint_of(server, identity_files=(), identities_only=False)
    for _ in range(2):
        session = await connect(endpoint, trusting(server, tmp_path), secrets)
        assert (await session.run(Command(("true",)))).ok
        await session.close()
    assert len(operator.asked) == 1
    assert operator.asked[0].kind == "secret"


async def test_a_wrong_password_is_one_attempt(server: Server, tmp_path: Path) -> None:
    server.password = "opensesame"
    operator = Operator("wrong", "opensesame")
    secrets = LoginSecrets(operator)
    endpoint = endpoint_of(server, identity_files=(), identities_only=False)
    with pytest.raises(LoginError, match="did not accept the password of root") as caught:
        await connect(endpoint, trusting(server, tmp_path), secrets)
    assert server.password_attempts == 1
    assert "wrong" not in str(caught.value.as_json())
    session = await connect(endpoint, trusting(server, tmp_path), secrets)
    await session.close()
    assert len(operator.asked) == 2


async def test_an_encrypted_key_asks_for_its_passphrase(server: Server, tmp_path: Path) -> None:
    import asyncssh

    key = asyncssh.read_private_key(server.client_key_file)
    locked = tmp_path / "locked"
    key.write_private_key(locked, passphrase="let me in")
    endpoint = endpoint_of(server, identity_files=(str(locked),))
    operator = Operator("let me in")
    secrets = LoginSecrets(operator)
    for _ in range(2):
        session = await connect(endpoint, trusting(server, tmp_path), secrets)
        await session.close()
    assert len(operator.asked) == 1
    assert str(locked) in operator.asked[0].title


@pytest.mark.parametrize("answers", [(), ("wrong",)])
async def test_a_key_that_stays_locked_is_named(
    server: Server, tmp_path: Path, answers: tuple[str, ...]
) -> None:
    import asyncssh

    locked = tmp_path / "locked"
    asyncssh.read_private_key(server.client_key_file).write_private_key(locked, passphrase="p")
    endpoint = endpoint_of(server, identity_files=(str(locked),))
    with pytest.raises(LoginError, match="stayed locked") as caught:
        await connect(endpoint, trusting(server, tmp_path), LoginSecrets(Operator(*answers)))
    assert "ssh-add" in caught.value.hint


async def test_refused(server: Server, tmp_path: Path) -> None:
    await server.close()
    with pytest.raises(UnreachableError, match="web1 refused the connection") as caught:
        await connect(endpoint_of(server), HostKeys(tmp_path / "k"), LoginSecrets(ask_nobody))
    assert str(server.port) in caught.value.detail


async def test_name_not_found(server: Server, tmp_path: Path) -> None:
    endpoint = endpoint_of(server, address="no-such-host.invalid")
    with pytest.raises(UnreachableError, match=r"name no-such-host\.invalid was not found"):
        await connect(endpoint, HostKeys(tmp_path / "k"), LoginSecrets(ask_nobody))


async def test_something_else_than_ssh(tmp_path: Path, server: Server) -> None:
    async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n" * 2000 + b"\r\n")
        await reader.read()
        writer.close()

    web = await asyncio.start_server(hello, "127.0.0.1", 0)
    endpoint = endpoint_of(server, port=web.sockets[0].getsockname()[1])
    with pytest.raises(UnreachableError, match="no SSH server"):
        await connect(endpoint, HostKeys(tmp_path / "k"), LoginSecrets(ask_nobody))
    web.close()
    await web.wait_closed()


async def test_a_server_that_hangs_up(tmp_path: Path, server: Server) -> None:
    async def slam(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    wall = await asyncio.start_server(slam, "127.0.0.1", 0)
    endpoint = endpoint_of(server, port=wall.sockets[0].getsockname()[1])
    with pytest.raises(UnreachableError, match="ended the connection before the login") as caught:
        await connect(endpoint, HostKeys(tmp_path / "k"), LoginSecrets(ask_nobody))
    assert "MaxStartups" in caught.value.hint
    wall.close()
    await wall.wait_closed()


async def test_no_answer(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiconsole.session.ssh.CONNECT_TIMEOUT_S", 0.3)
    server.hold_logins = asyncio.Event()
    with pytest.raises(UnreachableError, match="web1 does not answer"):
        await connect(endpoint_of(server), trusting(server, tmp_path), LoginSecrets(ask_nobody))


async def test_the_clock_stands_still_while_the_operator_thinks(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aiconsole.session.ssh.CONNECT_TIMEOUT_S", 0.6)
    server.password = "opensesame"

    async def think(question: Question) -> Answer:
        await asyncio.sleep(0.9)
        return Secret("opensesame")

    endpoint = endpoint_of(server, identity_files=(), identities_only=False)
    session = await connect(endpoint, trusting(server, tmp_path), LoginSecrets(think))
    await session.close()
