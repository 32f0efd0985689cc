"""Rows drawn on demand: only visible ones are painted, only changed ones are sent."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from aiconsole.tui.present.line import Line
from aiconsole.tui.widgets import paint


class Rows(ScrollView, can_focus=True, inherit_bindings=False):
    """A scrolling list of lines under a fixed header."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "rows(1)", "Down"),
        Binding("k,up", "rows(-1)", "Up"),
        Binding("ctrl+d,pagedown", "pages(1)", "Page down"),
        Binding("ctrl+u,pageup", "pages(-1)", "Page up"),
        Binding("g,home", "first", "To the first"),
        Binding("G,end", "last", "To the last"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = set(paint.COMPONENT_CLASSES | {"t-cursor"})
    DEFAULT_CSS = """
    Rows { overflow-x: hidden; scrollbar-size-vertical: 1; }
    """

    class Resized(Message):
        """There is another size to fill."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._painted: dict[int, Line] = {}
        self._titles = ("", "")

    def header_lines(self) -> tuple[Line, ...]:
        """Lines that stay above the rows."""
        return ()

    def row_count(self) -> int:
        """How many rows there are."""
        return 0

    def row_at(self, index: int) -> Line:
        """One row; called for visible ones only."""
        raise NotImplementedError

    def row_is_under_cursor(self, index: int) -> bool:
        """True where the row is painted as the chosen one."""
        return False

    def move(self, rows: int) -> None:
        """Go some rows down, or up below zero."""
        self.scroll_to(y=self.scroll_offset.y + rows, animate=False)

    def action_rows(self, rows: int) -> None:
        """Go one row."""
        self.move(rows)

    def action_pages(self, pages: int) -> None:
        """Go one page, with a row in common."""
        self.move(pages * max(1, self.size.height - len(self.header_lines()) - 1))

    def action_first(self) -> None:
        """Go to the first row."""
        self.move(-self.row_count())

    def action_last(self) -> None:
        """Go to the last row."""
        self.move(self.row_count())

    @property
    def inner_width(self) -> int:
        """Columns that a line may fill."""
        return self.scrollable_content_region.width

    def entitle(self, title: str, below: str = "") -> None:
        """Write into the upper border, and into the lower one; nothing in it is markup."""
        if (title, below) == self._titles:
            # Setting a title sends the whole panel again.
            return
        self._titles = (title, below)
        self.border_title = paint.title(title)
        self.border_subtitle = paint.title(below) if below else None

    def repaint(self) -> None:
        """Send the rows that are no longer what the terminal shows."""
        height = len(self.header_lines()) + self.row_count()
        size = Size(max(1, self.inner_width), height)
        if size != self.virtual_size:
            self.virtual_size = size
        for y in range(self.size.height):
            if self._painted.get(y) != self._line_at(y):
                self.refresh_line(y + self.scroll_offset.y)

    def repaint_all(self) -> None:
        """Send every visible row again: the width or the theme changed."""
        self._painted.clear()
        self.repaint()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Paint the row at screen line `y`."""
        pieces = self._line_at(y)
        self._painted[y] = pieces
        base = self.rich_style
        index = y - len(self.header_lines()) + self.scroll_offset.y
        if y >= len(self.header_lines()) and self.row_is_under_cursor(index):
            base = self.get_component_rich_style("t-cursor")
        painted: list[Segment] = paint.segments(self, pieces, base)
        return Strip(painted).adjust_cell_length(self.size.width, base)

    def on_resize(self) -> None:
        """Lay the rows out again for another width; the screen may have more to say in it."""
        self.repaint_all()
        self.post_message(self.Resized())

    def _line_at(self, y: int) -> Line:
        header = self.header_lines()
        if y < len(header):
            return header[y]
        index = y - len(header) + self.scroll_offset.y
        return self.row_at(index) if 0 <= index < self.row_count() else ()


class Lines(Rows):
    """Rows that are given whole, such as a plan or a panel of readings."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._lines: tuple[Line, ...] = ()

    def show(self, lines: tuple[Line, ...]) -> None:
        """Replace the lines; only those that differ are sent."""
        self._lines = lines
        self.repaint()

    @property
    def lines(self) -> tuple[Line, ...]:
        """What is shown."""
        return self._lines

    def row_count(self) -> int:
        """How many lines there are."""
        return len(self._lines)

    def row_at(self, index: int) -> Line:
        """One of the lines."""
        return self._lines[index]


class Texts(Lines, can_focus=False, inherit_bindings=False):
    """Lines that are only read: they never take the keys."""
