"""The pool: one connection a host, paced retries, jump hosts shared."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from aiconsole.errors import HostKeyError, LoginError, UnreachableError
from aiconsole.session import backoff
from aiconsole.session.command import Command
from aiconsole.session.endpoint import Endpoint
from aiconsole.session.host_keys import HostKey, HostKeys
from aiconsole.session.pool import HANDSHAKES, Pool
from tests.contract.ssh_server import Server, start_server
from tests.contract.way import Way


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    server = await start_server(tmp_path)
    yield server
    await server.close()


@pytest.fixture
async def pool(tmp_path: Path) -> AsyncIterator[Pool]:
    pool = Pool(host_keys=HostKeys(tmp_path / "known_hosts"))
    yield pool
    await pool.close()


def way(server: Server, pool: Pool, **changes: object) -> Way:
    endpoint = Endpoint(
        host_name="web1",
        address="127.0.0.1",
        port=server.port,
        user="root",
        identity_files=(str(server.client_key_file),),
        identities_only=True,
    )
    endpoint = replace(endpoint, **changes)  # type: ignore[arg-type]
    pool.host_keys.add(HostKey.of(endpoint, server.host_key))
    return Way(endpoint)


async def test_one_connection_for_many(server: Server, pool: Pool) -> None:
    sessions = await asyncio.gather(*(pool.session(way(server, pool)) for _ in range(20)))
    assert len(set(map(id, sessions))) == 1
    assert len(server.connections) == 1


async def test_a_lost_connection_is_made_again(server: Server, pool: Pool) -> None:
    first = await pool.session(way(server, pool))
    server.cut()
    await first.wait_closed()
    second = await pool.session(way(server, pool))
    assert second is not first
    assert (await second.run(Command(("echo", "on")))).stdout == b"on\n"


async def test_at_most_eight_handshakes_over_the_fleet(server: Server, pool: Pool) -> None:
    server.hold_logins = asyncio.Event()
    ways = [way(server, pool, host_name=f"web{number}") for number in range(HANDSHAKES + 5)]
    logins = [asyncio.create_task(pool.session(one)) for one in ways]
    await server.until(lambda: server.handshakes_now == HANDSHAKES)
    done, _ = await asyncio.wait(logins, timeout=0.3)
    assert not done
    assert server.handshakes_most == HANDSHAKES
    server.hold_logins.set()
    assert len(set(map(id, await asyncio.gather(*logins)))) == HANDSHAKES + 5
    assert server.handshakes_most == HANDSHAKES


async def test_a_refused_login_is_not_repeated_for_15_s(server: Server, pool: Pool) -> None:
    stranger = await start_server(server.client_key_file.parent)
    wrong = way(server, pool, identity_files=(str(stranger.client_key_file),))
    await stranger.close()
    with pytest.raises(LoginError):
        await pool.session(wrong)
    assert 14.5 < pool.retry_in_s(wrong) <= 15 * 1.3
    before = len(server.connections)
    waiting = asyncio.create_task(pool.session(wrong))
    done, _ = await asyncio.wait({waiting}, timeout=0.3)
    assert not done
    assert len(server.connections) == before
    pool.retry_now(wrong)
    with pytest.raises(LoginError):
        await waiting
    assert len(server.connections) == before + 1
    assert pool.retry_in_s(wrong) > 25, "each refusal doubles the wait"
    with pytest.raises(LoginError):
        await pool.session(wrong, now=True)
    assert len(server.connections) == before + 2


async def test_an_unreachable_host_is_tried_again_soon(server: Server, pool: Pool) -> None:
    gone = way(server, pool)
    await server.close()
    with pytest.raises(UnreachableError):
        await pool.session(gone)
    assert 0.5 < pool.retry_in_s(gone) <= 1.3


async def test_success_ends_the_backoff(server: Server, pool: Pool) -> None:
    one = way(server, pool)
    pool.host_keys.remove(one.endpoint.key_name)
    with pytest.raises(HostKeyError) as caught:
        await pool.session(one)
    assert pool.retry_in_s(one) > 0
    pool.host_keys.accept(caught.value.fingerprint)
    await pool.session(one, now=True)
    assert pool.retry_in_s(one) == 0


async def test_jump_hosts_share_their_connection(tmp_path: Path, pool: Pool) -> None:
    jump, target = await start_server(tmp_path), await start_server(tmp_path)
    via = way(jump, pool, host_name="bastion").endpoint
    behind = [way(target, pool, host_name=name, via=via, user=name) for name in ("alice", "bob")]
    sessions = await asyncio.gather(*map(pool.session, behind))
    outputs = [await session.run(Command(("echo", "through"))) for session in sessions]
    assert [one.stdout for one in outputs] == [b"through\n"] * 2
    assert len(jump.connections) == 1
    assert jump.forwards == [("127.0.0.1", target.port)] * 2
    direct = await pool.session(Way(via))
    assert (await direct.run(Command(("true",)))).ok
    assert len(jump.connections) == 1
    await pool.close()
    await jump.close()
    await target.close()


async def test_every_hop_has_a_strict_key(tmp_path: Path, pool: Pool) -> None:
    jump, target = await start_server(tmp_path), await start_server(tmp_path)
    via = way(jump, pool, host_name="bastion").endpoint
    behind = way(target, pool, host_name="inner", via=via)
    pool.host_keys.remove(behind.endpoint.key_name)
    pool.host_keys.remove(via.key_name)
    for name, server in (("bastion", jump), ("inner", target)):
        with pytest.raises(HostKeyError, match=name) as caught:
            await pool.session(behind, now=True)
        assert caught.value.fingerprint == server.host_key.get_fingerprint()
        pool.host_keys.accept(caught.value.fingerprint)
    assert (await (await pool.session(behind, now=True)).run(Command(("true",)))).ok
    await pool.close()
    await jump.close()
    await target.close()


async def test_a_target_that_the_jump_host_cannot_reach(tmp_path: Path, pool: Pool) -> None:
    jump, target = await start_server(tmp_path), await start_server(tmp_path)
    via = way(jump, pool, host_name="bastion").endpoint
    behind = way(target, pool, via=via)
    await target.close()
    with pytest.raises(UnreachableError, match="web1 cannot be reached from bastion"):
        await pool.session(behind)
    await pool.close()
    await jump.close()


async def test_local_is_local(pool: Pool) -> None:
    here = Way(Endpoint.local())
    session = await pool.session(here)
    assert session is await pool.session(here)
    assert (await session.run(Command(("echo", "here")))).stdout == b"here\n"


def test_delays_grow_and_end() -> None:
    refused = LoginError("no")
    assert [backoff.delay_s(refused, n) for n in (0, 1, 2, 99)] == [15, 30, 60, 600]
    gone = UnreachableError("no")
    assert [backoff.delay_s(gone, n) for n in (0, 1, 4, 99)] == [1, 2, 16, 30]
