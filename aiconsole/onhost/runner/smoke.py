"""The operator's own questions to a new slot: no release serves that answers them badly."""

from __future__ import annotations

import re

from aiconsole.onhost.runner.admin import Admin
from aiconsole.onhost.runner.steps.kind import Context, StepError
from aiconsole.onhost.wire import HostLayout, SmokePrompt

_SHOWN_CHARS = 200


def ask_smoke_prompts(
    layout: HostLayout, slot: str, prompts: tuple[SmokePrompt, ...], context: Context
) -> None:
    """Ask one after the other, telling how far that is.

    Raises:
        StepError: One was not answered, or not as expected; both texts are in it.
        Cancelled: The operator cancelled meanwhile.
    """
    admin = Admin(layout, slot)
    for number, smoke in enumerate(prompts, 1):
        context.cancel.raise_if_requested()
        context.say(f"Smoke prompt {number} of {len(prompts)}")
        named = f"smoke prompt {number} ({_shown(smoke.prompt)})"
        try:
            answer = admin.complete(
                smoke.prompt, smoke.max_tokens, smoke.timeout_s, chat=smoke.chat
            )
        except StepError as error:
            raise StepError(f"{named}: {error.text}", data=error.data) from error
        if missing := _missing(smoke, answer):
            raise StepError(
                f"{named} was answered {_shown(answer)}, which {missing}",
                data={"smoke": {"prompt": smoke.prompt, "answer": answer[:4000]}},
            )
    if prompts:
        context.say(f"Slot {slot} answered all {len(prompts)} smoke prompts as expected")


def _missing(smoke: SmokePrompt, answer: str) -> str:
    """What the answer lacks; empty where it is good."""
    if not answer.strip():
        return "is empty"
    if smoke.expect and smoke.expect not in answer:
        return f"does not hold {_shown(smoke.expect)}"
    if smoke.matches and not re.search(smoke.matches, answer):
        return f"does not match {_shown(smoke.matches)}"
    return ""


def _shown(text: str) -> str:
    text = "".join(c if c.isprintable() else " " for c in text)
    return f"`{text[:_SHOWN_CHARS]}…`" if len(text) > _SHOWN_CHARS else f"`{text}`"
