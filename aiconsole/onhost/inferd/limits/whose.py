"""Who a request counts for: its tenant, or, where none is known, the place it comes from."""

from __future__ import annotations

import socket

from aiconsole.onhost.inferd.exchange import Exchange

_NETWORK_BYTES = 8


def whose(exchange: Exchange) -> str:
    """A name that no tenant can choose for itself, for clients without a key.

    Of an IPv6 address only the /64 counts: each household has 2^64 addresses to choose from.
    """
    tenant = exchange.grant.tenant
    if tenant:
        return tenant
    client = exchange.client
    if ":" not in client or client.startswith("::ffff:"):
        return "\0" + client
    try:
        packed = socket.inet_pton(socket.AF_INET6, client.partition("%")[0])
    except OSError:
        return "\0" + client
    return "\0" + packed[:_NETWORK_BYTES].hex()
