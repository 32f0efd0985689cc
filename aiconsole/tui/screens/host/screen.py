"""One host: its service, its live graphs, its newest runs; a digit enlarges a panel."""

from __future__ import annotations

import time
from typing import ClassVar

from textual import getters
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical

from aiconsole import units
from aiconsole.telemetry.sample import HostView
from aiconsole.tui.present.health import FRESHNESS_STYLE, freshness, mark_of
from aiconsole.tui.present.host_panels import GRAPHS, PanelName, panel_lines
from aiconsole.tui.present.inferd_panel import inferd_lines
from aiconsole.tui.present.line import Line, Piece, line
from aiconsole.tui.present.plot import legend, plot
from aiconsole.tui.present.runs_panel import runs_lines
from aiconsole.tui.screens.console import ConsoleScreen
from aiconsole.tui.state import ConsoleState
from aiconsole.tui.widgets.rows import Lines, Texts

PANELS: tuple[tuple[PanelName, str], ...] = (
    ("inferd", "inferd"), ("cpu", "CPU"), ("memory", "Memory"), ("gpu", "GPU"),
    ("network", "Network"), ("disk", "Disk"), ("runs", "Runs"),
)  # fmt: skip
_DIGITS = "¹²³⁴⁵⁶⁷"


class HostScreen(ConsoleScreen):
    """Draws one host; while it is dead its last readings are dim and say how old they are."""

    VIEW = "host"
    CSS_PATH = "screen.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (114, "-wide")]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(str(number), f"enlarge('{name}')", f"Enlarge {title}, or make it small again")
        for number, (name, title) in enumerate(PANELS, 1)
    ]

    state_line = getters.query_one("#state", Texts)
    large = getters.query_one("#large", Lines)

    def __init__(self, host_name: str) -> None:
        super().__init__()
        self.host_name = host_name
        self._enlarged: PanelName | None = None

    @property
    def targets(self) -> tuple[str, ...]:
        """This host."""
        return (self.host_name,)

    def path(self) -> tuple[str, ...]:
        """Below the fleet."""
        return ("fleet", self.host_name)

    def compose_body(self) -> ComposeResult:
        """The line of the state, the service, two rows of graphs, and the enlarged panel."""
        yield Texts(id="state")
        with Vertical(id="grid"):
            yield Lines(id="inferd", classes="panel")
            with Horizontal(classes="row"):
                for name in ("cpu", "memory", "gpu"):
                    yield Lines(id=name, classes="panel")
            with Horizontal(classes="row"):
                for name in ("network", "disk", "runs"):
                    yield Lines(id=name, classes="panel")
        yield Lines(id="large", classes="panel")

    def on_mount(self) -> None:
        """Titles stay as they are; the service has the keys."""
        for digit, (name, title) in zip(_DIGITS, PANELS, strict=True):
            self.query_one(f"#{name}", Lines).entitle(f"{digit} {title}")
        self.query_one("#inferd", Lines).focus()

    def draw_body(self, state: ConsoleState) -> None:
        """Show the newest readings."""
        view = state.snapshot.host(self.host_name)
        if view is None:
            self.state_line.show((line(Piece(f" {self.host_name} is not in the fleet", "bad")),))
            return
        age_s = view.sample.age_s(state.now_monotonic_s)
        live = mark_of(view, age_s, state.interval_s).word == "up"
        self.state_line.show((_state_line(view, age_s, state.interval_s),))
        if self._enlarged is not None:
            self._draw_large(view, self._enlarged, state)
            return
        for name, _ in PANELS:
            panel = self.query_one(f"#{name}", Lines)
            panel.show(self._lines_of(name, view, panel, state, live))

    def step_back(self) -> bool:
        """An enlarged panel becomes small again."""
        if self._enlarged is None:
            return False
        self.action_enlarge(self._enlarged)
        return True

    def action_enlarge(self, name: PanelName) -> None:
        """Give the whole screen to a panel, or give it back."""
        self._enlarged = None if self._enlarged == name else name
        self.set_class(self._enlarged is not None, "-large")
        self.query_one(f"#{name}" if self._enlarged is None else "#large", Lines).focus()
        self.call_after_refresh(self.draw)

    def _lines_of(
        self, name: PanelName, view: HostView, panel: Lines, state: ConsoleState, live: bool
    ) -> tuple[Line, ...]:
        if name == "inferd":
            return inferd_lines(view, panel.inner_width, live)
        if name == "runs":
            return self._runs(state)
        return panel_lines(name, view, panel.inner_width, panel.size.height, live)

    def _runs(self, state: ConsoleState) -> tuple[Line, ...]:
        listed = state.runs.get(self.host_name)
        if listed is None:
            return (line(Piece("reading the runs…", "dim")),)
        return runs_lines(self.host_name, listed.runs, listed.error, time.time())

    def _draw_large(self, view: HostView, name: PanelName, state: ConsoleState) -> None:
        digit = _DIGITS[[panel for panel, _ in PANELS].index(name)]
        title = f"{digit} {dict(PANELS)[name]} · {view.name}"
        self.large.entitle(title, "Esc makes it small again")
        if name == "runs":
            self.large.show(self._runs(state))
            return
        graphs = GRAPHS[name]
        rows = self.large.size.height // len(graphs)
        lines: list[Line] = []
        for graph in graphs:
            curves = graph.data(view)
            lines.append(legend(curves, graph.label))
            lines += plot(
                curves, view.history.times_unix_s, self.large.inner_width, rows - 1, graph.label,
                graph.top, self.console_app.ascii_only,
            )  # fmt: skip
        self.large.show(tuple(lines))


def _state_line(view: HostView, age_s: float | None, interval_s: float) -> Line:
    mark = mark_of(view, age_s, interval_s)
    pieces = [Piece(f" {mark.glyph} {mark.word}", mark.style)]
    if view.sample.reason:
        pieces.append(Piece(f"  {view.sample.reason}", mark.style))
    if age_s is not None:
        fresh = freshness(age_s, interval_s)
        text = f"  read {units.age_text(age_s)} ago"
        if mark.word != "up":
            text += ": what is shown below is not the present"
        pieces.append(Piece(text, FRESHNESS_STYLE[fresh]))
    if view.sample.frame is not None and view.sample.frame.host.uptime_s is not None:
        up_s = view.sample.frame.host.uptime_s
        pieces.append(Piece(f"  up for {units.span_text(up_s)}", "dim"))
    return tuple(pieces)
