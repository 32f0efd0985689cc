"""Models that are none, disks that fill up, bytes that change: one clear error, nothing half."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fixtures import tiny_gguf
from tests.rig.console import Console, Ended, Event
from tests.rig.host import RigHost
from tests.rig.rig import Rig
from tests.rig.said import said
from tests.rig.untouched import listing, untouched

UNTOUCHED = "nothing was changed"
MODEL = tiny_gguf.Shape(width=1024, layers=6, feed_forward=4096)
"""Of 200 MB: long enough under way to be met there."""


@pytest.fixture(scope="module")
def host(rig: Rig) -> Iterator[RigHost]:
    (host,) = rig.boot("fullhost")
    yield host
    rig.destroy(host)


@pytest.fixture(scope="module")
def console(host: RigHost, tmp_path_factory: pytest.TempPathFactory) -> Console:
    console = Console(tmp_path_factory.mktemp("home"))
    console.add(host)
    return console


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf.write(tmp_path_factory.mktemp("models") / "big.gguf", MODEL)


def deploy(console: Console, host: RigHost, model: Path | None = None) -> Ended:
    chosen = ("--model", str(model)) if model else ()
    return console.run("deploy", host.name, "--watch", "0", "-y", *chosen)


FILL = 'cat /dev/zero >"$1/filler" 2>/dev/null'
FILL_AT_THE_THIRD_LAYER = """
while [ "$(ls -A /opt/aiconsole/layers 2>/dev/null | wc -l)" -lt 3 ]; do :; done
"""


def fill(host: RigHost, path: str) -> None:
    """Let something else take all of the room."""
    host.run("sh", "-c", FILL, "sh", path)


@contextmanager
def filling_in_mid_unpack(host: RigHost) -> Iterator[None]:
    """Let something else take the room of /opt as soon as the largest layer is begun."""
    argv = host.enter("sh", "-c", FILL_AT_THE_THIRD_LAYER + FILL, "sh", "/opt")
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL) as filler:
        try:
            yield
        finally:
            filler.kill()
            host.kill("/opt/filler")


class TestModel:
    """Looked at before any host is asked for anything."""

    def test_missing(self, console: Console, host: RigHost) -> None:
        said(deploy(console, host, Path("/nowhere/model.gguf")), 2,
             f"{UNTOUCHED}: There is no such model file", "/nowhere/model.gguf",
             "on this machine")  # fmt: skip

    def test_a_directory(self, console: Console, host: RigHost, tmp_path: Path) -> None:
        said(deploy(console, host, tmp_path), 2,
             f"{tmp_path.name} is a directory", "Name one GGUF file")  # fmt: skip

    def test_not_a_gguf(self, console: Console, host: RigHost, tmp_path: Path) -> None:
        file = tmp_path / "model.safetensors"
        file.write_bytes(b"\x80" * 5000)
        said(deploy(console, host, file), 2, "model.safetensors is not a GGUF model",
             "look for a GGUF version")  # fmt: skip

    def test_truncated(self, console: Console, host: RigHost, tmp_path: Path) -> None:
        file = tiny_gguf.write(tmp_path / "cut.gguf")
        os.truncate(file, file.stat().st_size - 4096)
        said(deploy(console, host, file), 2, "cut.gguf is not complete", "Download it again")


class TestRoom:
    def test_a_disk_too_small_is_found_before_any_upload(
        self, console: Console, host: RigHost, model: Path
    ) -> None:
        with host.small_disk("/var/lib", 200), untouched(host):
            ended = deploy(console, host, model)
            said(ended, 1, f"{UNTOUCHED}: fullhost is not ready", "on /var/lib", "are free",
                 "Free space")  # fmt: skip
            assert "upload " not in ended.out

    def test_a_disk_that_fills_in_mid_upload(
        self, console: Console, host: RigHost, model: Path
    ) -> None:
        with host.small_disk("/var/lib", 500), host.delay(50):
            argv = ["deploy", host.name, "--watch", "0", "-y", "--model", str(model)]
            with console.begin(*argv) as talk:
                talk.until(sending)
                fill(host, "/var/lib")
                ended = talk.ended()
            error = ended.result["error"]
            assert ended.exit_code == 2
            assert error["title"] == "The disk of fullhost is full"
            assert "/var/lib/aiconsole/uploads is full" in error["detail"]
            assert "Free space" in error["hint"]
            assert parts(host) == []
            host.run("rm", "/var/lib/filler", check=True)

    def test_a_disk_that_fills_in_mid_unpack_is_undone(
        self, console: Console, host: RigHost
    ) -> None:
        with host.small_disk("/opt", 260):
            before = installed(host)
            with (
                filling_in_mid_unpack(host),
                console.begin("deploy", host.name, "--watch", "0", "-y") as talk,
            ):
                ended = talk.ended()
            assert ended.exit_code == 2
            assert ended.result["outcome"] == "undone"
            error = ended.result["error"]
            assert "No space left on device" in error["title"], error
            host.run("rm", "/opt/filler", check=True)
            assert set(installed(host)) ^ set(before) == set()
            with console.begin("deploy", host.name, "--watch", "0", "-y") as talk:
                assert talk.ended().result["outcome"] == "done"
            console.fine("stop", host.name, "-y")
        # With the small disk the release is gone, as if somebody had emptied /opt.
        with untouched(host):
            said(deploy(console, host), 2, f"{UNTOUCHED}: The release on the host cannot be read",
                 "has no model", "Deploy with --model")  # fmt: skip


class TestBytes:
    def test_a_file_that_changes_after_it_was_digested(
        self, console: Console, host: RigHost, tmp_path: Path
    ) -> None:
        file = tiny_gguf.write(tmp_path / "model.gguf", seed=10)
        console.run("deploy", host.name, "--plan", "--model", str(file))
        then = file.stat()
        with file.open("r+b") as opened:
            opened.seek(-100, os.SEEK_END)
            opened.write(b"another weight")
        os.utime(file, ns=(then.st_atime_ns, then.st_mtime_ns))
        before = installed(host)
        said(deploy(console, host, file), 2, "What arrived on fullhost is not what was sent",
             "the file changed meanwhile")  # fmt: skip
        assert installed(host) == before
        assert parts(host) == []

    def test_half_an_upload_that_rotted_is_not_built_upon(
        self, console: Console, host: RigHost, tmp_path: Path
    ) -> None:
        file = tiny_gguf.write(tmp_path / "model.gguf", seed=8)
        planned = console.run("deploy", host.name, "--plan", "--model", str(file), "--json")
        digest = missing_model(planned)
        half = bytearray(file.read_bytes()[:500_000])
        half[1000] ^= 1
        host.run("mkdir", "-p", "/var/lib/aiconsole/uploads", check=True)
        host.write_bytes(f"/var/lib/aiconsole/uploads/{digest}.part", bytes(half), 0o600)
        before = installed(host)
        said(deploy(console, host, file), 2, "What arrived on fullhost is not what was sent",
             "It was removed; try again")  # fmt: skip
        assert installed(host) == before
        assert parts(host) == []
        with console.begin("deploy", host.name, "--watch", "0", "-y", "--model", str(file)) as talk:
            assert talk.ended().result["outcome"] == "done"
        console.fine("stop", host.name, "-y")


class TestRun:
    def test_a_filesystem_that_turns_read_only_in_mid_run(
        self, console: Console, host: RigHost, tmp_path: Path
    ) -> None:
        file = tiny_gguf.write(tmp_path / "model.gguf", seed=9)
        before = installed(host)
        with console.begin("deploy", host.name, "--watch", "0", "-y", "--model", str(file)) as talk:
            talk.until(lambda event: event.get("phase") == "upload")
            with host.read_only("/opt"):
                ended = talk.ended()
                assert ended.exit_code == 2
                assert "ead-only" in ended.result["error"]["title"]
        assert ended.result["outcome"] == "undone"
        assert set(installed(host)) ^ set(before) == set()

    def test_an_unknown_release_names_those_that_are_there(
        self, console: Console, host: RigHost
    ) -> None:
        with untouched(host):
            said(console.run("rollback", host.name, "nosuch", "-y"), 2,
                 f"{host.name} has no release nosuch", "it holds ",
                 f"aiconsole releases {host.name}")  # fmt: skip


_TIME = re.compile(r"(?<= )\d+\.\d+ |(?<= d ).*")
"""Also the size of a directory, which grows with what was once in it."""
_BACKUP = re.compile(r"/etc/\w+-( |$)|^/(opt|var/lib)/aiconsole ")


def sending(event: Event) -> bool:
    return bool(event["event"] == "Progress" and event["phase"] == "upload"
                and event["done_bytes"] > 10_000_000)  # fmt: skip


def missing_model(planned: Ended) -> str:
    [ready] = [event for event in planned.events if event["event"] == "PlanReady"]
    [digest] = [c["missing_upload"] for c in ready["report"]["steps"] if c["step_id"] == "model"]
    return str(digest)


def parts(host: RigHost) -> list[str]:
    """Halves of uploads on the host."""
    script = "ls /var/lib/aiconsole/uploads | grep part"
    return host.run("sh", "-c", script).stdout.split()


def installed(host: RigHost) -> list[str]:
    """All that a deploy makes, without times and without what it keeps for the next try."""
    kept = [f"/var/lib/aiconsole/{name}" for name in ("uploads", "runs", "locks", "ledger.jsonl")]
    kept.append("/opt/aiconsole/tools")
    lines = [line for line in listing(host) if not any(path in line for path in kept)]
    # useradd and userdel keep the state before themselves in /etc/passwd- and its like; what is
    # kept for the next try lies in the two directories of the installation.
    return [_TIME.sub("", line) for line in lines if not _BACKUP.search(line)]
