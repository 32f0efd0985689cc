"""How many clients may be connected, and who goes when there are too many."""

from __future__ import annotations

import resource
from collections import OrderedDict
from typing import Generic, Protocol, TypeVar

_LOOKS = 8
_LEAST = 16


class Guest(Protocol):
    """A connection."""

    @property
    def idle(self) -> bool:
        """Nothing of a request is on its way."""

    def dismiss(self) -> None:
        """Close it."""


G = TypeVar("G", bound=Guest)


class Crowd(Generic[G]):
    """Those that do nothing make room for those that come: the one that rests for longest first.

    Each request needs a file descriptor towards the engine too: with all of them taken by silent
    clients, nobody would be served.
    """

    def __init__(self, limit: int = 0) -> None:
        self.limit = limit or _usual_limit()
        self._all: set[G] = set()
        self._resting: OrderedDict[G, None] = OrderedDict()

    def __len__(self) -> int:
        """Guests that are here."""
        return len(self._all)

    def admit(self, guest: G) -> bool:
        """A new one; False where there is no room and nobody rests."""
        if len(self._all) >= self.limit and not self._make_room():
            return False
        self._all.add(guest)
        self._resting[guest] = None
        return True

    def rests(self, guest: G) -> None:
        """It has been answered."""
        if guest in self._all:
            self._resting[guest] = None
            self._resting.move_to_end(guest)

    def works(self, guest: G) -> None:
        """It has begun a request."""
        self._resting.pop(guest, None)

    def leaves(self, guest: G) -> None:
        """It is gone."""
        self._all.discard(guest)
        self._resting.pop(guest, None)

    def _make_room(self) -> bool:
        for _ in range(min(_LOOKS, len(self._resting))):
            guest = next(iter(self._resting))
            if guest.idle:
                self.leaves(guest)
                guest.dismiss()
                return True
            self._resting.move_to_end(guest)
        return False


def _usual_limit() -> int:
    """What the limit of files leaves, when each of some requests has its own towards the engine."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(_LEAST, files - max(128, files // 8))
