"""Downloads from a real HTTP server that cuts, lies, changes its mind, and says no."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aiconsole.errors import AiconsoleError, BusyError, ModelError, RefusedError
from aiconsole.models import store
from aiconsole.models.add import Added, Choices, add_model
from aiconsole.models.catalogue import Catalogue
from aiconsole.models.source import UrlSource
from aiconsole.models.wanted import Patience
from tests.contract.models.file_server import FileServer, Handler, cut_after, serving, status
from tests.gguf_files import gguf_bytes, sha256_of

PATH = "/models/tiny.gguf"
CONTENT = gguf_bytes(b"served")
QUICK = Patience(tries=3, idle_s=5.0, pause_s=0.01)
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as server:
        server.files[PATH] = CONTENT
        server.etags[PATH] = '"one"'
        yield server


async def add(
    catalogue: Catalogue, server: FileServer, patience: Patience = QUICK, **choices: Any
) -> Added:
    url = server.url(choices.pop("path", PATH))
    return await add_model(
        catalogue, UrlSource(url), Choices(**choices), lambda *_: None, patience=patience
    )


async def fault(
    catalogue: Catalogue, server: FileServer, patience: Patience = QUICK, **choices: Any
) -> AiconsoleError:
    """The error that adding ends with; the catalogue has nothing then."""
    with pytest.raises(AiconsoleError) as caught:
        await add(catalogue, server, patience, **choices)
    assert catalogue.models() == ()
    assert list(catalogue.store.files.glob("*")) == []
    return caught.value


def parts(catalogue: Catalogue) -> list[int]:
    """Sizes of what is kept of downloads."""
    return [path.stat().st_size for path in catalogue.store.incoming.glob("*.part")]


async def until(seen: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not seen():  # noqa: ASYNC110 - a thread and a disk cannot set an event
            await asyncio.sleep(0.01)


async def test_a_whole_file(catalogue: Catalogue, server: FileServer) -> None:
    seen: list[tuple[str, int, int]] = []
    added = await add_model(
        catalogue, UrlSource(server.url(PATH)), Choices(), lambda *said: seen.append(said)
    )
    assert (added.name, added.placed) == ("tiny", "moved")
    assert added.path.read_bytes() == CONTENT
    assert added.version.source == server.url(PATH)
    assert ("Download", len(CONTENT), len(CONTENT)) in seen
    assert server.asked[0].headers["accept-encoding"] == "identity"
    assert list(catalogue.store.incoming.glob("*.part")) == []
    assert list(catalogue.store.incoming.glob("*.json")) == []


async def test_a_cut_is_gone_on_from(catalogue: Catalogue, server: FileServer) -> None:
    server.script = [cut_after(300_000), cut_after(200_000)]
    added = await add(catalogue, server)
    assert added.path.read_bytes() == CONTENT
    assert server.ranges() == ["", "bytes=300000-", "bytes=500000-"]
    assert server.asked[1].headers["if-range"] == '"one"'


async def test_a_later_run_goes_on(catalogue: Catalogue, server: FileServer) -> None:
    server.script = [cut_after(400_000), *[status(503)] * 3]
    error = await fault(catalogue, server)
    assert "did not come to its end" in error.title
    assert "400 kB are kept" in error.hint
    assert parts(catalogue) == [400_000]
    server.asked.clear()
    assert (await add(Catalogue(), server)).path.read_bytes() == CONTENT
    assert server.ranges() == ["bytes=400000-"]


async def test_a_file_that_changed_in_between_begins_anew(
    catalogue: Catalogue, server: FileServer
) -> None:
    changed = gguf_bytes(b"other")

    def change(handler: Handler) -> None:
        server.files[PATH], server.etags[PATH] = changed, '"two"'
        handler.give_file()

    server.script = [cut_after(300_000), change]
    added = await add(catalogue, server)
    assert added.path.read_bytes() == changed
    assert server.asked[1].headers["range"] == "bytes=300000-"


async def test_without_a_name_of_its_bytes_nothing_is_joined(
    catalogue: Catalogue, server: FileServer
) -> None:
    server.etags.clear()
    server.script = [cut_after(300_000)]
    assert (await add(catalogue, server)).path.read_bytes() == CONTENT
    assert server.ranges() == ["", ""]


async def test_a_weak_etag_names_no_bytes(catalogue: Catalogue, server: FileServer) -> None:
    server.etags[PATH] = 'W/"one"'
    server.script = [cut_after(300_000)]
    assert (await add(catalogue, server)).path.read_bytes() == CONTENT
    assert server.ranges() == ["", ""]


@pytest.mark.parametrize("etag", ['"\xe9"', '"' + "x" * 5000 + '"'])
async def test_an_etag_that_cannot_be_sent_back(
    catalogue: Catalogue, server: FileServer, etag: str
) -> None:
    server.etags[PATH] = etag
    server.script = [cut_after(300_000)]
    assert (await add(catalogue, server)).path.read_bytes() == CONTENT
    assert server.ranges() == ["", ""]


@pytest.mark.parametrize("total", ["9" * 5000, "-1", "x", ""])
async def test_numbers_that_are_none(catalogue: Catalogue, server: FileServer, total: str) -> None:
    head = {"Content-Range": f"bytes 300000-{len(CONTENT) - 1}/{total}", "ETag": '"one"'}
    server.script = [cut_after(300_000), status(206, head, CONTENT[300_000:]),
                     status(416, {"Content-Range": f"bytes */{total}"})]  # fmt: skip
    assert (await add(catalogue, server)).path.read_bytes() == CONTENT


async def test_with_a_digest_it_goes_on_all_the_same(
    catalogue: Catalogue, server: FileServer
) -> None:
    server.etags.clear()
    server.script = [cut_after(300_000)]
    added = await add(catalogue, server, sha256=sha256_of(CONTENT))
    assert added.path.read_bytes() == CONTENT
    assert server.ranges() == ["", "bytes=300000-"]


async def test_a_server_that_ignores_ranges(catalogue: Catalogue, server: FileServer) -> None:
    server.script = [
        cut_after(300_000),
        lambda handler: handler.give(200, CONTENT, {"ETag": '"one"'}),
    ]
    assert (await add(catalogue, server)).path.read_bytes() == CONTENT


async def test_a_server_that_sends_another_piece(catalogue: Catalogue, server: FileServer) -> None:
    wrong = {"Content-Range": f"bytes 5-{len(CONTENT) - 1}/{len(CONTENT)}", "ETag": '"one"'}
    server.script = [cut_after(300_000), status(206, wrong, CONTENT[5:])]
    assert (await add(catalogue, server)).path.read_bytes() == CONTENT
    assert server.ranges() == ["", "bytes=300000-", ""]


async def test_a_length_that_is_a_lie(catalogue: Catalogue, server: FileServer) -> None:
    def more_than_there_is(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(CONTENT) + 1000))
        handler.end_headers()
        handler.wfile.write(CONTENT)
        handler.cut()

    server.script = [more_than_there_is] * 10
    error = await fault(catalogue, server)
    assert "did not come to its end" in error.title

    def less_than_there_is(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "5000")
        handler.end_headers()
        handler.wfile.write(CONTENT)
        handler.cut()

    server.script = [less_than_there_is]
    error = await fault(catalogue, server)
    assert error.title == "tiny is not complete"
    assert parts(catalogue) == [], "what is whole and wrong is not kept"


async def test_without_a_length(catalogue: Catalogue, server: FileServer) -> None:
    def chunked(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for at in range(0, len(CONTENT), 100_000):
            block = CONTENT[at : at + 100_000]
            handler.wfile.write(b"%x\r\n" % len(block) + block + b"\r\n")
        handler.wfile.write(b"0\r\n\r\n")

    server.script = [chunked]
    assert (await add(catalogue, server)).path.read_bytes() == CONTENT


async def test_a_web_page_is_refused_before_it_is_read(
    catalogue: Catalogue, server: FileServer
) -> None:
    server.script = [status(200, {"Content-Type": "text/html; charset=utf-8"}, b"<html>")]
    error = await fault(catalogue, server)
    assert "leads to a web page" in error.title
    server.script = [status(200, {"Content-Type": "model/gguf"}, b"\x1b[2J<html>" * 9)]
    error = await fault(catalogue, server)
    assert "not a GGUF model" in error.title
    assert "\x1b" not in error.detail
    assert "\\x1b[2J<html>" in error.detail
    assert parts(catalogue) == []


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 451])
async def test_a_clear_no_is_not_asked_twice(
    catalogue: Catalogue, server: FileServer, code: int
) -> None:
    server.script = [status(code)]
    error = await fault(catalogue, server)
    assert f"answered {code}" in error.title
    assert len(server.asked) == 1


@pytest.mark.parametrize("code", [429, 500, 502, 503])
async def test_a_busy_server_is_asked_again(
    catalogue: Catalogue, server: FileServer, code: int
) -> None:
    server.script = [status(code), status(code)]
    assert (await add(catalogue, server)).path.read_bytes() == CONTENT
    server.script = [status(code)] * 10
    with pytest.raises(ModelError, match="did not come to its end") as caught:
        await add(catalogue, server, path="/other.gguf")
    assert f"answered {code}" in caught.value.detail
    assert len(server.script) == 7, "tried three times"


async def test_retry_after_is_kept_to(catalogue: Catalogue, server: FileServer) -> None:
    server.script = [status(429, {"Retry-After": "1"})]
    began_s = time.monotonic()
    await add(catalogue, server)
    assert time.monotonic() - began_s >= 1.0
    server.script = [status(429, {"Retry-After": "7200"})]
    with pytest.raises(ModelError) as caught:
        await add(catalogue, server, path="/other.gguf")
    assert "come back in 7200 s" in caught.value.detail


async def test_a_line_that_is_silent_counts_as_cut(
    catalogue: Catalogue, server: FileServer
) -> None:
    def stall(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(CONTENT)))
        handler.send_header("ETag", '"one"')
        handler.end_headers()
        handler.wfile.write(CONTENT[:300_000])
        handler.wfile.flush()
        time.sleep(2)
        handler.cut()

    server.script = [stall]
    added = await add(catalogue, server, Patience(tries=3, idle_s=0.5, pause_s=0.01))
    assert added.path.read_bytes() == CONTENT
    assert server.ranges() == ["", "bytes=300000-"]


async def test_a_slow_server_is_waited_for(catalogue: Catalogue, server: FileServer) -> None:
    server.script = [lambda handler: handler.give_file(block_s=0.05)]
    added = await add(catalogue, server, Patience(tries=1, idle_s=10.0))
    assert added.path.read_bytes() == CONTENT


async def test_the_digest_is_checked(catalogue: Catalogue, server: FileServer) -> None:
    assert (await add(catalogue, server, sha256=sha256_of(CONTENT))).outcome == "added"
    catalogue.drop("tiny", {sha256_of(CONTENT)})
    error = await fault(catalogue, server, sha256="0" * 64)
    assert "not the file that it should be" in error.title
    assert parts(catalogue) == []


async def test_a_redirect_is_followed(catalogue: Catalogue, server: FileServer) -> None:
    server.script = [status(302, {"Location": PATH}), status(307, {"Location": f"..{PATH}"})]
    added = await add(catalogue, server, path="/a/latest.gguf")
    assert added.name == "latest"
    server.script = [status(302, {"Location": "/again"})] * 20
    with pytest.raises(ModelError, match="without an end"):
        await add(catalogue, server, path="/again")


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://h/x", "http://me:pw@127.0.0.1/x"]
)
async def test_redirects_that_are_not_followed(
    catalogue: Catalogue, server: FileServer, location: str
) -> None:
    server.script = [status(302, {"Location": location})]
    await fault(catalogue, server)
    assert len(server.asked) == 1


async def test_a_redirect_to_what_is_no_address(catalogue: Catalogue, server: FileServer) -> None:
    server.script = [status(302, {"Location": "http://h:bad/x"})] * 9
    assert "did not come to its end" in (await fault(catalogue, server)).title


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Key and certificate of 127.0.0.1 in one file."""
    path = tmp_path / "server.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(path), "-out",
         str(tmp_path / "only.pem")],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_bytes(path.read_bytes() + (tmp_path / "only.pem").read_bytes())
    return path


