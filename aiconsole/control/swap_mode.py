"""Which kind of swap a host's memory allows, decided before anything changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from aiconsole.onhost.wire import ServiceState, SwapMode

SwapWish: TypeAlias = Literal["auto", "overlap", "held"]

_RESERVE = 0.9
"""Share of the available memory that a second copy of the model may take."""


@dataclass(frozen=True, slots=True)
class SwapChoice:
    """The mode and what the operator is told of it."""

    mode: SwapMode
    expected_stall_s: float
    """How long requests will wait in the socket's queue; 0 for an overlap."""
    note: str


def choose_swap(
    needed_bytes: int, available_bytes: int, state: ServiceState, wish: SwapWish = "auto"
) -> SwapChoice:
    """Overlap where a second copy fits into memory, else hold the socket and say what it costs.

    A wish for one mode is followed; an overlap that memory does not seem to allow is warned of.
    """
    if state.wanted != "running" or not state.slot:
        return SwapChoice("overlap", 0.0, "")
    fits = needed_bytes <= available_bytes * _RESERVE
    figures = f"{_gb(needed_bytes)} needed, {_gb(available_bytes)} available"
    if wish == "overlap" or (wish == "auto" and fits):
        note = "" if fits else f"Memory seems too small for two copies of the model ({figures})."
        return SwapChoice("overlap", 0.0, note)
    stall = f"about {state.load_s:.1f} s, the last load" if state.load_s else "as long as the load"
    why = "As asked for" if fits else f"Memory holds one copy of the model ({figures})"
    note = f"{why}: requests will wait {stall}, none is refused."
    return SwapChoice("held", state.load_s, note)


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB"
