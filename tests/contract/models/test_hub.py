"""The hub's own client library against a server that speaks the hub's routes.

The shapes are those that `huggingface_hub` reads: `/api/models/ID[/revision/REV]?blobs=True` lists
the files with their LFS digests, `/ID/resolve/COMMIT/FILE` redirects to where the bytes are, and
the headers X-Error-Code and X-Error-Message say what is wrong.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiconsole.errors import ModelError, NotConfirmedError
from aiconsole.models.add import Added, Choices, add_model
from aiconsole.models.catalogue import Catalogue
from aiconsole.models.source import parse_source
from aiconsole.models.wanted import Patience
from aiconsole.question import Answer, Ask, Question, ask_nobody
from tests.contract.models.file_server import FileServer, Handler, cut_after, serving, status
from tests.gguf_files import gguf_bytes, sha256_of

COMMIT = "a" * 40
TOKEN = "hf_secret_token"
QUICK = Patience(tries=3, idle_s=5.0, pause_s=0.01)


class Hub:
    """A hub with one repository, and the server of its bytes elsewhere."""

    def __init__(self, hub: FileServer, store: FileServer) -> None:
        self.hub, self.store = hub, store
        self.siblings: list[dict[str, Any]] = []
        hub.routes["/api/models/org/repo"] = self._info
        hub.routes["/api/models/org/repo/revision/v1"] = self._info

    def hold(self, path: str, content: bytes, *, sha256: str = "", lfs: bool = True) -> None:
        """Put a file into the repository."""
        sibling: dict[str, Any] = {"rfilename": path, "size": len(content), "blobId": "0" * 40}
        if lfs:
            digest = sha256 or sha256_of(content)
            sibling["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 135}
        self.siblings.append(sibling)
        self.store.files[f"/blobs/{path}"] = content
        self.store.etags[f"/blobs/{path}"] = f'"{sha256_of(content)}"'
        self.hub.routes[f"/org/repo/resolve/{COMMIT}/{path}"] = status(
            302,
            {
                "Location": self.store.url(f"/blobs/{path}?Signature=x"),
                "X-Repo-Commit": COMMIT,
                "X-Linked-Size": str(len(content)),
                "X-Linked-Etag": f'"{sha256_of(content)}"',
            },
        )

    def _info(self, handler: Handler) -> None:
        blobs = handler.query.get("blobs") == ["true"] or handler.query.get("blobs") == ["True"]
        files = self.siblings if blobs else [{"rfilename": s["rfilename"]} for s in self.siblings]
        handler.give_json(
            {
                "_id": "621ffdc036468d709f17434d",
                "id": "org/repo",
                "modelId": "org/repo",
                "author": "org",
                "sha": COMMIT,
                "lastModified": "2025-01-01T00:00:00.000Z",
                "createdAt": "2024-01-01T00:00:00.000Z",
                "private": False,
                "gated": False,
                "disabled": False,
                "downloads": 7,
                "likes": 1,
                "tags": ["gguf", "license:apache-2.0"],
                "siblings": files,
                "spaces": [],
            }
        )


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving() as front, serving() as store:
        monkeypatch.setenv("HF_ENDPOINT", front.url(""))
        yield Hub(front, store)


async def add(catalogue: Catalogue, text: str, ask: Ask = ask_nobody, **choices: Any) -> Added:
    return await add_model(
        catalogue, parse_source(text), Choices(**choices), lambda *_: None, ask=ask,
        patience=QUICK,
    )  # fmt: skip


async def test_the_only_file_is_taken(catalogue: Catalogue, hub: Hub) -> None:
    hub.hold("README.md", b"# hello", lfs=False)
    hub.hold("tiny.Q8_0.gguf", gguf_bytes(b"hub"))
    added = await add(catalogue, "hf:org/repo")
    assert added.name == "tiny.Q8_0"
    assert added.path.read_bytes() == gguf_bytes(b"hub")
    assert added.version.source == f"hf:org/repo/tiny.Q8_0.gguf@{COMMIT}"
    assert added.notes == ("asked the hub anonymously",)
    assert all("authorization" not in asked.headers for asked in hub.hub.asked)


async def test_the_token_goes_to_the_hub_and_nowhere_else(
    catalogue: Catalogue, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.hold("tiny.gguf", gguf_bytes())
    added = await add(catalogue, "hf:org/repo")
    assert added.notes == ("asked the hub with the token of this machine",)
    assert {a.headers.get("authorization") for a in hub.hub.asked} == {f"Bearer {TOKEN}"}
    assert len(hub.hub.asked) == 2
    assert hub.store.asked
    assert all("authorization" not in asked.headers for asked in hub.store.asked)
    kept = (catalogue.store.directory / "catalogue.json").read_text()
    assert TOKEN not in kept
    assert "Signature" not in kept


async def test_what_is_held_is_not_fetched_again(catalogue: Catalogue, hub: Hub) -> None:
    hub.hold("tiny.gguf", gguf_bytes())
    first = await add(catalogue, "hf:org/repo")
    hub.store.asked.clear()
    again = await add(catalogue, "hf:org/repo", name="second")
    assert (again.placed, again.path) == ("held", first.path)
    assert hub.store.asked == []
    # Damaged as it is now, it is fetched all the same.
    first.path.write_bytes(gguf_bytes()[:-1] + b"!")
    healed = await add(catalogue, "hf:org/repo", name="second")
    assert healed.path.read_bytes() == gguf_bytes()
    assert len(hub.store.asked) == 1


async def test_a_revision(catalogue: Catalogue, hub: Hub) -> None:
    hub.hold("tiny.gguf", gguf_bytes())
    assert (await add(catalogue, "hf:org/repo/tiny.gguf@v1")).outcome == "added"
    assert hub.hub.asked[0].path.startswith("/api/models/org/repo/revision/v1?")


async def test_a_cut_is_gone_on_from_by_a_new_link(catalogue: Catalogue, hub: Hub) -> None:
    hub.hold("tiny.gguf", gguf_bytes())
    hub.store.script = [cut_after(300_000)]
    assert (await add(catalogue, "hf:org/repo")).path.read_bytes() == gguf_bytes()
    assert hub.store.ranges() == ["", "bytes=300000-"]
    assert len(hub.hub.asked) == 3, "the link is asked for anew"


async def test_of_several_files_the_operator_chooses(catalogue: Catalogue, hub: Hub) -> None:
    hub.hold("m.Q4_K_M.gguf", gguf_bytes(b"4"))
    hub.hold("m.Q8_0.gguf", gguf_bytes(b"8"))
    hub.hold("mmproj-m.gguf", gguf_bytes(b"eyes"))
    asked: list[Question] = []

    async def second(question: Question) -> Answer:
        asked.append(question)
        return question.choices[1]

    added = await add(catalogue, "hf:org/repo", second)
    assert added.name == "m.Q8_0"
    assert added.path.read_bytes() == gguf_bytes(b"8")
    assert [choice.split()[0] for choice in asked[0].choices] == ["m.Q4_K_M.gguf", "m.Q8_0.gguf"]
    assert "1.01 MB" in asked[0].choices[0]


async def test_without_anybody_to_ask_they_are_listed(catalogue: Catalogue, hub: Hub) -> None:
    hub.hold("m.Q4_K_M.gguf", gguf_bytes(b"4"))
    hub.hold("m.\x1b[2J.gguf", gguf_bytes(b"8"))
    with pytest.raises(NotConfirmedError, match="2 GGUF files") as caught:
        await add(catalogue, "hf:org/repo")
    assert "m.Q4_K_M.gguf  1.01 MB" in caught.value.detail
    assert "\x1b" not in str(caught.value)
    assert (await add(catalogue, "hf:org/repo/m.Q4_K_M.gguf")).name == "m.Q4_K_M"


async def test_a_model_in_parts_is_refused(catalogue: Catalogue, hub: Hub) -> None:
    for number in (1, 2, 3):
        hub.hold(f"big/m-{number:05}-of-00003.gguf", gguf_bytes(b"%d" % number))
    for text in ("hf:org/repo", "hf:org/repo/big/m-00001-of-00003.gguf"):
        with pytest.raises(ModelError, match="split into parts") as caught:
            await add(catalogue, text)
        assert "the first of 3, 3.03 MB together" in caught.value.detail
        assert "llama-gguf-split --merge" in caught.value.hint
    assert hub.store.asked == []


async def test_no_model_in_it(catalogue: Catalogue, hub: Hub) -> None:
    hub.hold("model.safetensors", b"x")
    with pytest.raises(ModelError, match="has no whole GGUF file"):
        await add(catalogue, "hf:org/repo")
    with pytest.raises(ModelError, match=r"has no x\.gguf"):
        await add(catalogue, "hf:org/repo/x.gguf")


async def test_the_hubs_digest_is_checked(catalogue: Catalogue, hub: Hub) -> None:
    hub.hold("tiny.gguf", gguf_bytes(), sha256="b" * 64)
    with pytest.raises(ModelError, match="not the file that it should be") as caught:
        await add(catalogue, "hf:org/repo")
    assert "b" * 64 in caught.value.detail
    assert catalogue.models() == ()
    with pytest.raises(ModelError, match="another file than the one you want"):
        await add(catalogue, "hf:org/repo", sha256="c" * 64)


async def test_another_size_than_the_hub_says(catalogue: Catalogue, hub: Hub) -> None:
    hub.hold("tiny.gguf", gguf_bytes())
    hub.store.files["/blobs/tiny.gguf"] = gguf_bytes(b"longer")
    with pytest.raises(ModelError, match="another size"):
        await add(catalogue, "hf:org/repo")


@pytest.mark.parametrize(
    ("code", "headers", "title"),
    [
        (404, {"X-Error-Code": "RepoNotFound"}, "shows no repository"),
        (401, {"X-Error-Message": "Invalid username or password."}, "does not let this machine"),
        (403, {}, "does not let this machine"),
        (403, {"X-Error-Code": "GatedRepo"}, "its terms were accepted"),
        (404, {"X-Error-Code": "RevisionNotFound"}, "has no revision"),
        (403, {"X-Error-Message": "Access to this resource is disabled."}, "has disabled"),
        (429, {}, "cannot be asked"),
        (500, {"X-Error-Message": "\x1b[31mboom"}, "cannot be asked"),
    ],
)
async def test_what_the_hub_refuses(
    catalogue: Catalogue, hub: Hub, code: int, headers: dict[str, str], title: str
) -> None:
    for path in ("/api/models/org/repo", "/api/models/org/repo/revision/v1"):
        hub.hub.routes[path] = status(code, headers)
    with pytest.raises(ModelError, match=title) as caught:
        await add(catalogue, "hf:org/repo@v1")
    assert "without a token" in caught.value.detail
    assert "\x1b" not in str(caught.value)


async def test_a_hub_that_answers_nonsense(catalogue: Catalogue, hub: Hub) -> None:
    hub.hub.routes["/api/models/org/repo"] = status(200, {}, b"<html>proxy login</html>")
    with pytest.raises(ModelError, match="cannot be read"):
        await add(catalogue, "hf:org/repo")
    hub.hub.routes["/api/models/org/repo"] = lambda handler: handler.give_json([1])
    with pytest.raises(ModelError, match="cannot be read"):
        await add(catalogue, "hf:org/repo")


async def test_a_hub_out_of_reach(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as gone:
        monkeypatch.setenv("HF_ENDPOINT", gone.url(""))
    with pytest.raises(ModelError, match="cannot be asked") as caught:
        await add(catalogue, "hf:org/repo")
    assert "HF_ENDPOINT" in caught.value.hint


def test_the_command_fetches_from_the_hub(hub: Hub, home: Path) -> None:
    hub.hold("tiny.gguf", gguf_bytes(b"command"))
    done = subprocess.run(
        [sys.executable, "-m", "aiconsole", "models", "add", "hf:org/repo", "--json"],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, "HF_TOKEN": TOKEN, "PYTHONPATH": str(Path(__file__).parents[3])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["name"] == "tiny"
    assert document["notes"] == ["asked the hub with the token of this machine"]
    assert document["sha256"] == sha256_of(gguf_bytes(b"command"))
    assert TOKEN not in done.stdout + done.stderr
