"""Who asks: the address behind trusted proxies, and whether it is one of those that may."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Literal, TypeAlias

from aiconsole.onhost.inferd.exchange import Scope

Address: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"
Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"
ProxyHeader = Literal["X-Forwarded-For", "Forwarded"]

_REMEMBERED = 4096
_MAX_HOPS = 32
_PORT = re.compile(r"(\d{1,3}(?:\.\d{1,3}){3}):\d{1,5}|\[([^\]]*)\](?::\d{1,5})?")
_FOR = re.compile(r'(?:^|;)\s*for\s*=\s*(?:"([^"]*)"|([^;"\s]*))\s*(?=;|$)', re.IGNORECASE)
_PROXY_MARKS = frozenset({b"forwarded", b"via", b"x-forwarded-for", b"x-real-ip"})


class Networks:
    """A list of networks that is asked for every request; the answers are remembered."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._networks = [_network(text) for text in texts]
        self._holds: Callable[[str], bool] = lru_cache(maxsize=_REMEMBERED)(self._look_up)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, text: str) -> bool:
        return self._holds(text)

    def _look_up(self, text: str) -> bool:
        address = parse(text)
        return address is not None and any(address in network for network in self._networks)


class Addresses:
    """Finds the client of a request."""

    def __init__(self, trusted_proxies: Sequence[str], header: ProxyHeader) -> None:
        """Prepare.

        Args:
            trusted_proxies: Peers that are believed.
            header: What they write the address into. The other one is not looked at: a proxy
                passes on what it does not write, so a client could put anything there.
        """
        self._trusted = Networks(trusted_proxies)
        self._name = header.lower().encode()
        self._entry = _forwarded_for if header == "Forwarded" else str.strip

    def client_of(self, scope: Scope) -> str:
        """Address of who asks; the peer's own where no trusted proxy says another."""
        peer = peer_of(scope)
        if not self._trusted or peer not in self._trusted:
            return peer
        values = [value for name, value in scope["headers"] if name == self._name]
        if not values:
            return peer
        hops = b",".join(values).decode("latin-1").rsplit(",", _MAX_HOPS)
        found = peer
        for hop in reversed(hops):
            found = _hop(self._entry(hop))
            if not found:
                return peer
            if found not in self._trusted:
                break
        return found


def peer_of(scope: Scope) -> str:
    """Address at the other end of the connection; empty for a UNIX socket."""
    client = scope.get("client")
    return _plain(client[0]) if client else ""


def is_of_this_machine(scope: Scope) -> bool:
    """Whether a program here asks, and not for somebody elsewhere as a proxy does."""
    peer, server = peer_of(scope), scope.get("server")
    if not _is_loopback(peer) and not (peer and server and peer == _plain(server[0])):
        return False
    return not any(name in _PROXY_MARKS for name, _ in scope["headers"])


@lru_cache(maxsize=_REMEMBERED)
def _plain(text: str) -> str:
    """The usual way to write an address: an IPv4 client of an IPv6 socket is an IPv4 client."""
    address = parse(text)
    return text if address is None else str(address)


@lru_cache(maxsize=_REMEMBERED)
def _is_loopback(text: str) -> bool:
    address = parse(text)
    return address is not None and address.is_loopback


def parse(text: str) -> Address | None:
    """An address, without its zone and its IPv6 wrapping; None where it is none."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _network(text: str) -> Network:
    """A network; `::ffff:10.0.0.0/104` is 10.0.0.0/8, as addresses are seen without that too."""
    network = ipaddress.ip_network(text, strict=False)
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is None or network.prefixlen < 96:
        return network
    return ipaddress.ip_network((mapped, network.prefixlen - 96))


@lru_cache(maxsize=_REMEMBERED)
def _hop(text: str) -> str:
    """An address that a proxy has written, perhaps with a port; empty where it is none."""
    port = _PORT.fullmatch(text)
    address = parse((port[1] or port[2]) if port else text)
    return "" if address is None else str(address)


def _forwarded_for(element: str) -> str:
    """The `for` of one element of `Forwarded`; nothing where there is none that is well formed."""
    found = _FOR.search(element.strip())
    return (found[1] or found[2] or "").strip() if found else ""
