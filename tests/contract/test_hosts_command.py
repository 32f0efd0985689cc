"""`aiconsole hosts`, as a program of its own against a real SSH server."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.ssh_server import Server, start_server


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    server = await start_server(tmp_path)
    yield server
    await server.close()


class Console:
    """Runs the console with a home directory of its own, without a terminal."""

    def __init__(self, home: Path) -> None:
        self.home = home

    async def __call__(self, *argv: str) -> tuple[int, str, str]:
        environment = {"HOME": str(self.home), "PATH": os.environ["PATH"]}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-W", "error", "-m", "aiconsole", "hosts", *argv),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
        )
        out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()


@pytest.fixture
def console(tmp_path: Path) -> Console:
    return Console(tmp_path)


def login(server: Server) -> tuple[str, ...]:
    return ("web1", f"root@127.0.0.1:{server.port}", "-i", str(server.client_key_file))


async def test_the_life_of_a_host(server: Server, console: Console) -> None:
    fingerprint = server.host_key.get_fingerprint()

    status, out, err = await console("add", *login(server))
    assert (status, out) == (1, "")
    assert "not known yet" in err
    assert fingerprint in err, "what to compare, and what to give"

    status, out, err = await console("add", *login(server), "--accept-fingerprint", "SHA256:no")
    assert (status, out) == (1, "")
    assert "accepted were: SHA256:no" in err

    status, out, err = await console("add", *login(server), "--accept-fingerprint", fingerprint)
    assert (status, err) == (0, "")
    assert out.startswith("web1 is in the fleet: ")

    status, out, err = await console("add", *login(server))
    assert status == 1
    assert "in the fleet already" in err

    status, out, _ = await console("list", "--json")
    assert [host["name"] for host in json.loads(out)] == ["web1", "localhost"]

    status, out, _ = await console("show", "web1", "--json")
    assert status == 0
    assert json.loads(out)["facts"]["uid"] == os.getuid()

    status, out, _ = await console("remove", "web1")
    assert (status, out) == (0, "web1 is out of the fleet\n")
    known = console.home / ".local/state/aiconsole/known_hosts"
    assert known.read_text() == ""
    status, out, _ = await console("list")
    assert "web1" not in out


async def test_nothing_is_stored_where_the_login_fails(server: Server, console: Console) -> None:
    accept = ("--accept-fingerprint", server.host_key.get_fingerprint())
    stranger = await start_server(console.home)
    words = ("web1", f"root@127.0.0.1:{server.port}", "-i", str(stranger.client_key_file))
    await stranger.close()
    status, out, err = await console("add", *words, *accept)
    assert (status, out) == (2, "")
    assert "refused the login of root" in err
    assert str(stranger.client_key_file) in err
    assert not (console.home / ".config/aiconsole/hosts.toml").exists()


async def test_a_changed_key_is_refused_until_it_is_trusted(
    server: Server, console: Console, tmp_path: Path
) -> None:
    first = server.host_key.get_fingerprint()
    await console("add", *login(server), "--accept-fingerprint", first)
    await server.close()
    other = await start_server(tmp_path, server.port)
    second = other.host_key.get_fingerprint()
    status, _, err = await console("show", "web1")
    assert status == 2
    assert "has changed" in err
    assert first in err
    assert second in err
    assert "aiconsole hosts trust web1" in err
    status, _, err = await console("trust", "web1")
    assert status == 1
    status, out, _ = await console("trust", "web1", "--accept-fingerprint", second, "--json")
    assert (status, json.loads(out)) == (0, {"host": "web1", "trusted": second})
    await other.close()
    known = (console.home / ".local/state/aiconsole/known_hosts").read_text()
    assert other.host_key.export_public_key().decode().split()[1] in known
    assert server.host_key.export_public_key().decode().split()[1] not in known


async def test_errors_as_json(console: Console) -> None:
    status, out, err = await console("show", "nowhere", "--json")
    assert (status, err) == (2, "")
    assert json.loads(out)["error"] == "UnknownHostError"
