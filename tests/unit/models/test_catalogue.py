"""What the catalogue keeps, and what it gives back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aiconsole.bundle import digest
from aiconsole.errors import BusyError, ModelError, RefusedError
from aiconsole.models import index, store
from aiconsole.models.catalogue import Catalogue
from tests.gguf_files import gguf_bytes, sha256_of, write_gguf
from tests.unit.models.adding import add_file, add_versions


async def test_a_file_is_held_by_its_digest(catalogue: Catalogue, home: Path) -> None:
    path = write_gguf(home / "Some Model.Q8.gguf", b"x")
    added = await add_file(catalogue, path)
    assert (added.name, added.outcome) == ("Some-Model.Q8", "added")
    assert added.path == home / f"data/aiconsole/models/files/{added.version.sha256}.gguf"
    assert added.path.read_bytes() == gguf_bytes(b"x")
    version = Catalogue().model("Some-Model.Q8").current_version
    assert version.sha256 == sha256_of(gguf_bytes(b"x"))
    assert (version.architecture, version.quantisation) == ("llama", "Q8_0")
    assert (version.parameters, version.context_tokens) == (918656, 2048)
    assert version.source == str(path)


async def test_the_file_may_go_after_it_was_added(catalogue: Catalogue, home: Path) -> None:
    path = write_gguf(home / "m.gguf")
    added = await add_file(catalogue, path)
    path.unlink()
    assert added.path.read_bytes() == gguf_bytes()


async def test_the_first_deploy_need_not_read_it_again(
    catalogue: Catalogue, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = await add_file(catalogue, write_gguf(home / "m.gguf"))
    monkeypatch.setattr(digest, "_digest", lambda *_: pytest.fail("it was read again"))
    assert await digest.file_sha256(added.path) == added.version.sha256


async def test_a_copy_is_compared(
    catalogue: Catalogue, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on another filesystem, which neither shares blocks nor links.
    monkeypatch.setattr(store, "_share", lambda *_: False)
    monkeypatch.setattr(store, "_link", lambda *_: False)
    path = write_gguf(home / "m.gguf")
    added = await add_file(catalogue, path)
    assert added.placed == "copied"
    assert not added.path.samefile(path)
    assert added.path.read_bytes() == path.read_bytes()
    with pytest.raises(ModelError, match="copy differs"):
        await catalogue.store.bring(path, "0" * 64, lambda *_: None)
    assert list(catalogue.store.incoming.iterdir()) == []


async def test_in_place_nothing_is_copied(catalogue: Catalogue, home: Path) -> None:
    path = write_gguf(home / "m.gguf")
    added = await add_file(catalogue, path, in_place=True)
    assert (added.path, added.placed) == (path, "in-place")
    assert list(catalogue.store.files.iterdir()) == []
    deleted, kept = catalogue.drop("m", {added.version.sha256})
    assert (deleted, kept) == ([], [path])
    assert path.exists()
    assert catalogue.models() == ()


async def test_adding_again_changes_nothing_or_comes_back(catalogue: Catalogue, home: Path) -> None:
    old = write_gguf(home / "a.gguf", b"1")
    new = write_gguf(home / "b.gguf", b"2")
    assert (await add_file(catalogue, old, name="m")).outcome == "added"
    assert (await add_file(catalogue, old, name="m")).outcome == "unchanged"
    assert (await add_file(catalogue, new, name="m")).outcome == "added"
    assert (await add_file(catalogue, old, name="m")).outcome == "current again"
    model = catalogue.model("m")
    assert len(model.versions) == 2
    assert model.current == sha256_of(gguf_bytes(b"1"))


async def test_two_names_share_a_file_until_the_last_goes(catalogue: Catalogue, home: Path) -> None:
    path = write_gguf(home / "m.gguf")
    first = await add_file(catalogue, path, name="one")
    second = await add_file(catalogue, path, name="two")
    assert second.placed == "held"
    assert second.path == first.path
    assert catalogue.drop("one", {first.version.sha256})[0] == []
    assert first.path.exists()
    assert catalogue.drop("two", {first.version.sha256})[0] == [first.path]
    assert not first.path.exists()


@pytest.mark.parametrize(
    "name", ["", "a/b", "a@b", "-x", "x" * 101, "a b", "\x1b[2J", "builtin", "é", "a\n"]
)
async def test_names_that_are_not_taken(catalogue: Catalogue, home: Path, name: str) -> None:
    from aiconsole.models.version import check_name

    with pytest.raises(RefusedError):
        check_name(name)


async def test_what_is_no_model_is_refused_and_leaves_nothing(
    catalogue: Catalogue, home: Path
) -> None:
    (home / "page.gguf").write_bytes(b"<!DOCTYPE html>" * 10)
    (home / "cut.gguf").write_bytes(gguf_bytes()[:5000])
    for name in ("page.gguf", "cut.gguf", "none.gguf", "."):
        with pytest.raises(ModelError):
            await add_file(catalogue, home / name, name="m")
    with pytest.raises(ModelError, match="not the file that it should be"):
        await add_file(catalogue, write_gguf(home / "m.gguf"), sha256="0" * 64)
    assert catalogue.models() == ()
    assert list(catalogue.store.files.iterdir()) == list(catalogue.store.incoming.iterdir()) == []


async def test_rollback_goes_back_one_by_one(catalogue: Catalogue, home: Path) -> None:
    one, two, three = await add_versions(catalogue, home, "m", 3)
    assert [v.sha256 for v in catalogue.make_current("m")] == [three, two]
    assert [v.sha256 for v in catalogue.make_current("m")] == [two, one]
    with pytest.raises(RefusedError, match="no version before"):
        catalogue.make_current("m")
    assert catalogue.make_current("m", three[:12])[1].sha256 == three
    assert Catalogue().model("m").current == three
    with pytest.raises(RefusedError, match="no version"):
        catalogue.make_current("m", "zzzz")


async def test_rollback_to_a_file_that_is_gone_is_refused(catalogue: Catalogue, home: Path) -> None:
    one, two = await add_versions(catalogue, home, "m", 2)
    catalogue.store.held(one).unlink()
    with pytest.raises(ModelError, match="is gone"):
        catalogue.make_current("m")
    assert catalogue.model("m").current == two


def test_an_unknown_name_suggests_what_is_close(catalogue: Catalogue) -> None:
    with pytest.raises(RefusedError, match="There is no model") as caught:
        catalogue.model("tiny")
    assert caught.value.detail == ""


ADD_MANY = """
import asyncio, sys
from pathlib import Path
from aiconsole.models.catalogue import Catalogue
from tests.unit.models.adding import add_file

