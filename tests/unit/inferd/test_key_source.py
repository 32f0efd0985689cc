"""Keys from an address: rotation, silence, floods and what is no key set, against a real server."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from aiconsole.onhost.inferd.access import key_source
from aiconsole.onhost.inferd.access.jwt import Tokens
from aiconsole.onhost.inferd.credentials import Credentials
from aiconsole.onhost.inferd.errors import ApiError
from aiconsole.onhost.inferd.settings import JwtSettings
from aiconsole.onhost.inferd.start_error import StartError
from tests.fixtures.certificate import write_pair
from tests.fixtures.identity import Signer, jwk, key_set, rsa_key

ONE, TWO = Signer(rsa_key("one"), "RS256", "1"), Signer(rsa_key("two"), "RS256", "2")
SET_ONE, SET_TWO = key_set(jwk(ONE.key, "1")), key_set(jwk(TWO.key, "2"))


class Provider:
    """A web server with a key set on it."""

    def __init__(self) -> None:
        self.data = SET_ONE
        self.status = 200
        self.asked = 0
        self.hold: asyncio.Event | None = None
        self.headers: dict[str, str] = {}
        self.url = ""
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None

    async def answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        if self.hold is not None:
            await self.hold.wait()
        return web.Response(body=self.data, status=self.status, headers=self.headers)

    async def open(self, context: ssl.SSLContext | None = None, port: int = 0) -> None:
        app = web.Application()
        app.router.add_get("/keys", self.answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, "127.0.0.1", port, ssl_context=context)
        await self._site.start()
        port = self._runner.addresses[0][1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{port}/keys"

    @property
    def port(self) -> int:
        return int(self.url.split(":")[2].split("/")[0])

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    found = Provider()
    await found.open()
    yield found
    if found.hold is not None:
        found.hold.set()
    await found.close()


@pytest.fixture
async def tokens_of() -> AsyncIterator[Callable[..., Tokens]]:
    opened: list[Tokens] = []

    def make(url: str, **more: Any) -> Tokens:
        settings = JwtSettings(algorithms=["RS256"], jwks_url=url, **more)
        opened.append(Tokens(settings, Credentials(None)))
        opened[-1].open()
        return opened[-1]

    yield make
    for tokens in opened:
        await tokens.close()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking again needs no pause."""
    monkeypatch.setattr(key_source, "_ASK_AGAIN_S", 0.0)


async def _refused(ask: Awaitable[Any], code: str = "invalid_token", status: int = 401) -> None:
    with pytest.raises(ApiError) as refused:
        await ask
    assert (refused.value.status, refused.value.code) == (status, code)


async def test_keys_are_there_for_the_first_who_comes(
    provider: Provider, tokens_of: Callable[..., Tokens]
) -> None:
    tokens = tokens_of(provider.url)
    assert (await tokens.check(ONE.token())).tenant == "jwt:shop"
    assert provider.asked == 1


@pytest.mark.usefixtures("at_once")
async def test_a_rotation_is_noticed_by_the_new_name(
    provider: Provider, tokens_of: Callable[..., Tokens]
) -> None:
    tokens = tokens_of(provider.url)
    old = ONE.token()
    await tokens.check(old)
    provider.data = SET_TWO
    await tokens.check(old)  # nothing has told of the change yet
    await tokens.check(TWO.token())
    await _refused(tokens.check(old))


async def test_unknown_names_do_not_flood_the_provider(
    provider: Provider, tokens_of: Callable[..., Tokens]
) -> None:
    tokens = tokens_of(provider.url)
    await tokens.check(ONE.token())
    for number in range(50):
        await _refused(tokens.check(TWO.token({"kid": f"unknown-{number}"})))
    assert provider.asked == 1
    await tokens.check(ONE.token(sub="other"))


