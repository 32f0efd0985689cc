"""The examples of docs/service.md are settings that the daemon takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aiconsole.control.service_settings import check_settings

DOC = Path(__file__).parents[3] / "docs" / "service.md"
EXAMPLES = re.findall(r"```toml\n(.*?)```", DOC.read_text(encoding="utf-8"), re.DOTALL)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 5


@pytest.mark.parametrize("text", EXAMPLES)
async def test_an_example_can_be_deployed(text: str) -> None:
    settings = await check_settings("service.toml", text)
    assert settings.text == text
