"""Archives that try to get out of their directory, and some that are merely broken."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from aiconsole.onhost.runner.extract import ArchiveError, extract
from tests.unit.runner.place import tar_gz


@pytest.fixture
def into(tmp_path: Path) -> Path:
    directory = tmp_path / "tree"
    directory.mkdir()
    return directory


def member(name: str, kind: bytes, linkname: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, linkname, mode
    return info


def unpack(archive: bytes, into: Path, most_bytes: int = 10_000) -> None:
    extract(io.BytesIO(archive), into, most_bytes)


HOSTILE: dict[str, tuple[tuple[str, bytes | str | tarfile.TarInfo], ...]] = {
    "absolute": (("/etc/evil", b"x"),),
    "climbs": (("../evil", b"x"),),
    "climbs inside": (("a/../../evil", b"x"),),
    "link out": (("l", "../evil"),),
    "absolute link": (("l", "/etc"),),
    "empty link": (("l", ""),),
    "link climbs after a name": (("d/up", ".."), ("l", "d/up/../evil")),
    "writes through a link": (("d/f", b"x"), ("l", "d"), ("l/evil", b"x")),
    "link replaces a directory": (("d/f", b"x"), ("d", "d")),
    "replaces the top": ((".", b"x"),),
    "twice": (("f", b"x"), ("f", b"y")),
    "device": (("n", member("null", tarfile.CHRTYPE)),),
    "fifo": (("n", member("pipe", tarfile.FIFOTYPE)),),
    "hard link out": (("n", member("h", tarfile.LNKTYPE, "../../etc/passwd")),),
    "hard link to nothing": (("n", member("h", tarfile.LNKTYPE, "nothing")),),
    "hard link to a link": (("l", "f"), ("n", member("h", tarfile.LNKTYPE, "l"))),
    "hard link through a link": (
        ("d/f", b"x"), ("l", "d"), ("n", member("h", tarfile.LNKTYPE, "l/f")),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_refuses_what_would_leave_the_directory(name: str, into: Path) -> None:
    with pytest.raises(ArchiveError):
        unpack(tar_gz(*HOSTILE[name]), into)
    assert [path.name for path in into.parent.iterdir()] == ["tree"]


def test_lays_down_files_links_and_modes_read_only(into: Path) -> None:
    tool = member("bin/tool", tarfile.REGTYPE, mode=0o4755)
    archive = tar_gz(
        ("pkg/deep/a.py", b"A"), ("pkg/b", "deep/a.py"), ("pkg/deep/up", "../b"), ("n", tool),
        ("n", member("pkg/hard", tarfile.LNKTYPE, "pkg/deep/a.py")),
        ("n", member("empty", tarfile.DIRTYPE, mode=0o777)),
    )  # fmt: skip
    unpack(archive, into)
    assert (into / "pkg/deep/up").read_bytes() == b"A"
    assert (into / "pkg/hard").samefile(into / "pkg/deep/a.py")
    modes = {
        str(path.relative_to(into)): oct(path.lstat().st_mode & 0o7777)
        for path in into.rglob("*")
        if not path.is_symlink()
    }
    assert modes == {
        "pkg": "0o555", "pkg/deep": "0o555", "empty": "0o555", "bin": "0o555",
        "pkg/deep/a.py": "0o444", "pkg/hard": "0o444", "bin/tool": "0o555",
    }  # fmt: skip


def test_a_file_that_lies_about_its_size_does_not_fill_the_disk(into: Path) -> None:
    with pytest.raises(ArchiveError, match="more than was announced"):
        unpack(tar_gz(("zeros", bytes(5_000))), into, most_bytes=4_999)


@pytest.mark.parametrize("cut", [100, 1_000, 10_000, 20_000])
def test_a_cut_archive_is_damaged(cut: int, into: Path) -> None:
    whole = tar_gz(("noise", os.urandom(20_000)))
    with pytest.raises(ArchiveError):
        unpack(whole[:-cut], into, 20_000)


@pytest.mark.parametrize(
    "content",
    [b"", b"not gzip at all", gzip.compress(b"not a tar")],
    ids=["nothing", "text", "packed text"],
)
def test_what_is_no_archive_is_refused(content: bytes, into: Path) -> None:
    with pytest.raises(ArchiveError):
        unpack(content, into)
