"""The link to a real Debian: black holes, resets, MaxSessions, and what becomes of programs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from aiconsole.errors import HostKeyError, LinkLostError, LoginError, UnreachableError
from aiconsole.fleet.facts import read_facts
from aiconsole.question import ask_nobody
from aiconsole.session.command import Command
from aiconsole.session.endpoint import Endpoint
from aiconsole.session.host_keys import HostKeys
from aiconsole.session.pool import Pool
from aiconsole.session.protocol import Session
from aiconsole.session.ssh import CHANNELS
from tests.contract.session_contract import BIG
from tests.contract.way import Way
from tests.rig.host import RigHost
from tests.rig.rig import Rig


@pytest.fixture(scope="module")
def host(rig: Rig) -> Iterator[RigHost]:
    (host,) = rig.boot("linkhost")
    yield host
    rig.destroy(host)


@pytest.fixture
def way(host: RigHost) -> Way:
    return Way(
        Endpoint(
            host_name=host.name,
            address=host.address,
            user="root",
            identity_files=(str(host.key_path),),
            identities_only=True,
        )
    )


@pytest.fixture
async def pool(host: RigHost, tmp_path: Path) -> AsyncIterator[Pool]:
    known = tmp_path / "known_hosts"
    known.write_text(host.known_hosts_line + "\n")
    pool = Pool(ask_nobody, HostKeys(known))
    yield pool
    await pool.close()


@pytest.fixture
async def session(pool: Pool, way: Way) -> Session:
    return await pool.session(way)


async def test_a_black_hole_is_found_within_10_s(
    host: RigHost, pool: Pool, way: Way, session: Session
) -> None:
    async with session.open(Command(("sh", "-c", "echo up; sleep 600"))) as process:
        assert await process.readline() == b"up\n"
        with host.black_hole():
            began = time.monotonic()
            with pytest.raises(LinkLostError):
                await process.readline()
            assert time.monotonic() - began < 10
    again = await pool.session(way)
    assert (await again.run(Command(("echo", "back")))).stdout == b"back\n"


async def test_a_black_hole_in_an_upload_is_found_within_10_s(
    host: RigHost, session: Session
) -> None:
    async with session.open(Command(("sh", "-c", "echo up; cat >/dev/null"))) as process:
        assert await process.readline() == b"up\n"
        with host.black_hole():
            began = time.monotonic()
            with pytest.raises(LinkLostError):
                await process.write(BIG * 2)
            assert time.monotonic() - began < 10


async def test_a_reset_in_mid_command(host: RigHost, session: Session) -> None:
    async with session.open(Command(("sh", "-c", "echo up; sleep 600"))) as process:
        assert await process.readline() == b"up\n"
        host.cut_connections()
        with pytest.raises(LinkLostError):
            await process.wait()


async def test_a_host_that_does_not_answer(host: RigHost, pool: Pool, way: Way) -> None:
    with host.black_hole(), pytest.raises(UnreachableError) as caught:
        await pool.session(way)
    assert host.address in caught.value.detail


async def test_a_host_that_refuses(host: RigHost, pool: Pool, way: Way) -> None:
    with host.without_ssh(), pytest.raises(UnreachableError, match="refused the connection"):
        await pool.session(way)


async def test_a_wrong_key(rig: Rig, host: RigHost, pool: Pool, tmp_path: Path) -> None:
    import asyncssh

    stranger = tmp_path / "stranger"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(stranger)
    endpoint = Endpoint(
        host.name, address=host.address, user="root",
        identity_files=(str(stranger),), identities_only=True,
    )  # fmt: skip
    with pytest.raises(LoginError, match="refused the login of root"):
        await pool.session(Way(endpoint))


async def test_an_unknown_key_shows_what_the_host_itself_prints(
    host: RigHost, way: Way, tmp_path: Path
) -> None:
    pool = Pool(ask_nobody, HostKeys(tmp_path / "empty"))
    with pytest.raises(HostKeyError) as caught:
        await pool.session(way)
    printed = host.run(
        "sh", "-c", "for key in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf $key; done"
    ).stdout
    assert caught.value.fingerprint in printed.split()
    await pool.close()


async def test_thirty_programs_at_once_stay_below_max_sessions(session: Session) -> None:
    done = await asyncio.gather(
        *(session.run(Command(("sh", "-c", "sleep 0.1; echo ok"))) for _ in range(30))
    )
    assert [one.stdout for one in done] == [b"ok\n"] * 30
    assert CHANNELS < 10


async def test_a_killed_program_is_gone_on_the_host(host: RigHost, session: Session) -> None:
    script = "sleep 600 & echo $$ $!; wait"
    async with session.open(Command(("sh", "-c", script))) as process:
        pids = [int(word) for word in (await process.readline()).split()]
        assert all(host.exists(f"/proc/{pid}") for pid in pids)
    for pid in pids:
        # Dead, though its new parent may take its time to bury it on a busy host.
        alive = f"grep -sq '^State:.[^ZX]' /proc/{pid}/status"
        assert (await session.run(Command(("sh", "-c", f"while {alive}; do sleep 0.02; done")))).ok


async def test_much_both_ways(session: Session) -> None:
    done = await session.run(Command(("cat",), stdin=BIG))
    assert done.stdout == BIG


async def test_facts_of_a_bare_host(host: RigHost, session: Session) -> None:
    facts = await read_facts(session)
    assert (facts.os_id, facts.os_version, facts.systemd_version) == ("debian", "12", 252)
    assert (facts.python_path, facts.python_version) == ("/usr/bin/python3", (3, 11, 2))
    assert facts.hostname == host.name
    assert not facts.has_libgomp
    listener = facts.listener_on(22)
    assert listener is not None
    assert listener.program == "sshd"
    assert abs(facts.clock_offset_s) < 1


async def test_facts_of_a_broken_host(host: RigHost, session: Session) -> None:
    with host.hide_python(), host.read_only("/opt"), host.clock_off(86400):
        facts = await read_facts(session)
    assert facts.python_version is None
    assert {space.path for space in facts.spaces if space.read_only} == {"/opt", "/opt/aiconsole"}
    assert 86390 < facts.clock_offset_s < 86410


async def test_the_clock_is_right_over_a_long_line(host: RigHost, session: Session) -> None:
    with host.delay(200):
        facts = await read_facts(session)
    assert facts.clock_error_s >= 0.09
    assert abs(facts.clock_offset_s) <= facts.clock_error_s