async def test_from_https_to_http_is_refused(
    catalogue: Catalogue, server: FileServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 302 Found\r\nLocation: {server.url(PATH)}\r\nContent-Length: 0\r\n\r\n"
        writer.write(head.encode())
        await writer.drain()
        writer.close()

    secure = await asyncio.start_server(redirect, "127.0.0.1", 0, ssl=context)
    port = secure.sockets[0].getsockname()[1]
    try:
        with pytest.raises(RefusedError, match="from https to http"):
            await add_model(
                catalogue, UrlSource(f"https://127.0.0.1:{port}/x.gguf"), Choices(),
                lambda *_: None, patience=QUICK,
            )  # fmt: skip
        assert server.asked == []
        monkeypatch.delenv("SSL_CERT_FILE")
        with pytest.raises(ModelError, match="did not come to its end") as caught:
            await add_model(
                catalogue, UrlSource(f"https://127.0.0.1:{port}/x.gguf"), Choices(),
                lambda *_: None, patience=QUICK,
            )  # fmt: skip
        assert "CERTIFICATE_VERIFY_FAILED" in caught.value.detail
    finally:
        secure.close()
        await secure.wait_closed()


async def test_nobody_listens(catalogue: Catalogue, server: FileServer) -> None:
    with serving() as gone:
        port = gone.port
    with pytest.raises(ModelError, match="did not come to its end") as caught:
        await add_model(
            catalogue, UrlSource(f"http://127.0.0.1:{port}/x.gguf"), Choices(), lambda *_: None,
            patience=QUICK,
        )  # fmt: skip
    assert "network" in caught.value.hint


async def test_two_at_once_is_told(catalogue: Catalogue, server: FileServer) -> None:
    server.script = [lambda handler: handler.give_file(block_s=0.1)]
    first = asyncio.create_task(add(catalogue, server))
    await until(lambda: bool(server.asked))
    with pytest.raises(BusyError, match="being fetched already"):
        await add(Catalogue(), server)
    assert (await first).outcome == "added"


async def test_leaving_keeps_what_came(catalogue: Catalogue, server: FileServer) -> None:
    server.script = [lambda handler: handler.give_file(block_s=0.1)]
    seen: list[int] = []
    task = asyncio.create_task(
        add_model(
            catalogue, UrlSource(server.url(PATH)), Choices(), lambda _, done, __: seen.append(done)
        )
    )
    await until(lambda: bool(seen) and seen[-1] > 100_000)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (kept,) = parts(catalogue)
    assert 0 < kept < len(CONTENT)
    server.asked.clear()
    assert (await add(catalogue, server)).path.read_bytes() == CONTENT
    assert server.ranges() == [f"bytes={kept}-"]


async def test_a_file_larger_than_the_disk_is_refused_before(
    catalogue: Catalogue, server: FileServer
) -> None:
    def huge(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(1 << 60))
        handler.end_headers()
        handler.cut()

    server.script = [huge]
    error = await fault(catalogue, server)
    assert "too little space" in error.title
    assert parts(catalogue) == []


@pytest.fixture
def small_disk(home: Path) -> Iterator[Path]:
    """The catalogue's directory, on a disk of half a MiB."""
    place = home / "data"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@root_only
async def test_a_disk_that_gets_full_under_way(
    small_disk: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if another program had taken the space after the look.
    monkeypatch.setattr("aiconsole.models.download.refuse_full_disk", lambda *_: None)
    catalogue = Catalogue()
    error = await fault(catalogue, server)
    assert error.title == "The disk is full"
    assert "aiconsole models prune" in error.hint


@root_only
async def test_a_copy_that_fills_the_disk_leaves_nothing(
    small_disk: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aiconsole.models.source import FileSource

    path = home / "m.gguf"
    path.write_bytes(CONTENT)
    catalogue = Catalogue()
    source = FileSource(path)
    with pytest.raises(ModelError, match="too little space"):
        await add_model(catalogue, source, Choices(), lambda *_: None)
    monkeypatch.setattr(store, "refuse_full_disk", lambda *_: None)
    with pytest.raises(ModelError, match="The disk is full"):
        await add_model(catalogue, source, Choices(), lambda *_: None)
    assert list(catalogue.store.incoming.iterdir()) == []
    assert catalogue.models() == ()


async def test_the_same_bytes_from_elsewhere_are_held_once(
    catalogue: Catalogue, server: FileServer
) -> None:
    server.files["/copy.gguf"] = CONTENT
    first = await add(catalogue, server)
    second = await add(catalogue, server, path="/copy.gguf")
    assert (second.placed, second.path) == ("held", first.path)
    assert {model.name for model in catalogue.models()} == {"tiny", "copy"}
    assert parts(catalogue) == []


async def test_plain_http_without_a_digest_is_told(
    catalogue: Catalogue, server: FileServer
) -> None:
    assert "without encryption" in (await add(catalogue, server)).notes[0]
    assert (await add(catalogue, server, sha256=sha256_of(CONTENT))).notes == ()
