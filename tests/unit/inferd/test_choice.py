"""Whom a request goes to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from aiconsole.onhost.inferd.engine.breaker import Breaker
from aiconsole.onhost.inferd.engine.choice import choose
from aiconsole.onhost.inferd.engine.endpoint import Endpoint
from aiconsole.onhost.inferd.engine.provider import Provider
from aiconsole.onhost.inferd.settings import RemoteSettings

Make = Callable[..., Provider]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    made: list[Provider] = []

    def one(name: str, *, weight: int = 1, tier: int = 0) -> Provider:
        remote = RemoteSettings(name=name, url="http://127.0.0.1:1/v1", weight=weight, tier=tier)
        made.append(Provider(remote, Endpoint(remote.url), Breaker(1, 10.0), 1))
        return made[-1]

    yield one
    for provider in made:
        await provider.upstream.close()


def _names(providers: list[Provider], count: int) -> str:
    return "".join(chosen.name for _ in range(count) if (chosen := choose(providers)))


async def test_turns_follow_the_weights_smoothly(make: Make) -> None:
    providers = [make("a", weight=2), make("b"), make("c", weight=0)]
    assert _names(providers, 6) == "abaaba"


async def test_a_higher_tier_only_where_no_lower_one_is_in_order(make: Make) -> None:
    a, b, z = make("a"), make("b"), make("z", tier=1)
    assert set(_names([a, b, z], 10)) == {"a", "b"}
    a.breaker.failed("x")
    assert set(_names([a, b, z], 4)) == {"b"}
    b.breaker.failed("x")
    assert set(_names([a, b, z], 4)) == {"z"}
    z.breaker.failed("x")
    assert choose([a, b, z]) is None


async def test_one_that_was_tried_or_wants_peace_comes_last(make: Make) -> None:
    a, b, z = make("a"), make("b"), make("z", tier=1)
    assert choose([a, b, z], [a]) is b
    assert choose([a, b, z], [a, b]) is z
    assert choose([a, b], [a, b]) is not None
    b.breaker.hold(60)
    assert set(_names([a, b, z], 4)) == {"a"}
    assert choose([a, b, z], [a]) is z
