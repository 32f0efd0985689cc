"""One host: its service, its live graphs, its newest runs; a digit enlarges a panel."""

from __future__ import annotations

from typing import ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical

from aiconsole.telemetry.sample import HostView
from aiconsole.tui.failure import failure_of
from aiconsole.tui.present.health import mark_of
from aiconsole.tui.present.host_panels import GRAPHS, PanelName, panel_lines
from aiconsole.tui.present.host_state import state_lines
from aiconsole.tui.present.inferd_panel import inferd_lines
from aiconsole.tui.present.line import Line, Piece, line
from aiconsole.tui.present.plot import legend, plot
from aiconsole.tui.present.wrap import wrap
from aiconsole.tui.screens.console import ConsoleScreen
from aiconsole.tui.state import ConsoleState
from aiconsole.tui.widgets.rows import Lines, Texts
from aiconsole.tui.widgets.run_list import RunList

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
    large_runs = getters.query_one("#large-runs", RunList)

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
                for name in ("network", "disk"):
                    yield Lines(id=name, classes="panel")
                yield RunList(id="runs", classes="panel")
        yield Lines(id="large", classes="panel")
        yield RunList(id="large-runs", classes="panel")

    def on_mount(self) -> None:
        """Titles stay as they are; the service has the keys."""
        for digit, (name, title) in zip(_DIGITS, PANELS, strict=True):
            self.query_one(f"#{name}", Lines).entitle(f"{digit} {title}")
        self.query_one("#inferd", Lines).focus()

    def draw_body(self, state: ConsoleState) -> None:
        """Show the newest readings."""
        view = state.snapshot.host(self.host_name)
        if view is None:
            self._draw_gone()
            return
        age_s = view.sample.age_s(state.now_monotonic_s)
        live = mark_of(view, age_s, state.interval_s).word == "up"
        self._draw_state(view, age_s, state.interval_s)
        if self._enlarged is not None:
            self._draw_large(view, self._enlarged, state)
            return
        self._draw_runs(self.query_one("#runs", RunList), state)
        for name, _ in PANELS:
            if name != "runs":
                panel = self.query_one(f"#{name}", Lines)
                panel.show(self._lines_of(name, view, panel, live))

    def step_back(self) -> bool:
        """An enlarged panel becomes small again."""
        if self._enlarged is None:
            return False
        self.action_enlarge(self._enlarged)
        return True

    def action_enlarge(self, name: PanelName) -> None:
        """Give the whole screen to a panel, or give it back."""
        self._enlarged = None if self._enlarged == name else name
        self.set_class(self._enlarged not in (None, "runs"), "-large")
        self.set_class(self._enlarged == "runs", "-large-runs")
        large = "large-runs" if name == "runs" else "large"
        self.query_one(f"#{name}" if self._enlarged is None else f"#{large}", Lines).focus()
        self.call_after_refresh(self.draw)

    @on(RunList.Chosen)
    def _run_chosen(self, event: RunList.Chosen) -> None:
        self.console_app.desk.attach(self.host_name, event.run_id)

    def _lines_of(
        self, name: PanelName, view: HostView, panel: Lines, live: bool
    ) -> tuple[Line, ...]:
        if name == "inferd":
            return inferd_lines(view, panel.inner_width, live)
        return panel_lines(name, view, panel.inner_width, panel.size.height, live)

    def _draw_runs(self, panel: RunList, state: ConsoleState) -> None:
        listed = state.runs.get(self.host_name)
        if listed is None:
            panel.show((line(Piece("reading the runs…", "dim")),))
        elif listed.error is not None:
            failure = failure_of(listed.error)
            panel.show(wrap(failure.title, max(10, panel.inner_width), "dim"))
        elif not listed.runs:
            panel.show((line(Piece("nothing was done here yet: d deploys", "dim")),))
        else:
            panel.list_runs(self.host_name, listed.runs)

    def _draw_state(self, view: HostView, age_s: float | None, interval_s: float) -> None:
        lines = state_lines(view, age_s, interval_s, self.size.width)
        if self.state_line.size.height != len(lines):
            self.state_line.styles.height = len(lines)
        self.state_line.show(lines)

    def _draw_gone(self) -> None:
        """Nothing of a host that is not watched any more looks live."""
        gone = line(Piece(f" {self.host_name} is not in the fleet", "bad"))
        self.state_line.show((gone,))
        for panel in self.query("#grid Lines, #large, #large-runs").results(Lines):
            panel.show(())

    def _draw_large(self, view: HostView, name: PanelName, state: ConsoleState) -> None:
        digit = _DIGITS[[panel for panel, _ in PANELS].index(name)]
        title = f"{digit} {dict(PANELS)[name]} · {view.name}"
        if name == "runs":
            self.large_runs.entitle(title, "Enter shows a run, Esc makes it small again")
            self._draw_runs(self.large_runs, state)
            return
        self.large.entitle(title, "Esc makes it small again")
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
