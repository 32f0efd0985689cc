"""Questions to one operator about several hosts."""

from __future__ import annotations

import asyncio

from aiconsole.question import Answer, Question, in_turn


async def test_questions_come_one_after_another() -> None:
    open_now: list[str] = []
    most = 0

    async def ask(question: Question) -> Answer:
        nonlocal most
        open_now.append(question.title)
        most = max(most, len(open_now))
        await asyncio.sleep(0)
        open_now.remove(question.title)
        return question.title == "web1"

    asked = in_turn(ask)
    questions = [Question("confirm", name) for name in ("web1", "web2", "web3")]
    assert await asyncio.gather(*map(asked, questions)) == [True, False, False]
    assert most == 1
