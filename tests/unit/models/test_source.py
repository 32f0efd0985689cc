"""What an operator may write for a model, and what `--model` means."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiconsole.bundle.builtin import BUILTIN
from aiconsole.errors import ModelError, RefusedError
from aiconsole.models.catalogue import Catalogue
from aiconsole.models.find import find_model, model_names
from aiconsole.models.source import FileSource, HubSource, UrlSource, parse_source, shown_url
from aiconsole.models.version import name_from
from tests.gguf_files import write_gguf
from tests.unit.models.adding import add_file, add_versions


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("x.gguf", FileSource(Path("x.gguf"))),
        ("hf:a/b", HubSource("a/b")),
        ("hf:a/b@main", HubSource("a/b", "", "main")),
        ("hf:a/b@refs/pr/1", HubSource("a/b", "", "refs/pr/1")),
        ("hf:a/b/x.gguf", HubSource("a/b", "x.gguf")),
        ("hf:a/b/sub/x.gguf@v1", HubSource("a/b", "sub/x.gguf", "v1")),
        ("https://h/x.gguf", UrlSource("https://h/x.gguf")),
        ("HTTP://h:81/x?a=b", UrlSource("HTTP://h:81/x?a=b")),
    ],
)
def test_sources(text: str, source: object) -> None:
    assert parse_source(text) == source


@pytest.mark.parametrize(
    "text",
    [
        "", "~no-such-user/x",
        "hf:", "hf:a", "hf:a/", "hf:a/b/../c", "hf:a/b//c", "hf:-/b", "hf:a/\x1b",
        "ftp://h/x", "file:///etc/passwd", "https:///x", "https://h:99999/x", "https://h/a b",
        "https://h/\x1b[2J", "https://[::1/x",
    ],
)  # fmt: skip
def test_what_is_no_source(text: str) -> None:
    with pytest.raises(RefusedError):
        parse_source(text)


@pytest.mark.parametrize("url", ["https://me:hunter2@h/x", "https://hunter2@h/x"])
def test_credentials_in_an_address_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(RefusedError, match="credentials") as caught:
        parse_source(url)
    assert "hunter2" not in str(caught.value.as_json())


def test_a_signature_is_not_kept() -> None:
    assert shown_url("https://h/x.gguf?X-Amz-Signature=abc") == "https://h/x.gguf?…"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Llama 3 (8B)", "Llama-3-8B"),
        ("\x1b[2J", "2J"),
        ("", "model"),
        ("...", "model"),
        ("builtin", "model"),
        ("a" * 300, "a" * 100),
        ("модель", "model"),
    ],
)
def test_names_out_of_any_text(text: str, name: str) -> None:
    assert name_from(text) == name


async def test_what_a_deploy_takes(catalogue: Catalogue, home: Path) -> None:
    one, two = await add_versions(catalogue, home, "tiny", 2)
    held = catalogue.store.held
    assert find_model(None) == (None, "")
    assert find_model(None, "chosen") == (None, "chosen")
    assert find_model(Path("builtin")) == (BUILTIN.path, "builtin")
    assert find_model(Path("tiny")) == (held(two), "tiny")
    assert find_model(Path("tiny"), "chosen") == (held(two), "chosen")
    assert find_model(Path(f"tiny@{one[:8]}")) == (held(one), "tiny")
    assert find_model(Path("tiny-0.gguf")) == (Path("tiny-0.gguf"), "")
    assert find_model(Path("/no/such")) == (Path("/no/such"), "")
    assert find_model(Path("no-such.gguf")) == (Path("no-such.gguf"), "")
    with pytest.raises(RefusedError, match="no version"):
        find_model(Path("tiny@ffffffffffff"))


async def test_a_mistyped_name_suggests_what_is_close(catalogue: Catalogue, home: Path) -> None:
    await add_versions(catalogue, home, "mistral", 1)
    with pytest.raises(ModelError, match="There is no model mistrl") as caught:
        find_model(Path("mistrl"))
    assert "close to it: mistral" in caught.value.detail


async def test_a_name_that_is_a_file_too_is_not_guessed(catalogue: Catalogue, home: Path) -> None:
    await add_file(catalogue, write_gguf(home / "tiny"), name="tiny")
    with pytest.raises(RefusedError, match="a file here too") as caught:
        find_model(Path("tiny"))
    path = home / "tiny"
    assert str(path) in caught.value.hint
    assert find_model(path) == (path, "")


async def test_names_for_completion(catalogue: Catalogue, home: Path) -> None:
    await add_versions(catalogue, home, "bright", 1)
    assert model_names("b") == ("bright", "builtin")
    assert model_names("br") == ("bright",)
    assert model_names("./b") == ()
    (catalogue.store.directory / "catalogue.json").write_text('{"format": 9, "models": {}}')
    assert model_names("b") == ("builtin",)
