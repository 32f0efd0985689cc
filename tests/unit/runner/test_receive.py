"""Uploads through the real tool: resumed after cuts, verified, refused for good reasons."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aiconsole.onhost.wire import HostLayout, Upload, to_json
from tests.tool_caller import Caller, Lines, fault_of
from tests.unit.runner.place import Place

CONTENT = random.Random(7).randbytes(3_000_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
WHOLE = Upload(DIGEST, len(CONTENT))

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")


def request(layout: HostLayout, *uploads: Upload) -> bytes:
    asked: dict[str, Any] = {"layout": to_json(layout), "uploads": [to_json(u) for u in uploads]}
    return json.dumps(asked).encode() + b"\n"


def receive(layout: HostLayout, upload: Upload, data: bytes) -> tuple[int, Lines]:
    """One attempt: the offset that the host wants, and its lines after `data`."""
    with Caller(layout).open("receive") as talk:
        talk.send(request(layout, upload), whole=False)
        first = talk.read()
        if "fault" in first:
            return 0, [first]
        [offset] = first["offsets"]
        talk.send(data[offset:])
        return offset, talk.rest()


def test_a_file_arrives_verified_under_its_name_and_is_not_taken_twice(place: Place) -> None:
    offset, lines = receive(place.layout, WHOLE, CONTENT)
    assert (offset, lines[-1]) == (0, {"verified": DIGEST})
    assert Path(place.layout.upload(DIGEST)).read_bytes() == CONTENT
    assert receive(place.layout, WHOLE, CONTENT) == (len(CONTENT), [{"verified": DIGEST}])
    assert [p.name for p in (place.root / "var/uploads").iterdir()] == [DIGEST]


def test_an_upload_that_is_cut_again_and_again_resumes_where_it_was(place: Place) -> None:
    chance = random.Random(11)
    sent, at = 0, 0
    for _ in range(6):
        cut = min(len(CONTENT), at + chance.randrange(1, 900_000))
        offset, lines = receive(place.layout, WHOLE, CONTENT[:cut])
        assert offset == at
        sent += cut - offset
        at = cut
        if cut < len(CONTENT):
            assert fault_of(lines)["code"] == "cut"
    offset, lines = receive(place.layout, WHOLE, CONTENT)
    assert lines[-1] == {"verified": DIGEST}
    assert sent + len(CONTENT) - offset == len(CONTENT), "no byte went out twice"


def test_a_receiver_that_is_killed_leaves_what_came(place: Place) -> None:
    half = len(CONTENT) // 2
    with Caller(place.layout).open("receive") as talk:
        talk.send(request(place.layout, WHOLE), whole=False)
        assert talk.read() == {"offsets": [0]}
        talk.send(CONTENT[:half], whole=False)
        part = Path(place.layout.upload(DIGEST) + ".part")
        while part.stat().st_size < half:
            pass
        talk.kill()
    offset, lines = receive(place.layout, WHOLE, CONTENT)
    assert (offset, lines[-1]) == (half, {"verified": DIGEST})


def test_several_files_go_over_one_line(place: Place) -> None:
    other = b"another"
    digest = hashlib.sha256(other).hexdigest()
    Path(place.layout.upload(digest) + ".part").write_bytes(other[:3])
    with Caller(place.layout).open("receive") as talk:
        talk.send(request(place.layout, WHOLE, Upload(digest, 7)), whole=False)
        assert talk.read() == {"offsets": [0, 3]}
        talk.send(CONTENT + other[3:])
        verified = [line["verified"] for line in talk.rest() if "verified" in line]
    assert verified == [DIGEST, digest]


def test_what_is_not_what_was_announced_is_removed(place: Place) -> None:
    _, lines = receive(place.layout, WHOLE, b"x" + CONTENT[1:])
    assert fault_of(lines)["code"] == "digest-mismatch"
    assert [p.suffix for p in (place.root / "var/uploads").iterdir()] == []


def test_a_second_console_is_told_and_takes_over_once_the_first_one_stalls(place: Place) -> None:
    part = Path(place.layout.upload(DIGEST) + ".part")
    with Caller(place.layout).open("receive") as talk:
        talk.send(request(place.layout, WHOLE), whole=False)
        assert talk.read() == {"offsets": [0]}
        fault = fault_of(receive(place.layout, WHOLE, CONTENT)[1])
        assert (fault["code"], "another console" in fault["text"]) == ("busy", True)
        long_ago = part.stat().st_mtime - 60
        os.utime(part, (long_ago, long_ago))  # a dead line brings nothing
        _, lines = receive(place.layout, WHOLE, CONTENT)
        assert lines[-1] == {"verified": DIGEST}
        assert talk.process.wait() != 0


def test_a_file_that_waits_for_its_turn_is_not_taken_over(place: Place) -> None:
    late = b"z" * 1000
    second = Upload(hashlib.sha256(late).hexdigest(), len(late))
    part = Path(place.layout.upload(second.sha256) + ".part")
    with Caller(place.layout).open("receive") as talk:
        talk.send(request(place.layout, WHOLE, second), whole=False)
        assert talk.read() == {"offsets": [0, 0]}
        long_ago = part.stat().st_mtime - 60
        os.utime(part, (long_ago, long_ago))
        at = 0
        while part.stat().st_mtime == long_ago:
            assert at < len(CONTENT), "the whole first file did not keep the second one"
            talk.send(CONTENT[at : at + 1000], whole=False)
            at += 1000
            time.sleep(0.01)
        fault = fault_of(receive(place.layout, second, late)[1])
        assert fault["code"] == "busy"
        talk.send(CONTENT[at:] + late)
        assert talk.rest()[-1] == {"verified": second.sha256}


@contextmanager
def mounted(path: Path, *options: str) -> Iterator[Path]:
    """A filesystem in memory with these options."""
    path.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@root_only
def test_a_file_that_cannot_fit_is_refused_before_its_first_byte(place: Place) -> None:
    with mounted(place.root / "small", "-o", "size=18m") as small:
        layout = replace(place.layout, var=str(small))
        fault = fault_of(receive(layout, WHOLE, CONTENT)[1])
        assert fault["code"] == "disk-full"
        assert "free, the uploads need 3 MB" in fault["text"]
        assert fault["hint"]


@root_only
def test_a_disk_that_fills_up_meanwhile_loses_the_half_and_says_so(place: Place) -> None:
    with mounted(place.root / "small", "-o", "size=40m") as small:
        layout = replace(place.layout, var=str(small))
        with Caller(layout).open("receive") as talk:
            talk.send(request(layout, WHOLE), whole=False)
            assert talk.read() == {"offsets": [0]}
            free = os.statvfs(small)
            with open(small / "greedy", "wb") as greedy:
                os.posix_fallocate(greedy.fileno(), 0, free.f_bfree * free.f_frsize)
            talk.send(CONTENT)
            fault = fault_of(talk.rest())
        assert (fault["code"], "full" in fault["text"]) == ("disk-full", True)
        assert not list(small.glob("uploads/*.part"))


@root_only
def test_a_read_only_disk_is_named(place: Place) -> None:
    with mounted(place.root / "ro", "-o", "ro") as ro:
        fault = fault_of(receive(replace(place.layout, var=str(ro)), WHOLE, CONTENT)[1])
    assert fault["code"] == "read-only"
    assert str(ro) in fault["text"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (b"{]\n", "not JSON"),
        (b'{"uploads": 5}\n', "no list of uploads"),
        (b'{"uploads": [], "layout": {}}\n', "'runtime' is missing"),
        (b'{"no line feed', "the connection ended"),
    ],
)
def test_a_bad_request_is_named(place: Place, asked: bytes, said: str) -> None:
    assert said in fault_of(Caller(place.layout).call("receive", stdin=asked))["text"]


@pytest.mark.parametrize(
    ("upload", "said"),
    [
        (Upload("../../etc/passwd", 1), "is not a sha256"),
        (Upload(DIGEST, -1), "its size is negative"),
    ],
)
def test_a_hostile_upload_is_refused(place: Place, upload: Upload, said: str) -> None:
    lines = Caller(place.layout).call("receive", stdin=request(place.layout, upload))
    assert said in fault_of(lines)["text"]
