"""One operation: plan with diff, question, progress by step, result."""

from __future__ import annotations

import time
from typing import ClassVar

from textual import getters
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical

from aiconsole.tui.operation import Operation
from aiconsole.tui.present.line import Line, Piece, fit, line
from aiconsole.tui.present.operation import operation_lines
from aiconsole.tui.present.outcome import error_lines, outcome_lines, short_state
from aiconsole.tui.present.progress import HostProgress
from aiconsole.tui.screens.console import ConsoleScreen
from aiconsole.tui.state import ConsoleState
from aiconsole.tui.widgets.rows import Lines


class OperationScreen(ConsoleScreen):
    """Draws an operation; leaving the screen does not stop it."""

    VIEW = "operation"
    CSS_PATH = "screen.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l,right", "next_host(1)", "Next host of the operation"),
        Binding("h,left", "next_host(-1)", "Host before"),
    ]

    hosts = getters.query_one("#hosts", Lines)
    steps = getters.query_one("#steps", Lines)
    outcome = getters.query_one("#outcome", Lines)

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self._chosen = ""
        self._diff: bool | None = None

    @property
    def operation(self) -> Operation:
        """What is shown."""
        return self.console_app.state.operation(self.number)

    @property
    def targets(self) -> tuple[str, ...]:
        """The host whose steps are shown."""
        return (self.host_name,) if self.host_name else ()

    @property
    def host_name(self) -> str:
        """The chosen host, or the one at work, or the one that failed, or the last one."""
        if self._chosen:
            return self._chosen
        hosts = tuple(self.operation.hosts.values())
        working = [host.host for host in hosts if host.result is None and host.phases]
        failed = [host.host for host in hosts if host.result and host.result.exit_code == 2]
        ended = [host.host for host in hosts if host.result is not None]
        candidates = (*working, *failed, *reversed(ended), *self.operation.host_names)
        return candidates[0]

    @property
    def shown_run(self) -> tuple[str, str] | None:
        """The run of the shown host, until its result is known."""
        progress = self.operation.hosts[self.host_name]
        if self.operation.ended or progress.result is not None or not progress.run_id:
            return None
        return progress.host, progress.run_id

    def path(self) -> tuple[str, ...]:
        """The operation's title."""
        return (self.operation.title,)

    def compose_body(self) -> ComposeResult:
        """Hosts at the left where there are several, steps, and how it stands."""
        with Horizontal(id="body"):
            yield Lines(id="hosts", classes="panel")
            with Vertical():
                yield Lines(id="steps", classes="panel")
                yield Lines(id="outcome", classes="panel")

    def on_mount(self) -> None:
        """The steps have the keys."""
        self.steps.focus()

    def draw_body(self, state: ConsoleState) -> None:
        """Show how far it is on each host."""
        operation, name = self.operation, self.host_name
        progress = operation.hosts[name]
        several = len(operation.host_names) > 1
        self.hosts.display = several
        if several:
            self.hosts.entitle("Hosts")
            self.hosts.show(self._host_lines(operation, name))
        self.steps.entitle(name, f"run {progress.run_id}" if progress.run_id else "")
        lines = operation_lines(
            progress, time.monotonic(), self.steps.inner_width, self._shows_diff(progress)
        )
        self._show_steps(lines, progress)
        self._draw_outcome(operation, progress)

    def toggle_diff(self) -> None:
        """Show or hide what the steps change in files."""
        self._diff = not self._shows_diff(self.operation.hosts[self.host_name])
        self.draw()

    def action_next_host(self, step: int) -> None:
        """Look at another host of the operation."""
        names = self.operation.host_names
        self._chosen = names[(names.index(self.host_name) + step) % len(names)]
        self.draw()

    def _shows_diff(self, progress: HostProgress) -> bool:
        """Until something runs, the plan is what the operator reads."""
        if self._diff is not None:
            return self._diff
        return progress.result is None and all(step.state == "waiting" for step in progress.steps)

    def _show_steps(self, lines: tuple[Line, ...], progress: HostProgress) -> None:
        self.steps.show(lines)
        part = progress.working
        if part is None or part not in progress.steps or self._diff:
            return
        # Keep the step at work in sight, with two lines of what comes next.
        row = next(
            (i for i, pieces in enumerate(lines) if len(pieces) > 1 and "▶" in pieces[1].text), 0
        )
        bottom = self.steps.scroll_offset.y + self.steps.size.height
        if row + 2 >= bottom:
            self.steps.scroll_to(y=row + 3 - self.steps.size.height, animate=False)

    def _draw_outcome(self, operation: Operation, progress: HostProgress) -> None:
        lines = outcome_lines(progress, operation.ended)
        if operation.error is not None and progress.result is None:
            lines = error_lines(operation.error)
        self.outcome.entitle("Result" if progress.result else "Now")
        height = min(10, len(lines) + 2)
        if self.outcome.size.height != height - 2:
            self.outcome.styles.height = height
        failed = progress.result is not None and progress.result.exit_code == 2
        self.outcome.set_class(failed or operation.error is not None, "-failed")
        self.outcome.set_class(bool(progress.link_lost), "-unknown")
        self.outcome.show(lines)

    def _host_lines(self, operation: Operation, chosen: str) -> tuple[Line, ...]:
        lines = []
        for name in operation.host_names:
            glyph, words, style = short_state(operation.hosts[name])
            edge = Piece("▌" if name == chosen else " ", "accent")
            lines.append(
                line(edge, Piece(f"{glyph} ", style), Piece(fit(name, 12), "strong"),
                     Piece(f" {words}", style))
            )  # fmt: skip
        return tuple(lines)
