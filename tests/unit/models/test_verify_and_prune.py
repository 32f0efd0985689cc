"""Files that went bad are found, and what nothing needs is removed, nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aiconsole.errors import ModelError
from aiconsole.models.catalogue import Catalogue
from aiconsole.models.find import find_model
from aiconsole.models.prune import leftovers, remove_leftovers
from aiconsole.models.verify import Verified, verify_models
from tests.gguf_files import gguf_bytes, write_gguf
from tests.unit.models.adding import add_file, add_versions, silent


async def verified(catalogue: Catalogue) -> dict[str, Verified]:
    models = catalogue.models()
    return {f.version.sha256: f async for f in verify_models(catalogue, models, silent)}


def damage(path: Path) -> None:
    """Flip a byte in the middle; size and times stay, as when a disk goes bad."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[500_000] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


async def test_all_good(catalogue: Catalogue, home: Path) -> None:
    digests = await add_versions(catalogue, home, "m", 2)
    found = await verified(catalogue)
    assert {d: found[d].version.condition for d in digests} == dict.fromkeys(digests, "good")


async def test_a_flipped_bit_is_found_set_aside_and_never_deployed(
    catalogue: Catalogue, home: Path
) -> None:
    one, two = await add_versions(catalogue, home, "m", 2)
    damage(catalogue.store.held(two))
    # Size and time say nothing: only reading it again does.
    assert find_model(Path("m"))[0] == catalogue.store.held(two)
    found = await verified(catalogue)
    assert (found[one].version.condition, found[two].version.condition) == ("good", "bad")
    assert str(catalogue.store.damaged / f"{two}.gguf") in found[two].detail
    assert not catalogue.store.held(two).exists()
    with pytest.raises(ModelError, match="is damaged") as caught:
        find_model(Path("m"))
    assert "aiconsole models rollback m" in caught.value.hint
    catalogue.make_current("m")
    assert find_model(Path("m"))[0] == catalogue.store.held(one)


async def test_adding_it_anew_heals_it_under_every_name(catalogue: Catalogue, home: Path) -> None:
    path = write_gguf(home / "m.gguf")
    copy = write_gguf(home / "copy.gguf")
    added = await add_file(catalogue, path, name="one")
    await add_file(catalogue, path, name="two")
    damage(added.path)
    assert (await verified(catalogue))[added.version.sha256].version.condition == "bad"
    assert (await add_file(catalogue, copy, name="one")).outcome == "added"
    assert {m.current_version.condition for m in catalogue.models()} == {"good"}
    assert find_model(Path("two"))[0] == added.path


async def test_a_damaged_file_in_the_store_is_replaced_by_adding(
    catalogue: Catalogue, home: Path
) -> None:
    added = await add_file(catalogue, write_gguf(home / "m.gguf"))
    added.path.unlink()
    added.path.write_bytes(b"GGUF but not really")
    again = await add_file(catalogue, home / "m.gguf")
    assert again.path.read_bytes() == gguf_bytes()


async def test_a_file_in_place_that_is_edited(catalogue: Catalogue, home: Path) -> None:
    path = write_gguf(home / "m.gguf")
    await add_file(catalogue, path, in_place=True)
    os.utime(path, ns=(1, 1))
    with pytest.raises(ModelError, match="has changed since it was added"):
        find_model(Path("m"))
    # The bytes are the same: verify takes the new time over.
    (found,) = (await verified(catalogue)).values()
    assert found.version.condition == "good"
    assert find_model(Path("m"))[0] == path
    write_gguf(path, b"other")
    (found,) = (await verified(catalogue)).values()
    assert found.version.condition == "bad"
    assert "yours, and stays" in found.detail
    assert path.exists()


async def test_a_file_that_is_gone(catalogue: Catalogue, home: Path) -> None:
    (digest,) = await add_versions(catalogue, home, "m", 1)
    catalogue.store.held(digest).unlink()
    found = await verified(catalogue)
    assert found[digest].version.condition == "missing"
    with pytest.raises(ModelError, match="is gone"):
        find_model(Path("m"))


async def test_prune_keeps_the_newest_and_the_current_one(catalogue: Catalogue, home: Path) -> None:
    one, two, three, four = await add_versions(catalogue, home, "m", 4)
    (other,) = await add_versions(catalogue, home, "other", 1)
    assert leftovers(catalogue, (), keep=2)[0].frees_bytes == 0, "what is linked frees nothing"
    for number in range(4):
        (home / f"m-{number}.gguf").unlink()
    catalogue.make_current("m", one)
    found = leftovers(catalogue, (), keep=2)
    assert [left.version.sha256 for left in found if left.version] == [two]
    assert found[0].frees_bytes >= len(gguf_bytes())
    assert remove_leftovers(catalogue, found) == [catalogue.store.held(two)]
    assert {v.sha256 for v in catalogue.model("m").versions} == {one, three, four}
    assert catalogue.model("m").current == one
    assert catalogue.store.held(other).exists()
    assert leftovers(catalogue, (), keep=2) == ()


async def test_prune_never_deletes_what_is_not_its_own(catalogue: Catalogue, home: Path) -> None:
    old = write_gguf(home / "old.gguf", b"1")
    shared = write_gguf(home / "shared.gguf", b"2")
    await add_file(catalogue, old, name="m", in_place=True)
    await add_file(catalogue, shared, name="m")
    await add_file(catalogue, shared, name="keeper")
    await add_file(catalogue, write_gguf(home / "new.gguf", b"3"), name="m")
    found = leftovers(catalogue, (), keep=1)
    assert [left.frees_bytes for left in found] == [0, 0]
    assert remove_leftovers(catalogue, found) == []
    assert old.exists()
    assert find_model(Path("keeper"))[0] is not None


async def test_prune_spares_what_became_current_meanwhile(catalogue: Catalogue, home: Path) -> None:
    one, _two, three = await add_versions(catalogue, home, "m", 3)
    found = leftovers(catalogue, (), keep=1)
    catalogue.make_current("m", one)
    remove_leftovers(catalogue, found)
    assert {v.sha256 for v in catalogue.model("m").versions} == {one, three}


async def test_prune_sweeps_what_is_left_over(catalogue: Catalogue, home: Path) -> None:
    (digest,) = await add_versions(catalogue, home, "m", 1)
    store = catalogue.store
    stray = write_gguf(store.files / f"{'a' * 64}.gguf")
    broken = write_gguf(store.damaged / f"{'b' * 64}.gguf")
    fresh, stale = store.incoming / "fresh.part", store.incoming / "stale.part"
    for part in (fresh, stale):
        part.write_bytes(b"GGUF")
        part.with_suffix(".json").write_bytes(b"{}")
    os.utime(stale, (1, 1))
    found = leftovers(catalogue, (), keep=2)
    assert {left.path for left in found} == {stray, broken, stale}
    assert {left.why for left in found} == {"in no model", "damaged", "half a download"}
    assert leftovers(catalogue, ("m",), keep=2) == ()
    assert set(remove_leftovers(catalogue, found)) == {stray, broken, stale}
    assert fresh.exists()
    assert not stale.with_suffix(".json").exists()
    assert store.held(digest).exists()
