"""Layers: built by the real uv from a wheel that the test makes, without any network."""

import asyncio
import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from aiconsole.bundle import cache, install, layer
from aiconsole.bundle.layer import Platform, build_layer
from aiconsole.errors import BundleError

HOST = Platform("x86_64", "3.11", "2.36")


def make_wheel(directory: Path, name: str = "tinypack", tag: str = "py3-none-any") -> Path:
    wheel = directory / f"{name}-1.0-{tag}.whl"
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}/__init__.py": "VALUE = 42\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
        f"{info}/licenses/LICENSE": "free\n",
    }
    record = []
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
            record.append(f"{path},sha256={digest.decode().rstrip('=')},{len(text)}")
        archive.writestr(f"{info}/RECORD", "\n".join([*record, f"{info}/RECORD,,"]) + "\n")
    return wheel


def run_alone(tree: Path, code: str) -> str:
    """Run code in a Python that sees nothing but the standard library and `tree`."""
    head = "import sys; sys.path.insert(0, sys.argv[1]); "
    argv = [sys.executable, "-I", "-S", "-c", head + code, str(tree)]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The layer `probe` holds one package, which lies in a directory."""
    directory = tmp_path / "locks"
    directory.mkdir()
    wheel = make_wheel(directory)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (directory / "probe.txt").write_text(f"tinypack==1.0 --hash=sha256:{digest}\n")
    monkeypatch.setenv("UV_FIND_LINKS", str(directory))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setattr(layer, "LOCKS", directory)
    monkeypatch.setattr(install, "LOCKS", directory)
    return directory


async def test_the_same_packages_give_the_same_bytes(locks: Path) -> None:
    first = await build_layer("probe", HOST)
    content = first.archive.read_bytes()
    shutil.rmtree(cache.directory())
    second = await build_layer("probe", HOST)
    assert second == first
    assert second.archive.read_bytes() == content
    assert hashlib.sha256(content).hexdigest() == first.sha256
    assert len(content) == first.size_bytes


async def test_a_layer_is_imported_from_its_tree(locks: Path, tmp_path: Path) -> None:
    built = await build_layer("probe", HOST)
    with tarfile.open(built.archive) as archive:
        members = archive.getmembers()
        archive.extractall(tmp_path / "tree", filter="data")
    names = {member.name for member in members}
    assert "tinypack-1.0.dist-info/METADATA" in names
    assert "tinypack-1.0.dist-info/licenses/LICENSE" in names
    assert not any(name.startswith(("bin", ".lock")) or "RECORD" in name for name in names)
    assert {(m.uid, m.gid, m.mtime, m.uname) for m in members} == {(0, 0, 0, "")}
    assert {m.mode for m in members} <= {0o644, 0o755}
    assert run_alone(tmp_path / "tree", "import tinypack; print(tinypack.VALUE)") == "42\n"


async def test_a_second_build_needs_neither_uv_nor_network(
    locks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = await build_layer("probe", HOST)

    async def no_install(*_: object) -> None:
        raise AssertionError("it was built again")

    monkeypatch.setattr(layer, "install", no_install)
    assert await build_layer("probe", HOST) == built


async def test_a_damaged_archive_is_built_again(locks: Path) -> None:
    built = await build_layer("probe", HOST)
    built.archive.write_bytes(b"x" * built.size_bytes)
    again = await build_layer("probe", HOST)
    assert again == built
    assert hashlib.sha256(again.archive.read_bytes()).hexdigest() == built.sha256


async def test_a_wrong_hash_is_refused(locks: Path) -> None:
    (locks / "probe.txt").write_text(f"tinypack==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(BundleError) as caught:
        await build_layer("probe", HOST)
    assert caught.value.title == "A package is not the one that was locked"
    assert "tinypack" in caught.value.detail
    assert not list(cache.directory().iterdir())


async def test_a_broken_lock_is_told_in_the_words_of_uv(locks: Path) -> None:
    (locks / "probe.txt").write_text("tinypack==\n")
    with pytest.raises(BundleError) as caught:
        await build_layer("probe", HOST)
    assert "probe.txt" in caught.value.detail


async def test_a_package_without_a_build_for_the_host(locks: Path) -> None:
    wheel = make_wheel(locks, "otherpack", "cp311-cp311-manylinux_2_17_aarch64")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (locks / "probe.txt").write_text(f"otherpack==1.0 --hash=sha256:{digest}\n")
    with pytest.raises(BundleError) as caught:
        await build_layer("probe", HOST)
    assert caught.value.title == f"A package has no build for {HOST}"


async def test_no_network(locks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UV_NO_INDEX")
    monkeypatch.setenv("UV_FIND_LINKS", "")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(BundleError) as caught:
        await build_layer("probe", HOST)
    assert caught.value.title == "The packages could not be downloaded"
    assert "127.0.0.1" in caught.value.detail


@pytest.mark.parametrize(
    ("platform", "need"),
    [
        (Platform("riscv64", "3.11", "2.36"), "the processor must be"),
        (Platform("x86_64", "3.9", "2.36"), "Python must be 3.10"),
        (Platform("x86_64", "3.11", ""), "the C library must be glibc"),
        (Platform("x86_64", "3.11", "2.12"), "the C library must be glibc"),
    ],
)
async def test_a_host_that_no_package_fits(platform: Platform, need: str) -> None:
    with pytest.raises(BundleError) as caught:
        await build_layer("gateway", platform)
    assert need in caught.value.detail


def test_the_newest_fitting_platform_is_taken() -> None:
    assert Platform("x86_64", "3.11", "2.36").wheel_platform == "x86_64-manylinux_2_36"
    assert Platform("aarch64", "3.12", "2.30").wheel_platform == "aarch64-manylinux_2_28"
    assert Platform("x86_64", "3.13", "2.99").wheel_platform == "x86_64-manylinux_2_40"


async def test_the_code_layer_is_small_and_follows_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aiconsole.bundle import source

    built = await build_layer("code", HOST)
    assert built.size_bytes < 2_000_000
    with tarfile.open(built.archive) as archive:
        names = archive.getnames()
        archive.extractall(tmp_path / "tree", filter="data")
    assert "aiconsole/onhost/wire/plan.py" in names
    assert not any(part in name for name in names for part in ("runner", "keeper", "bundle", "pyc"))
    told = run_alone(tmp_path / "tree", "import aiconsole.onhost.wire as w; print(w.__file__)")
    assert told.startswith(str(tmp_path))
    package = tmp_path / "other" / "aiconsole"
    shutil.copytree(source._PACKAGE / "onhost", package / "onhost")
    shutil.copy(source._PACKAGE / "__init__.py", package)
    monkeypatch.setattr(source, "_PACKAGE", package)
    assert (await build_layer("code", HOST)).sha256 == built.sha256
    (package / "onhost" / "probe" / "new.py").write_text("x = 1\n")
    assert (await build_layer("code", HOST)).sha256 != built.sha256


def test_old_archives_go_and_used_ones_stay() -> None:
    def put(name: str, age_s: float, size_bytes: int = 100) -> None:
        path = cache.archive_path(name)
        path.write_bytes(b"x" * size_bytes)
        now = path.stat().st_mtime
        os.utime(path, (now - age_s, now - age_s))

    day = 86400.0
    put("ancient", 90 * day)
    put("ancient-in-use", 90 * day)
    put("old", 3 * day)
    put("newer", 2 * day)
    put("fresh", 60.0, 5000)
    assert cache.prune({"ancient-in-use"}, max_bytes=5250, max_age_s=60 * day) == ["ancient", "old"]
    left = {path.name.removesuffix(".tar.gz") for path in cache.directory().glob("*.tar.gz")}
    assert left == {"ancient-in-use", "newer", "fresh"}


async def test_a_build_removes_what_is_old(locks: Path) -> None:
    old = cache.archive_path("0" * 64)
    old.write_bytes(b"x")
    os.utime(old, (0, 0))
    built = await build_layer("probe", HOST)
    assert built.archive.exists()
    assert not present(old)


def present(path: Path) -> bool:
    return path.exists()


async def test_a_cancelled_build_leaves_nothing_behind(
    locks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = tmp_path / "begun"
    os.mkfifo(begun)
    slow = tmp_path / "uv"
    slow.write_text(f"#!/bin/sh\necho $$ > {begun}\nexec sleep 600\n")
    slow.chmod(0o755)
    monkeypatch.setattr("uv.find_uv_bin", lambda: str(slow))
    task = asyncio.create_task(build_layer("probe", HOST))
    pid = int(await asyncio.to_thread(begun.read_text))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not list(cache.directory().iterdir())


async def test_without_uv(locks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> str:
        raise FileNotFoundError("Could not find the uv binary in /x")

    monkeypatch.setattr("uv.find_uv_bin", nowhere)
    with pytest.raises(BundleError) as caught:
        await build_layer("probe", HOST)
    assert caught.value.hint == "pip install uv"


async def test_a_full_disk_is_a_clear_error(locks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(layer, "pack", full)
    with pytest.raises(BundleError) as caught:
        await build_layer("probe", HOST)
    assert "No space left" in caught.value.detail
    assert not list(cache.directory().iterdir())


async def test_progress_is_told_in_plain_words(locks: Path) -> None:
    told: list[str] = []
    await build_layer("probe", HOST, told.append)
    assert told[0] == f"Build the layer probe for {HOST}"
    assert told[-1] == "Pack the layer probe"
    told.clear()
    await build_layer("probe", HOST, told.append)
    assert told == []
