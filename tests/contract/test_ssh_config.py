"""Hosts that only ssh_config knows: alias, user, port, IdentityFile, ProxyJump, Include, Match."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aiconsole.errors import HostKeyError, SettingsError, UnknownHostError
from aiconsole.fleet.inventory import Inventory
from aiconsole.fleet.ssh_config import SshConfig
from aiconsole.fleet.trust import connect_trusting, trust_anew
from aiconsole.fleet.way import endpoint_of
from aiconsole.question import Answer, Question
from aiconsole.session.command import Command
from aiconsole.session.host_keys import HostKeys
from aiconsole.session.pool import Pool
from tests.contract.ssh_server import Server, start_server
from tests.contract.way import Way


def inventory(tmp_path: Path, ssh_config: str, hosts: str = "") -> Inventory:
    config, file = tmp_path / "config", tmp_path / "hosts.toml"
    config.write_text(ssh_config)
    file.write_text(hosts)
    return Inventory.load(file, SshConfig((config,)))


def settings(tmp_path: Path, ssh_config: str, name: str) -> tuple[str, str, int]:
    (tmp_path / "config").write_text(ssh_config)
    found = SshConfig((tmp_path / "config",)).resolve(name)
    return found.user, found.address, found.port


def test_an_alias_is_a_host(tmp_path: Path) -> None:
    text = "Host web1 web1.lan\n  HostName 10.0.0.5\n  User admin\n  Port 2222\n"
    assert inventory(tmp_path, text).get("web1").name == "web1"
    assert settings(tmp_path, text, "web1") == ("admin", "10.0.0.5", 2222)
    assert SshConfig((tmp_path / "config",)).aliases() == ("web1", "web1.lan")


def test_a_pattern_covers_names_and_a_bare_star_none(tmp_path: Path) -> None:
    text = "Host *.example.com !bad.example.com\n  User admin\nHost *\n  Port 2222\n"
    fleet = inventory(tmp_path, text)
    assert fleet.get("db.example.com").name == "db.example.com"
    with pytest.raises(UnknownHostError):
        fleet.get("nowhere")


def test_include_and_match(tmp_path: Path) -> None:
    more = tmp_path / "more.conf"
    more.write_text("Host inner\n  HostName 10.1.1.1\n")
    text = f"Include {more}\nMatch host 10.1.*\n  User inside\n"
    assert settings(tmp_path, text, "inner") == ("inside", "10.1.1.1", 22)


def test_an_error_names_file_and_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="ssh_config cannot be read") as caught:
        settings(tmp_path, "Host web1\n  Port many\n", "web1")
    assert "config line 2" in caught.value.detail


def test_the_inventory_stands_above_ssh_config(tmp_path: Path) -> None:
    fleet = inventory(
        tmp_path,
        "Host web1\n  User admin\n  Port 2222\n  HostName 10.0.0.5\n",
        '[hosts.web1]\nuser = "root"\n',
    )
    endpoint = endpoint_of(fleet.get("web1"), SshConfig((tmp_path / "config",)))
    assert (endpoint.user, endpoint.address, endpoint.port) == ("root", "10.0.0.5", 2222)


def test_missing_identity_files_of_ssh_config_are_left_out(tmp_path: Path) -> None:
    there = tmp_path / "id"
    there.write_text("key")
    text = f"Host web1\n  IdentityFile /nowhere/id\n  IdentityFile {there}\n"
    host = inventory(tmp_path, text).get("web1")
    endpoint = endpoint_of(host, SshConfig((tmp_path / "config",)))
    assert endpoint.identity_files == (str(there),)
    assert not endpoint.identities_only


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[tuple[Server, Server]]:
    jump, target = await start_server(tmp_path), await start_server(tmp_path)
    yield jump, target
    await jump.close()
    await target.close()


@pytest.fixture
async def pool(tmp_path: Path) -> AsyncIterator[Pool]:
    pool = Pool(host_keys=HostKeys(tmp_path / "known_hosts"))
    yield pool
    await pool.close()


class Operator:
    """Says yes, and remembers to what."""

    def __init__(self, answer: bool = True) -> None:
        self.answer, self.asked = answer, list[Question]()

    async def __call__(self, question: Question) -> Answer:
        self.asked.append(question)
        return self.answer


def two_hops(tmp_path: Path, servers: tuple[Server, Server]) -> Way:
    """An alias behind another alias, each with its own key, user and port."""
    jump, target = servers
    text = (
        "Host bastion\n  HostName 127.0.0.1\n  User jumper\n"
        f"  Port {jump.port}\n  IdentityFile {jump.client_key_file}\n"
        "Host inner\n  HostName 127.0.0.1\n  User worker\n  ProxyJump bastion\n"
        f"  Port {target.port}\n  IdentityFile {target.client_key_file}\n"
        f"Host *\n  UserKnownHostsFile {tmp_path}/none\n"
    )
    host = inventory(tmp_path, text).get("inner")
    return Way(endpoint_of(host, SshConfig((tmp_path / "config",))))


async def test_through_a_jump_host_with_each_key_confirmed(
    tmp_path: Path, servers: tuple[Server, Server], pool: Pool
) -> None:
    operator = Operator()
    session = await connect_trusting(pool, two_hops(tmp_path, servers), operator)  # type: ignore[arg-type]
    assert (await session.run(Command(("echo", "inside")))).stdout == b"inside\n"
    assert session.user == "worker"
    jump, target = servers
    assert set(jump.forwards) == {("127.0.0.1", target.port)}
    shown = [question.detail for question in operator.asked]
    assert len(shown) == 2
    assert jump.host_key.get_fingerprint() in shown[0]
    assert target.host_key.get_fingerprint() in shown[1]


async def test_accepted_fingerprints_need_no_question(
    tmp_path: Path, servers: tuple[Server, Server], pool: Pool
) -> None:
    operator = Operator(False)
    accepted = [server.host_key.get_fingerprint() for server in servers]
    await connect_trusting(pool, two_hops(tmp_path, servers), operator, accepted)  # type: ignore[arg-type]
    assert operator.asked == []


async def test_a_changed_key_is_not_asked_for_but_can_be_trusted_anew(
    tmp_path: Path, servers: tuple[Server, Server], pool: Pool
) -> None:
    jump, target = servers
    way, operator = two_hops(tmp_path, servers), Operator()
    await connect_trusting(pool, way, operator)  # type: ignore[arg-type]
    await pool.drop(way)
    pool.host_keys.own_file.write_text(
        pool.host_keys.own_file.read_text().replace(
            target.host_key.export_public_key().decode().split()[1],
            jump.host_key.export_public_key().decode().split()[1],
        )
    )
    asked = len(operator.asked)
    with pytest.raises(HostKeyError, match="inner has changed"):
        await connect_trusting(pool, way, operator)  # type: ignore[arg-type]
    assert len(operator.asked) == asked
    assert await trust_anew(pool, way, operator) == target.host_key.get_fingerprint()  # type: ignore[arg-type]
    assert operator.asked[-1].danger
    assert await trust_anew(pool, way, operator) == ""  # type: ignore[arg-type]
