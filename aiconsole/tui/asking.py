"""The screen's answer to `Ask`: one question at a time, as a modal over whatever is shown."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiconsole.question import Answer, Question
from aiconsole.tui.screens.modals.choice import ChoiceModal
from aiconsole.tui.screens.modals.confirm import ConfirmModal
from aiconsole.tui.screens.modals.entry import EntryModal
from aiconsole.tui.screens.modals.question import QuestionModal

if TYPE_CHECKING:
    from textual.app import App


class Asker:
    """Asks the operator; several operations that ask at once wait for each other."""

    def __init__(self, app: App[None]) -> None:
        self._app = app
        self._turn = asyncio.Lock()

    async def ask(self, question: Question) -> Answer:
        """Show the question and wait for its answer; None where the operator turned away."""
        async with self._turn:
            modal = modal_for(question)
            answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

            def take(answer: Answer) -> None:
                if not answered.done():
                    answered.set_result(answer)

            await self._app.push_screen(modal, take)
            try:
                return await answered
            finally:
                # The asking operation may have been cancelled: its question goes with it.
                if modal.is_active:
                    modal.dismiss(None)


def modal_for(question: Question) -> QuestionModal:
    """The modal of each kind of question."""
    match question.kind:
        case "confirm":
            return ConfirmModal(question)
        case "choice":
            return ChoiceModal(question)
        case "secret" | "text":
            return EntryModal(question)
