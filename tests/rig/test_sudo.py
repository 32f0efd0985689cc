"""sudo on a real Debian: the password goes out once, to sudo, and never to the program."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from aiconsole.errors import LinkLostError, SudoError
from aiconsole.fleet.facts import read_facts
from aiconsole.question import Answer, Question
from aiconsole.secret import Secret
from aiconsole.session.command import Command
from aiconsole.session.endpoint import Endpoint
from aiconsole.session.host_keys import HostKeys
from aiconsole.session.pool import Pool
from aiconsole.session.protocol import Session
from tests.contract.way import Way
from tests.rig.host import RigHost
from tests.rig.rig import Rig

PASSWORD = "correct horse"
PAYLOAD = bytes(range(256)) * 4000


class Operator:
    """Answers questions, and counts them."""

    def __init__(self, *answers: str | None) -> None:
        self.answers = list(answers)
        self.asked: list[Question] = []

    async def __call__(self, question: Question) -> Answer:
        self.asked.append(question)
        answer = self.answers.pop(0)
        return None if answer is None else Secret(answer)


@pytest.fixture(scope="module")
def host(rig: Rig) -> Iterator[RigHost]:
    (host,) = rig.boot("sudohost")
    host.add_user("asked", password=PASSWORD, sudo="password")
    host.add_user("free", password=PASSWORD, sudo="nopasswd")
    host.add_user("nobody2", password=PASSWORD, sudo="none")
    host.add_user("wired", password=PASSWORD, sudo="nopasswd")
    host.write("/etc/sudoers.d/requiretty", "Defaults:wired requiretty\n", 0o440)
    yield host
    rig.destroy(host)


Login = Callable[[str, Operator], object]


@pytest.fixture
async def pools(tmp_path: Path) -> AsyncIterator[list[Pool]]:
    opened: list[Pool] = []
    yield opened
    for pool in opened:
        await pool.close()


async def log_in(
    host: RigHost, user: str, operator: Operator, pools: list[Pool], tmp_path: Path
) -> Session:
    known = tmp_path / f"known_hosts_{user}"
    known.write_text(host.known_hosts_line + "\n")
    pool = Pool(operator, HostKeys(known))
    pools.append(pool)
    return await pool.session(way(host, user))


def way(host: RigHost, user: str) -> Way:
    return Way(
        Endpoint(
            host_name=host.name,
            address=host.address,
            user=user,
            identity_files=(str(host.key_path),),
            identities_only=True,
        )
    )


def attempts(host: RigHost, user: str) -> int:
    """How many wrong passwords PAM has seen from this user."""
    host.run("journalctl", "--sync", check=True)
    lines = host.run("journalctl", "--no-pager", "-o", "cat", check=True).stdout.splitlines()
    return sum("authentication failure" in line and f"ruser={user}" in line for line in lines)


async def test_with_a_password(host: RigHost, pools: list[Pool], tmp_path: Path) -> None:
    operator = Operator(PASSWORD)
    session = await log_in(host, "asked", operator, pools, tmp_path)
    done = await session.run(Command(("sha256sum",), stdin=PAYLOAD, sudo=True))
    plain = await session.run(Command(("sha256sum",), stdin=PAYLOAD))
    assert done.stdout == plain.stdout
    assert (await session.run(Command(("id", "-u"), sudo=True))).stdout == b"0\n"
    assert len(operator.asked) == 1, "the password that worked is used again"
    assert operator.asked[0].kind == "secret"
    assert "asked" in operator.asked[0].title


async def test_without_a_password_nobody_is_asked(
    host: RigHost, pools: list[Pool], tmp_path: Path
) -> None:
    operator = Operator()
    session = await log_in(host, "free", operator, pools, tmp_path)
    done = await session.run(Command(("cat",), stdin=PAYLOAD, sudo=True))
    assert done.stdout == PAYLOAD
    assert done.stderr == b""
    assert operator.asked == []
    status = await session.run(Command(("sh", "-c", "echo err >&2; exit 7"), sudo=True))
    assert (status.exit_status, status.stderr) == (7, b"err\n")


async def test_a_wrong_password_is_one_attempt(
    host: RigHost, pools: list[Pool], tmp_path: Path
) -> None:
    before = attempts(host, "asked")
    operator = Operator("wrong")
    session = await log_in(host, "asked", operator, pools, tmp_path)
    with pytest.raises(SudoError, match="did not accept the password of asked") as caught:
        await session.run(Command(("touch", "/root/reached"), stdin=PAYLOAD, sudo=True))
    assert len(operator.asked) == 1
    assert attempts(host, "asked") - before == 1
    assert not host.exists("/root/reached")
    assert "wrong" not in repr(caught.value.as_json())


async def test_a_wrong_password_is_not_kept(
    host: RigHost, pools: list[Pool], tmp_path: Path
) -> None:
    operator = Operator("wrong", PASSWORD)
    session = await log_in(host, "asked", operator, pools, tmp_path)
    with pytest.raises(SudoError):
        await session.run(Command(("true",), sudo=True))
    assert (await session.run(Command(("id", "-u"), sudo=True))).stdout == b"0\n"
    assert len(operator.asked) == 2


async def test_a_new_connection_asks_for_no_password_that_has_worked(
    host: RigHost, pools: list[Pool], tmp_path: Path
) -> None:
    operator = Operator(PASSWORD)
    session = await log_in(host, "asked", operator, pools, tmp_path)
    await session.run(Command(("true",), sudo=True))
    host.cut_connections()
    with pytest.raises(LinkLostError):
        await session.run(Command(("true",)))
    again = await pools[-1].session(way(host, "asked"), now=True)
    assert again is not session
    assert (await again.run(Command(("id", "-u"), sudo=True))).stdout == b"0\n"
    assert len(operator.asked) == 1


async def test_a_kept_password_that_is_refused_is_asked_for_anew(
    host: RigHost, pools: list[Pool], tmp_path: Path
) -> None:
    before = attempts(host, "asked")
    operator = Operator(PASSWORD, "renewed")
    session = await log_in(host, "asked", operator, pools, tmp_path)
    await session.run(Command(("true",), sudo=True))
    host.run("chpasswd", input="asked:renewed\n", check=True)
    try:
        with pytest.raises(SudoError, match="did not accept"):
            await session.run(Command(("true",), sudo=True))
        assert attempts(host, "asked") - before == 1
        assert (await session.run(Command(("id", "-u"), sudo=True))).stdout == b"0\n"
    finally:
        host.run("chpasswd", input=f"asked:{PASSWORD}\n", check=True)


async def test_nobody_to_ask_is_no_attempt(
    host: RigHost, pools: list[Pool], tmp_path: Path
) -> None:
    before = attempts(host, "asked")
    session = await log_in(host, "asked", Operator(None), pools, tmp_path)
    with pytest.raises(SudoError, match="nobody could be asked"):
        await session.run(Command(("true",), sudo=True))
    assert attempts(host, "asked") == before


async def test_a_user_without_a_rule(host: RigHost, pools: list[Pool], tmp_path: Path) -> None:
    session = await log_in(host, "nobody2", Operator(PASSWORD), pools, tmp_path)
    with pytest.raises(SudoError, match="nobody2 may not use sudo"):
        await session.run(Command(("true",), sudo=True))


async def test_requiretty_is_named(host: RigHost, pools: list[Pool], tmp_path: Path) -> None:
    session = await log_in(host, "wired", Operator(), pools, tmp_path)
    with pytest.raises(SudoError, match="requiretty"):
        await session.run(Command(("true",), sudo=True))


async def test_a_host_without_sudo(host: RigHost, pools: list[Pool], tmp_path: Path) -> None:
    session = await log_in(host, "free", Operator(), pools, tmp_path)
    host.run("mv", "/usr/bin/sudo", "/usr/bin/sudo.away", check=True)
    try:
        with pytest.raises(SudoError, match="not installed"):
            await session.run(Command(("true",), sudo=True))
        assert not (await read_facts(session)).has_sudo
    finally:
        host.run("mv", "/usr/bin/sudo.away", "/usr/bin/sudo", check=True)


async def test_the_password_is_in_no_argv_and_no_log(
    host: RigHost, pools: list[Pool], tmp_path: Path
) -> None:
    session = await log_in(host, "asked", Operator(PASSWORD), pools, tmp_path)
    async with session.open(Command(("sleep", "60"), sudo=True)):
        seen = host.run("sh", "-c", "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ | tr '\\0' ' '")
        assert "sleep 60" in seen.stdout
        assert PASSWORD not in seen.stdout
    assert PASSWORD not in host.journal()
