"""`x-ratelimit-*`: how a client stands, in OpenAI's format."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

from aiconsole.onhost.inferd.exchange import Exchange
from aiconsole.onhost.inferd.limits.rate import Allowance, Standing

What: TypeAlias = Literal["requests", "tokens"]

_NAMES: dict[What, tuple[bytes, bytes, bytes]] = {
    what: (
        b"x-ratelimit-limit-" + what.encode(),
        b"x-ratelimit-remaining-" + what.encode(),
        b"x-ratelimit-reset-" + what.encode(),
    )
    for what in ("requests", "tokens")
}


def tell(exchange: Exchange, what: What, allowance: Allowance, standing: Standing) -> None:
    """Put them on the answer; what was told before of the same is replaced."""
    limit, remaining, reset = names = _NAMES[what]
    if exchange.headers:
        exchange.headers = [kept for kept in exchange.headers if kept[0] not in names]
    exchange.headers += (
        (limit, b"%d" % math.ceil(allowance.per_minute)),
        (remaining, b"%d" % standing.left),
        (reset, duration(standing.full_in_s)),
    )


def duration(seconds: float) -> bytes:
    """`20ms`, `1s`, `6m0s`, `2h5m0s`; rounded up, so that who waits so long has waited enough."""
    thousandths = math.ceil(seconds * 1000)
    if thousandths < 1000:
        return b"%dms" % thousandths
    minutes, rest = divmod(math.ceil(thousandths / 1000), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return b"%dh%dm%ds" % (hours, minutes, rest)
    return b"%dm%ds" % (minutes, rest) if minutes else b"%ds" % rest
