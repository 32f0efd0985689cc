"""The fleet: every host in a row, and the one under the cursor in more detail."""

from __future__ import annotations

from typing import ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input

from aiconsole.tui.present.fleet_order import ORDER_TITLES
from aiconsole.tui.present.host_summary import host_summary
from aiconsole.tui.present.welcome import second_host, stale_fleet, welcome
from aiconsole.tui.screens.console import ConsoleScreen
from aiconsole.tui.state import ConsoleState
from aiconsole.tui.widgets.filter_line import FilterLine
from aiconsole.tui.widgets.fleet_table import FleetTable
from aiconsole.tui.widgets.rows import Lines, Texts

_TABLE_FRAME = 3
"""Rows of a table's border and titles."""
_TABLE_MIN = 7
_DETAIL_MIN = 8


class FleetScreen(ConsoleScreen):
    """The first screen; it never waits for a host."""

    VIEW = "fleet"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "focus_panel('#table')", "Go to the fleet"),
        Binding("2", "focus_panel('#detail')", "Go to the host's panel"),
    ]

    table = getters.query_one("#table", FleetTable)
    detail = getters.query_one("#detail", Lines)
    filter_line = getters.query_one(FilterLine)
    empty = getters.query_one("#empty", Lines)

    def __init__(self, interval_s: float) -> None:
        super().__init__()
        self._interval_s = interval_s
        self._shape = (0, 0)

    @property
    def targets(self) -> tuple[str, ...]:
        """The marked hosts in the order of the table, or the one under the cursor."""
        marked = self.table.marked
        if marked:
            names = self.console_app.state.host_names()
            return tuple(name for name in names if name in marked)
        return (self.table.cursor_name,) if self.table.cursor_name else ()

    def compose_body(self) -> ComposeResult:
        """Table, detail, and the line of the filter."""
        yield Texts(id="fault")
        with Vertical(id="body"):
            table = FleetTable(interval_s=self._interval_s, id="table")
            table.add_class("panel")
            yield table
            yield Lines(id="empty", classes="panel")
            yield Lines(id="detail", classes="panel")
        yield FilterLine()

    def on_mount(self) -> None:
        """The table has the keys."""
        self.table.focus()

    def draw_body(self, state: ConsoleState) -> None:
        """Show the newest readings, or what to do where there are none."""
        nothing = not state.host_names()
        self._draw_fault(state)
        self.set_class(nothing, "-empty")
        if nothing:
            self.empty.entitle("¹ Fleet")
            self.empty.show(welcome(state.hosts is not None, state.failure))
            return
        self.table.show(state.snapshot, state.now_monotonic_s)
        self._title(state)
        self._draw_detail(state)

    def edit_filter(self) -> None:
        """Open the line of the filter with what was typed last."""
        self.filter_line.open(self.table.filter_text)

    def step_back(self) -> bool:
        """Take away the filter, then the marks."""
        if self.table.filter_text:
            self.table.filter_by("")
        elif self.table.marked:
            self.table.marked = frozenset()
            self.table.repaint()
        else:
            return False
        self.draw()
        return True

    def action_focus_panel(self, selector: str) -> None:
        """Give the keys to a panel."""
        self.query_one(selector).focus()

    @on(FleetTable.CursorMoved)
    def _cursor_moved(self) -> None:
        self.draw()

    @on(FilterLine.Changed)
    def _filter_typed(self, event: Input.Changed) -> None:
        self.table.filter_by(event.value)
        self.draw()

    @on(FilterLine.Closed)
    def _filter_closed(self) -> None:
        self.table.focus()
        self.draw()

    def _draw_fault(self, state: ConsoleState) -> None:
        """What is wrong with hosts.toml, over the last good fleet."""
        fault = self.query_one("#fault", Texts)
        wrong = state.failure if state.host_names() else None
        fault.display = wrong is not None
        if wrong is not None:
            lines = stale_fleet(wrong, self.size.width)
            fault.styles.height = len(lines)
            fault.show(lines)

    def _title(self, state: ConsoleState) -> None:
        shown, total = len(self.table.shown), len(state.snapshot.hosts)
        title = f"¹ Fleet · {total} {'host' if total == 1 else 'hosts'}"
        if self.table.filter_text:
            title += f" · {shown} match “{self.table.filter_text}”"
        if self.table.marked:
            title += f" · {len(self.table.marked)} marked"
        self.table.entitle(
            title, f"{ORDER_TITLES[self.table.order]} · every {state.interval_s:g} s"
        )

    def _draw_detail(self, state: ConsoleState) -> None:
        view = state.snapshot.host(self.table.cursor_name)
        self._share_room(view is not None)
        if view is None:
            return
        self.detail.entitle(f"² {view.name}")
        columns, rows = self.detail.inner_width, self.detail.size.height
        hint = ((), *second_host()) if len(state.snapshot.hosts) == 1 else ()
        room = rows - len(hint)
        lines = host_summary(view, columns, room, state.now_monotonic_s, state.interval_s)
        self.detail.show((*lines, *hint))

    def _share_room(self, detail: bool) -> None:
        """A short table leaves the room to the detail; a long one keeps all but a few lines."""
        total = self.query_one("#body").size.height
        table = len(self.table.shown) + _TABLE_FRAME
        if not detail or total < _DETAIL_MIN + _TABLE_MIN:
            shape = (total, 0)
        else:
            table = min(max(table, _TABLE_MIN), total - _DETAIL_MIN)
            shape = (table, total - table)
        if shape != self._shape:
            self._shape = shape
            self.table.styles.height, self.detail.styles.height = shape
            self.detail.display = bool(shape[1])
            self.call_after_refresh(self.draw)
