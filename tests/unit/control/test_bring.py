"""Secrets that come with a deploy: from a file, or typed once for all hosts."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiconsole.control.bring import Brought, parse_credential
from aiconsole.errors import AiconsoleError, RefusedError, SettingsError
from aiconsole.question import Answer, Question, ask_nobody
from aiconsole.secret import Secret


async def test_a_file_is_read_without_its_line_end(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sesame\n")
    found = await Brought([f"one={file}"]).secrets(ask_nobody)
    assert found["one"].reveal() == "sesame"
    assert "sesame" not in repr(found)


async def test_the_operator_is_asked_once_for_all_hosts() -> None:
    asked: list[Question] = []

    async def ask(question: Question) -> Answer:
        asked.append(question)
        return Secret("typed")

    brought = Brought(["one=-"])
    assert (await brought.secrets(ask))["one"].reveal() == "typed"
    assert await brought.secrets(ask) is await brought.secrets(ask)
    assert [question.kind for question in asked] == ["secret"]
    with pytest.raises(RefusedError) as caught:
        await Brought(["one=-"]).secrets(ask_nobody)
    assert "--credential one=FILE" in caught.value.hint


@pytest.mark.parametrize("text", ["sk-live-1188", "=file", "a/b=file", "one=", "-x=file"])
def test_what_is_no_pair_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_credential(text)
    assert text not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\n", b"\xffsecret", b"x" * 70_000])
async def test_a_file_that_holds_no_secret_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    with pytest.raises(AiconsoleError) as caught:
        await Brought([f"one={file}"]).secrets(ask_nobody)
    assert str(file) in caught.value.detail
    assert "secret" not in caught.value.detail
    assert caught.value.__cause__ is None
    with pytest.raises(SettingsError, match="No such file"):
        await Brought([f"one={tmp_path / 'none'}"]).secrets(ask_nobody)
