"""Which swap the memory allows, and what the operator is told of it."""

from __future__ import annotations

from aiconsole.control.swap_mode import choose_swap
from aiconsole.onhost.wire import ServiceState

RUNNING = ServiceState(release_id="r1", slot="a", wanted="running", load_s=4.2)


def test_two_copies_that_fit_overlap_in_silence() -> None:
    choice = choose_swap(1_000_000_000, 8_000_000_000, RUNNING)
    assert (choice.mode, choice.note) == ("overlap", "")


def test_one_copy_holds_the_socket_and_announces_the_last_load() -> None:
    choice = choose_swap(8_000_000_000, 8_000_000_000, RUNNING)
    assert choice.mode == "held"
    assert choice.expected_stall_s == 4.2
    assert "4.2 s" in choice.note
    assert "8.0 GB needed" in choice.note


def test_a_stopped_service_has_nothing_to_overlap_with() -> None:
    stopped = ServiceState(release_id="r1", wanted="stopped")
    assert choose_swap(8_000_000_000, 1, stopped).mode == "overlap"


def test_a_wish_is_followed_and_its_price_told() -> None:
    held = choose_swap(1_000_000_000, 8_000_000_000, RUNNING, "held")
    assert (held.mode, held.expected_stall_s) == ("held", 4.2)
    assert "As asked for" in held.note
    overlap = choose_swap(8_000_000_000, 8_000_000_000, RUNNING, "overlap")
    assert overlap.mode == "overlap"
    assert "too small" in overlap.note
