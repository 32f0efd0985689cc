"""Which provider is asked next: by tier first, by weight within one."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from aiconsole.onhost.inferd.engine.provider import Provider


def choose(providers: Sequence[Provider], tried: Collection[Provider] = ()) -> Provider | None:
    """The provider to ask; None where all are out of order.

    One that was tried already, or asked to be left in peace, comes after all others; within a
    tier turns are taken smoothly, so that a weight of 2 to 1 gives a b a, and not a a b.
    """
    usable = [p for p in providers if p.weight and not p.breaker.is_open]
    if not usable:
        return None
    best = min(_rank(provider, tried) for provider in usable)
    equals = [provider for provider in usable if _rank(provider, tried) == best]
    for provider in equals:
        provider.turn += provider.weight
    chosen = max(equals, key=lambda provider: provider.turn)
    chosen.turn -= sum(provider.weight for provider in equals)
    return chosen


def _rank(provider: Provider, tried: Collection[Provider]) -> tuple[bool, bool, int]:
    return provider in tried, provider.breaker.held_s > 0, provider.tier
