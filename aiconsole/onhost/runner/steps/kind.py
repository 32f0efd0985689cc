"""What a kind of step implements, and what it is given."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from aiconsole.onhost.runner.cancel import NEVER, Cancel
from aiconsole.onhost.wire import HostLayout, Step, StepCheck


class StepError(Exception):
    """A step could not do its work; the run takes everything back.

    Attributes:
        text: One line for the operator: what was seen, with names and numbers.
        hint: What to do next; may be empty.
        data: What the event carries beside it, such as `{"log": [last lines]}`.
    """

    def __init__(self, text: str, hint: str = "", data: dict[str, Any] | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.hint = hint
        self.data = data or {}

    def as_data(self) -> dict[str, Any]:
        """What the event of the failure carries: the data, and the hint where there is one."""
        return {**self.data, "hint": self.hint} if self.hint else self.data


class Say(Protocol):
    """Tells the operator how far a step is; becomes a `step-progress` event."""

    def __call__(
        self,
        text: str = "",
        done_bytes: int = 0,
        total_bytes: int = 0,
        data: dict[str, Any] | None = None,
    ) -> None:
        """Write one event. It costs an fsync: call it at most a few times a second."""


def say_nothing(
    text: str = "",
    done_bytes: int = 0,
    total_bytes: int = 0,
    data: dict[str, Any] | None = None,
) -> None:
    """For checks, which report nothing on the way."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a step may use of the run that it belongs to."""

    layout: HostLayout
    run_id: str = ""
    run_dir: Path = field(default_factory=Path)
    """`runs/<id>`; does not exist during a check."""
    tool_path: str = ""
    """Path of the tool at work, empty where the runner does not run from one."""
    say: Say = say_nothing
    cancel: Cancel = NEVER
    """Look at it in every loop of `apply`: `context.cancel.raise_if_requested()`, or sleep with
    `context.cancel.wait(seconds)`. In `check` and `undo` it never comes."""
    planned: frozenset[str] = frozenset()
    """Paths, and names of users, that earlier steps of the plan make: a check that misses one of
    these answers `unknown` or `create`, not a problem."""

    def undo_dir(self, step_id: str) -> Path:
        """Private directory of one step for what its undo needs; exists during save and apply."""
        return self.run_dir / "undo" / step_id

    def secret_file(self, name: str) -> Path:
        """Where `start` laid the secret `name`; `name.cred` beside it where it was encrypted."""
        return self.run_dir / "secrets" / name


S = TypeVar("S", bound=Step, contravariant=True)


class StepKind(Protocol[S]):
    """How one kind of step is checked, applied and taken back. Stateless: one instance for all.

    The runner calls `check`; unless the answer is `none` it writes the `step-started` event,
    stores what `save` returned in `runs/<id>/undo/<step-id>.json` (fsynced), and calls `apply`.
    Any exception other than StepError, Cancelled and OSError is a defect of the runner, and is
    undone like them.
    """

    def check(self, step: S, context: Context) -> StepCheck:
        """Say what `apply` would change, without changing anything.

        Raises:
            StepError: The answer could not be found.
        """

    def save(self, step: S, context: Context) -> dict[str, Any]:
        """Return, as JSON, what `undo` needs to bring back the state of now.

        It changes nothing outside `context.undo_dir(step.id)`.
        """

    def apply(self, step: S, context: Context) -> None:
        """Do it. May be killed at any instruction: `undo` must cope with every half-way state.

        Raises:
            StepError: It could not be done.
            Cancelled: `context.cancel` was requested meanwhile.
        """

    def undo(self, step: S, context: Context, saved: dict[str, Any]) -> None:
        """Bring back the state that `save` saw, from any half-way state, and twice if need be.

        Raises:
            StepError: The host is not as before; the text says what is left.
        """
