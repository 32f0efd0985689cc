"""Which class does which kind of step; a kind is loaded when a plan has it."""

from __future__ import annotations

import functools
import importlib
from typing import Any

from aiconsole.onhost.runner.steps.kind import StepKind
from aiconsole.onhost.wire import STEP_KINDS, Step

_KINDS = {kind: (f"aiconsole.onhost.runner.steps.{kind}", f"{kind.capitalize()}Kind")
          for kind in STEP_KINDS}  # fmt: skip
"""Kind of step to module and class: `file` is done by `steps/file.py:FileKind`."""


def kind_of(step: Step) -> StepKind[Any]:
    """The one object that does steps of this kind."""
    return _load(step.kind)


@functools.cache
def _load(kind: str) -> StepKind[Any]:
    module, name = _KINDS[kind]
    made: StepKind[Any] = getattr(importlib.import_module(module), name)()
    return made
