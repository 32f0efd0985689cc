"""Which kind of swap a host's memory allows, decided before anything changes."""

from __future__ import annotations

from dataclasses import dataclass

from aiconsole.onhost.wire import ServiceState, SwapMode

_RESERVE = 0.9
"""Share of the available memory that a second copy of the model may take."""


@dataclass(frozen=True, slots=True)
class SwapChoice:
    """The mode and what the operator is told of it."""

    mode: SwapMode
    expected_stall_s: float
    """How long requests will wait in the socket's queue; 0 for an overlap."""
    note: str


def choose_swap(needed_bytes: int, available_bytes: int, state: ServiceState) -> SwapChoice:
    """Overlap where a second copy fits into memory, else hold the socket and say what it costs."""
    if state.wanted != "running" or not state.slot:
        return SwapChoice("overlap", 0.0, "")
    if needed_bytes <= available_bytes * _RESERVE:
        return SwapChoice("overlap", 0.0, "")
    stall = f"about {state.load_s:.1f} s, the last load" if state.load_s else "as long as the load"
    note = (
        f"Memory holds one copy of the model ({_gb(needed_bytes)} needed, {_gb(available_bytes)} "
        f"available): requests will wait {stall}, none is refused."
    )
    return SwapChoice("held", state.load_s, note)


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB"
