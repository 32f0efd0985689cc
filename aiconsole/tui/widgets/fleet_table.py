"""The table of hosts, with a cursor, marks, a filter and an order."""

from __future__ import annotations

import time

from textual.message import Message

from aiconsole.telemetry.sample import FleetSnapshot, HostView
from aiconsole.tui.present.fleet_columns import grid_for, header
from aiconsole.tui.present.fleet_order import FleetOrder, arrange
from aiconsole.tui.present.fleet_row import RowState, fleet_row
from aiconsole.tui.present.line import Line
from aiconsole.tui.widgets.rows import Rows


class FleetTable(Rows):
    """All hosts of the fleet; holds names, never widgets per host."""

    class CursorMoved(Message):
        """Another host is under the cursor."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, *, interval_s: float, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._snapshot = FleetSnapshot()
        self._shown: tuple[HostView, ...] = ()
        self._now_s = time.monotonic()
        self._interval_s = interval_s
        self.cursor_name = ""
        self.marked: frozenset[str] = frozenset()
        self.order: FleetOrder = "fleet"
        self.filter_text = ""

    def show(self, snapshot: FleetSnapshot, now_monotonic_s: float) -> None:
        """Take the newest readings; the cursor stays on its host."""
        self._snapshot, self._now_s = snapshot, now_monotonic_s
        self.marked &= {view.name for view in snapshot.hosts}
        self._arrange()

    def sort_by(self, order: FleetOrder) -> None:
        """Order the hosts anew."""
        self.order = order
        self._arrange()

    def filter_by(self, text: str) -> None:
        """Show only the hosts that match."""
        self.filter_text = text
        self._arrange()

    @property
    def shown(self) -> tuple[HostView, ...]:
        """The hosts that pass the filter, in order."""
        return self._shown

    def move(self, steps: int) -> None:
        """Move the cursor; it stops at the ends."""
        if self._shown:
            self._place(min(len(self._shown) - 1, max(0, self._cursor_index() + steps)))

    def toggle_mark(self) -> None:
        """Mark the host under the cursor, or take the mark away, and go one down."""
        if self.cursor_name:
            self.marked ^= {self.cursor_name}
            self.move(1)
            self.repaint()

    def header_lines(self) -> tuple[Line, ...]:
        """The titles of the columns."""
        return (header(grid_for(self.inner_width)),)

    def row_count(self) -> int:
        """Hosts that pass the filter."""
        return len(self._shown)

    def row_at(self, index: int) -> Line:
        """One host."""
        view = self._shown[index]
        state = RowState(
            self._now_s, self._interval_s, view.name in self.marked, self.row_is_under_cursor(index)
        )
        return fleet_row(view, grid_for(self.inner_width), state)

    def row_is_under_cursor(self, index: int) -> bool:
        """True for the host that a key would act on."""
        return index < len(self._shown) and self._shown[index].name == self.cursor_name

    def _arrange(self) -> None:
        ordered = arrange(
            self._snapshot, self.order, self.filter_text, self._now_s, self._interval_s
        )
        before = self._cursor_index()
        self._shown = ordered
        if ordered and all(view.name != self.cursor_name for view in ordered):
            self._place(min(before, len(ordered) - 1))
        elif not ordered and self.cursor_name:
            self.cursor_name = ""
            self.post_message(self.CursorMoved(""))
        self.repaint()

    def _cursor_index(self) -> int:
        names = [view.name for view in self._shown]
        return names.index(self.cursor_name) if self.cursor_name in names else 0

    def _place(self, index: int) -> None:
        name = self._shown[index].name
        if name == self.cursor_name:
            return
        self.cursor_name = name
        self._keep_in_view(index)
        self.repaint()
        self.post_message(self.CursorMoved(name))

    def _keep_in_view(self, index: int) -> None:
        rows = self.size.height - len(self.header_lines())
        top = self.scroll_offset.y
        if index < top:
            self.scroll_to(y=index, animate=False)
        elif rows > 0 and index >= top + rows:
            self.scroll_to(y=index - rows + 1, animate=False)
