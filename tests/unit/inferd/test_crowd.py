"""Who goes when too many are there."""

from __future__ import annotations

import resource

from aiconsole.onhost.inferd.network.crowd import Crowd


class Guest:
    """One that notes that it was sent away."""

    def __init__(self) -> None:
        self.idle = True
        self.here = True

    def dismiss(self) -> None:
        self.here = False


def _full(count: int) -> tuple[Crowd[Guest], list[Guest]]:
    crowd, guests = Crowd[Guest](count), [Guest() for _ in range(count)]
    assert all(crowd.admit(guest) for guest in guests)
    return crowd, guests


def test_who_rests_for_longest_goes() -> None:
    crowd, guests = _full(3)
    crowd.works(guests[0])
    crowd.rests(guests[0])
    assert crowd.admit(Guest())
    assert [guest.here for guest in guests] == [True, False, True]
    assert len(crowd) == 3


def test_who_works_stays() -> None:
    crowd, guests = _full(3)
    for guest in guests:
        crowd.works(guest)
    assert not crowd.admit(Guest())
    crowd.leaves(guests[1])
    assert crowd.admit(Guest())
    assert [guest.here for guest in guests] == [True] * 3


def test_a_request_that_has_just_arrived_is_not_lost() -> None:
    crowd, guests = _full(3)
    guests[0].idle = False
    assert crowd.admit(Guest())
    assert [guest.here for guest in guests] == [True, False, True]


def test_who_has_gone_rests_no_more() -> None:
    crowd, guests = _full(2)
    crowd.works(guests[0])
    crowd.leaves(guests[0])
    crowd.rests(guests[0])
    assert crowd.admit(Guest())
    assert guests[1].here


def test_files_are_left_for_the_engine() -> None:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert Crowd[Guest]().limit <= max(16, files - 128)
