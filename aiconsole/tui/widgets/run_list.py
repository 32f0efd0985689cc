"""The runs of a host, one under the cursor; Enter follows it, or shows how it went."""

from __future__ import annotations

import time
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from aiconsole.onhost.wire import RunSummary
from aiconsole.tui.present.line import Line
from aiconsole.tui.present.runs_panel import run_line
from aiconsole.tui.widgets.rows import Lines


class RunList(Lines):
    """Holds the runs themselves, newest first; the cursor stays on its run when new ones come."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Follow this run, or read how it went"),
    ]

    class Chosen(Message):
        """The operator wants to see a run."""

        def __init__(self, run_id: str) -> None:
            super().__init__()
            self.run_id = run_id

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._runs: tuple[RunSummary, ...] = ()
        self._host = ""
        self._cursor = ""

    def list_runs(self, host: str, runs: tuple[RunSummary, ...]) -> None:
        """Show these runs; `show` says something else in their place."""
        self._host, self._runs = host, runs
        if runs and self._cursor not in {run.run_id for run in runs}:
            self._cursor = runs[0].run_id
        now_s = time.time()
        super().show(tuple(run_line(host, run, now_s, self.inner_width) for run in runs))

    def show(self, lines: tuple[Line, ...]) -> None:
        """Say something where there are no runs to choose from."""
        self._runs = ()
        super().show(lines)

    def move(self, rows: int) -> None:
        """Move the cursor; it stops at the ends."""
        if not self._runs:
            super().move(rows)
            return
        at = min(len(self._runs) - 1, max(0, self._index() + rows))
        self._cursor = self._runs[at].run_id
        if at < self.scroll_offset.y:
            self.scroll_to(y=at, animate=False)
        elif at >= self.scroll_offset.y + self.size.height:
            self.scroll_to(y=at - self.size.height + 1, animate=False)
        self.repaint_all()

    def row_is_under_cursor(self, index: int) -> bool:
        """True for the run that Enter shows; without the keys there is no cursor."""
        return self.has_focus and index < len(self._runs) and index == self._index()

    def on_focus(self) -> None:
        """The cursor comes with the keys."""
        self.repaint_all()

    def on_blur(self) -> None:
        """And goes with them."""
        self.repaint_all()

    def action_choose(self) -> None:
        """Show the run under the cursor."""
        if self._runs:
            self.post_message(self.Chosen(self._runs[self._index()].run_id))

    def _index(self) -> int:
        ids = [run.run_id for run in self._runs]
        return ids.index(self._cursor) if self._cursor in ids else 0