async def test_many_who_wait_ask_once(provider: Provider, tokens_of: Callable[..., Tokens]) -> None:
    provider.hold = asyncio.Event()
    tokens = tokens_of(provider.url)
    asking = [asyncio.create_task(tokens.check(ONE.token(sub=f"s{n}"))) for n in range(20)]
    while not provider.asked:  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0.001)
    asking[0].cancel()  # a client that goes takes the answer from nobody
    await asyncio.sleep(0)
    provider.hold.set()
    found = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert {type(item).__name__ for item in found[1:]} == {"Grant"}
    assert provider.asked == 1


@pytest.mark.usefixtures("at_once")
async def test_old_keys_stay_in_force_while_nobody_answers(
    provider: Provider, tokens_of: Callable[..., Tokens], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="inferd.jwt")
    tokens = tokens_of(provider.url)
    await tokens.check(ONE.token())
    port = provider.port
    await provider.close()
    for _ in range(3):
        await _refused(tokens.check(TWO.token()))
        await tokens.check(ONE.token(sub="another"))
    assert sum("the old keys stay in force" in line for line in caplog.messages) == 1
    provider.data = SET_TWO
    await provider.open(port=port)
    await tokens.check(TWO.token())
    assert sum("gives keys again" in line for line in caplog.messages) == 1


@pytest.mark.parametrize(
    "wrong",
    [{"status": 500}, {"status": 404}, {"status": 302, "headers": {"Location": "/keys"}},
     {"data": b"<html>"}, {"data": b'{"keys": []}'}, {"data": b" " * 2_000_000},
     {"data": key_set({"kty": "oct", "k": "AAAA"})}],
    ids=range(7),
)  # fmt: skip
@pytest.mark.usefixtures("at_once")
async def test_what_is_no_key_set_changes_nothing(
    provider: Provider, tokens_of: Callable[..., Tokens], wrong: dict[str, Any]
) -> None:
    tokens = tokens_of(provider.url)
    await tokens.check(ONE.token())
    for name, value in wrong.items():
        setattr(provider, name, value)
    await _refused(tokens.check(TWO.token()))
    await tokens.check(ONE.token(sub="another"))


async def test_nobody_there_from_the_start(
    tokens_of: Callable[..., Tokens], caplog: pytest.LogCaptureFixture
) -> None:
    tokens = tokens_of("http://127.0.0.1:1/keys")
    for _ in range(3):
        await _refused(tokens.check(ONE.token()), "keys_unavailable", 503)
    assert sum("no token can be accepted" in line for line in caplog.messages) == 1


async def test_a_provider_that_says_nothing(
    provider: Provider, tokens_of: Callable[..., Tokens], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_source, "_TIMEOUT_S", 0.1)
    provider.hold = asyncio.Event()
    await _refused(tokens_of(provider.url).check(ONE.token()), "keys_unavailable", 503)


async def test_keys_are_asked_for_again_without_anybody_coming(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_source, "_ASK_AGAIN_S", 0.0)
    source = key_source.UrlKeys(provider.url, 0.02)
    source.open()
    deadline = time.monotonic() + 30
    while source.generation < 2:
        provider.data = SET_TWO if source.generation else SET_ONE
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    assert source.keys is not None
    assert source.keys.find("RS256", "2")
    assert not source.keys.find("RS256", "1")
    await source.close()


@pytest.mark.usefixtures("at_once")
async def test_the_certificate_of_the_address_is_checked(
    tmp_path: Path, tokens_of: Callable[..., Tokens]
) -> None:
    pair = write_pair(tmp_path, "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    provider = Provider()
    await provider.open(context)
    try:
        await _refused(tokens_of(provider.url).check(ONE.token()), "keys_unavailable", 503)
        assert provider.asked == 0
        known = tokens_of(provider.url, jwks_ca_file=str(pair.certificate))
        assert (await known.check(ONE.token())).name == "shop"
        other = write_pair(tmp_path / "other", "other.example.com")
        stranger = tokens_of(provider.url, jwks_ca_file=str(other.certificate))
        await _refused(stranger.check(ONE.token()), "keys_unavailable", 503)
    finally:
        await provider.close()
    with pytest.raises(StartError, match="authority"):
        tokens_of(provider.url, jwks_ca_file=str(tmp_path / "none"))
