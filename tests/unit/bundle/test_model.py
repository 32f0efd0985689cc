"""A model file is looked at before anything is sent."""

import asyncio
import os
from pathlib import Path
from typing import Any

import gguf as reference
import numpy as np
import pytest

from aiconsole.bundle import digest
from aiconsole.bundle.builtin import BUILTIN, inspect_builtin
from aiconsole.bundle.model import inspect_model
from aiconsole.errors import ModelError


async def test_the_built_in_model_is_the_recorded_one() -> None:
    model = await inspect_builtin()
    assert (model.name, model.size_bytes, model.sha256) == (
        "builtin",
        BUILTIN.path.stat().st_size,
        BUILTIN.sha256,
    )
    assert model.size_bytes == BUILTIN.size_bytes <= 2_000_000
    assert model.architecture == "llama"
    assert model.context_tokens == 2048
    assert model.kv_bytes_per_token == 4 * 2 * (32 + 32) * 2
    assert model.memory_bytes(2048) - model.memory_bytes(0) == 2048 * model.kv_bytes_per_token


async def test_a_name_comes_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "Some Model.Q8.gguf"
    path.write_bytes(BUILTIN.path.read_bytes())
    assert (await inspect_model(path)).name == "Some Model.Q8"
    assert (await inspect_model(path, name="chosen")).name == "chosen"


async def test_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        await inspect_model(tmp_path / "none.gguf")
    assert caught.value.title == "There is no such model file"
    assert str(tmp_path / "none.gguf") in caught.value.detail


async def test_a_home_directory_that_is_none() -> None:
    with pytest.raises(ModelError, match="no such model file"):
        await inspect_model(Path("~no-such-user/x.gguf"))


async def test_directory_and_pipe(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is a directory"):
        await inspect_model(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelError, match="not an ordinary file"):
        await inspect_model(tmp_path / "pipe")


async def test_truncated_and_not_a_gguf(tmp_path: Path) -> None:
    whole = BUILTIN.path.read_bytes()
    path = tmp_path / "x.gguf"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="is not complete") as cut:
        await inspect_model(path)
    assert f"{len(whole) // 2} of " in cut.value.detail
    path.write_bytes(b"PK\x03\x04" + whole[4:])
    with pytest.raises(ModelError, match="is not a GGUF model"):
        await inspect_model(path)
    path.write_bytes(b"")
    with pytest.raises(ModelError, match="is not a GGUF model"):
        await inspect_model(path)


@pytest.mark.parametrize(
    ("architecture", "kind"), [("clip", "model"), ("clip", ""), ("llama", "adapter")]
)
async def test_what_only_goes_with_a_model(tmp_path: Path, architecture: str, kind: str) -> None:
    writer = reference.GGUFWriter(tmp_path / "x.gguf", architecture)
    if kind:
        writer.add_type(kind)
    writer.add_tensor("v.weight", np.ones((4, 32), dtype=np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ModelError, match="no model by itself"):
        await inspect_model(tmp_path / "x.gguf")


async def test_another_digest(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(BUILTIN.path.read_bytes())
    with pytest.raises(ModelError, match="is not the file that it should be"):
        await inspect_model(path, expected_sha256="0" * 64)


async def test_a_digest_is_not_computed_twice_but_for_a_changed_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    original = digest._digest

    def counted(path: Path, *others: Any) -> str:
        read.append(path)
        return original(path, *others)

    monkeypatch.setattr(digest, "_digest", counted)
    path = tmp_path / "x"
    path.write_bytes(b"one")
    first = await digest.file_sha256(path)
    assert await digest.file_sha256(path) == first
    assert len(read) == 1
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert await digest.file_sha256(path) != first
    assert len(read) == 2


async def test_a_damaged_memory_of_digests_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"one")
    first = await digest.file_sha256(path)
    digest._file().write_bytes(b"[1, 2")
    assert await digest.file_sha256(path) == first


async def test_progress_and_cancellation(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    seen: list[tuple[int, int]] = []
    begun = asyncio.Event()

    def progress(done_bytes: int, total_bytes: int) -> None:
        seen.append((done_bytes, total_bytes))
        begun.set()

    task = asyncio.create_task(digest.file_sha256(path, progress))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen[0][0] > 0
    assert seen[0][1] == 1 << 30
    assert str(path) not in digest._load()