async def main():
    for number in range(int(sys.argv[2])):
        await add_file(Catalogue(), Path(sys.argv[3]), name=f"{sys.argv[1]}{number}")

asyncio.run(main())
"""


def test_two_consoles_lose_nothing_of_each_other(home: Path) -> None:
    root = Path(__file__).parents[3]
    env = {**os.environ, "PYTHONPATH": str(root)}
    consoles = [
        subprocess.Popen(
            [sys.executable, "-c", ADD_MANY, name, "12", str(write_gguf(home / f"{name}.gguf"))],
            env=env,
        )
        for name in ("left", "right", "third")
    ]
    assert [console.wait(120) for console in consoles] == [0, 0, 0]
    names = {model.name for model in Catalogue().models()}
    assert names == {f"{name}{n}" for name in ("left", "right", "third") for n in range(12)}


async def test_a_lock_that_is_held_too_long_is_told(
    catalogue: Catalogue, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_versions(catalogue, home, "m", 2)
    monkeypatch.setattr(index, "_LOCK_WAIT_S", 0.2)
    with catalogue._index.change(), pytest.raises(BusyError, match="in use"):
        Catalogue().make_current("m")
    assert len(catalogue.models()) == 1


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe\x00",
        b'{"models": {}}',
        b"[" * 99_999,
        b'{"format": 1, "models": {"m": 1}}',
    ],
)
async def test_a_damaged_index_is_set_aside_and_made_anew(
    catalogue: Catalogue, home: Path, damage: bytes
) -> None:
    one, two = await add_versions(catalogue, home, "m", 2)
    file = catalogue.store.directory / "catalogue.json"
    file.write_bytes(damage)
    again = Catalogue()
    names = {v.sha256 for model in again.models() for v in model.versions}
    assert names == {one, two}
    # The last copy has the name; the version added after it is found as a file.
    assert again.model("m").current == one
    (note,) = again.notes
    aside = next(catalogue.store.directory.glob("catalogue.damaged-*.json"))
    assert str(aside) in note
    assert aside.read_bytes() == damage
    assert Catalogue().notes == []
    assert len(Catalogue().models()) == 2


async def test_without_any_copy_the_files_name_their_models(
    catalogue: Catalogue, home: Path
) -> None:
    (digest,) = await add_versions(catalogue, home, "m", 1)
    for file in catalogue.store.directory.glob("catalogue*.json"):
        file.write_bytes(b"\x00")
    (model,) = Catalogue().models()
    assert (model.name, model.current) == ("aiconsole-builtin", digest)


async def test_the_index_of_a_newer_console_is_left_alone(catalogue: Catalogue, home: Path) -> None:
    file = catalogue.store.directory / "catalogue.json"
    await add_versions(catalogue, home, "m", 1)
    newer = json.dumps({**json.loads(file.read_bytes()), "format": 99}).encode()
    file.write_bytes(newer)
    with pytest.raises(ModelError, match="another version of aiconsole"):
        Catalogue().models()
    with pytest.raises(ModelError, match="another version of aiconsole"):
        await add_file(catalogue, home / "m-0.gguf")
    assert file.read_bytes() == newer


def test_an_index_cannot_point_out_of_the_store(catalogue: Catalogue) -> None:
    catalogue.make()
    version = {"sha256": "../../x", "size_bytes": 1, "source": "", "added_unix_s": 1}
    document = {"format": 1, "models": {"m": {"current": "", "versions": [version]}}}
    (catalogue.store.directory / "catalogue.json").write_text(json.dumps(document))
    assert catalogue.models() == ()
    assert "was damaged" in catalogue.notes[0]


def test_looking_makes_no_directory(home: Path) -> None:
    assert Catalogue().models() == ()
    assert not (home / "data/aiconsole/models").exists()


async def test_a_directory_that_cannot_be_made(catalogue: Catalogue, home: Path) -> None:
    (home / "data/aiconsole").mkdir(parents=True, exist_ok=True)
    (home / "data/aiconsole/models").touch()
    with pytest.raises(ModelError, match="cannot be used") as caught:
        await add_file(catalogue, write_gguf(home / "m.gguf"))
    assert "data/aiconsole/models" in caught.value.detail
