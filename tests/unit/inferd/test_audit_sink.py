"""Audit files: bounded, shared by processes, and whole lines only."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from aiconsole.onhost.inferd.audit import sink as sinks
from aiconsole.onhost.inferd.audit.sink import RotatedFile, SinkError

LINE = b'{"n":"%06d"}' + b" " * 86 + b"\n"
SIZE = len(LINE % 0)


def lines(path: Path) -> list[int]:
    """Numbers of all lines in a file and those set aside, oldest first; each must be whole."""
    asides = sorted(path.parent.glob(path.name + ".*"), key=lambda p: -int(p.suffix[1:]))
    found = []
    for file in [*asides, path]:
        for text in file.read_bytes().split(b"\n")[:-1]:
            found.append(int(json.loads(text)["n"]))
        assert not file.stat().st_size or file.read_bytes().endswith(b"\n")
    return found


def test_it_is_private_and_set_aside_at_its_size(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    file = RotatedFile(path, 10 * SIZE, keep=3)
    for number in range(65):
        file.write(LINE % number)
    file.close()
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["audit.log", "audit.log.1", "audit.log.2", "audit.log.3"]
    assert lines(path) == list(range(30, 65))
    for name in names:
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        assert (tmp_path / name).stat().st_size <= 10 * SIZE


def test_a_batch_longer_than_a_file_is_split_between_lines(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    file = RotatedFile(path, 10 * SIZE, keep=9)
    file.write(b"".join(LINE % number for number in range(45)))
    assert lines(path) == list(range(45))
    assert all(p.stat().st_size <= 10 * SIZE for p in tmp_path.iterdir())
    long = b'{"n":1,"x":"' + b"y" * 20 * SIZE + b'"}\n'
    file.write(long + LINE % 2)
    assert lines(path)[-2:] == [1, 2]  # a line that is too long for any file is still written
    file.close()


def test_nothing_is_kept_beside_it_where_nothing_shall_be(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    file = RotatedFile(path, 10 * SIZE, keep=0)
    for number in range(25):
        file.write(LINE % number)
    file.close()
    assert lines(path) == list(range(20, 25))
    assert len(list(tmp_path.iterdir())) == 1


def test_an_old_file_is_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    for number in range(3):
        file = RotatedFile(path, 10 * SIZE, keep=1)
        file.write(LINE % number)
        file.close()
    assert lines(path) == [0, 1, 2]


def test_somebody_else_moves_it_away(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    file = RotatedFile(path, 10 * SIZE, keep=1)
    file.write(LINE % 0)
    path.rename(tmp_path / "elsewhere")
    file.write(LINE % 1)
    path.unlink()
    file.write(LINE % 2)
    file.close()
    assert (tmp_path / "elsewhere").read_bytes() == LINE % 0
    assert lines(path) == [2]


WRITER = """
import sys
from pathlib import Path
from aiconsole.onhost.inferd.audit.sink import RotatedFile
path, who = Path(sys.argv[1]), int(sys.argv[2])
file = RotatedFile(path, 5000, keep=1000)
for number in range(0, 600, 3):
    file.write(b"".join(b'{"n":%d}\\n' % (who * 1000 + number + more) for more in range(3)))
"""


def test_processes_that_write_and_set_aside_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(who)], cwd=Path.cwd())
        for who in range(1, 4)
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    found = lines(path)
    assert sorted(found) == [who * 1000 + n for who in range(1, 4) for n in range(600)]
    for who in range(1, 4):  # each one's lines are in their order, across all files
        mine = [number for number in found if number // 1000 == who]
        assert mine == sorted(mine)
    assert len(list(tmp_path.iterdir())) > 3
    assert all(p.stat().st_size <= 5000 for p in tmp_path.iterdir())


def test_a_process_that_is_stuck_with_the_lock_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinks, "_LOCK_S", 0.05)
    path = tmp_path / "audit.log"
    file = RotatedFile(path, 3 * SIZE, keep=2)
    file.write(LINE % 0)
    other = os.open(path, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    for number in range(1, 6):
        file.write(LINE % number)
    assert lines(path) == list(range(6))
    os.close(other)
    file.write(LINE % 6)
    assert lines(path) == list(range(7))
    assert (tmp_path / "audit.log.1").exists()
    file.close()


def test_a_directory_that_is_missing_for_a_while(tmp_path: Path) -> None:
    path = tmp_path / "log" / "audit.log"
    file = RotatedFile(path, 10 * SIZE, keep=1)
    with pytest.raises(SinkError, match="No such file") as lost:
        file.write(LINE % 0 + LINE % 1)
    assert lost.value.lost == 2
    path.parent.mkdir()
    file.write(LINE % 2)
    assert lines(path) == [2]
    file.close()


FULL = """
import resource, signal, sys
from pathlib import Path
from aiconsole.onhost.inferd.audit.sink import RotatedFile, SinkError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
file = RotatedFile(Path(sys.argv[1]), 1_000_000, keep=1)
batch = b"".join(b'{"n":"%06d"}\\n' % number for number in range(100))
resource.setrlimit(resource.RLIMIT_FSIZE, (1234, 10_000_000))
try:
    file.write(batch)
except SinkError as error:
    print(error.lost)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000_000, 10_000_000))
file.write(b'{"n":999}\\n')
"""


def test_what_does_not_fit_is_not_left_in_half(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], check=True, capture_output=True, text=True
    )
    fitting = 1234 // len(b'{"n":"000000"}\n')
    assert int(done.stdout) == 100 - fitting
    assert lines(path) == [*range(fitting), 999]


def test_a_full_disk(tmp_path: Path) -> None:
    file = RotatedFile(Path("/dev/full"), 10 * SIZE, keep=1)
    with pytest.raises(SinkError, match="No space left") as lost:
        file.write(LINE % 0)
    assert lost.value.lost == 1
    assert Path("/dev/full").is_char_device()
