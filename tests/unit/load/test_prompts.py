"""Prompts from files and from nothing, and what goes out for each endpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aiconsole.errors import SettingsError
from aiconsole.load.body import body_of
from aiconsole.load.prompts import made_up, prompt_of, read_prompts
from aiconsole.load.spec import Pace, Prompt, Shape, Spec


def read(tmp_path: Path, text: str) -> tuple[Prompt, ...]:
    path = tmp_path / "prompts"
    path.write_bytes(text.encode())
    return read_prompts(path)


def test_lines_and_json_may_be_mixed(tmp_path: Path) -> None:
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    text = f"""Is the web server up?\r

    {json.dumps({"prompt": "Ünï", "max_tokens": 5})}
    {json.dumps({"messages": messages})}
    """
    assert read(tmp_path, text) == (
        Prompt("Is the web server up?"),
        Prompt("Ünï", (), 5),
        Prompt("", tuple(messages)),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no prompt"),
        ("\n \n", "holds no prompt"),
        ("fine\n{broken", "line 2 is not JSON"),
        ('{"prompt": "a", "temperature": 1}', "unknown field temperature"),
        ('{"max_tokens": 3}', "needs either prompt or messages"),
        ('{"prompt": "a", "messages": []}', "needs either prompt or messages"),
        ('{"prompt": 3}', "prompt is not a text"),
        ('{"prompt": ""}', "prompt is not a text"),
        ('{"prompt": "a", "max_tokens": -1}', "max_tokens is not a whole number"),
        ('{"prompt": "a", "max_tokens": true}', "max_tokens is not a whole number"),
        ('{"messages": []}', "not a list of messages"),
        ('{"messages": ["a"]}', "a message needs a role"),
    ],
)
def test_a_wrong_file_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        read(tmp_path, text)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        read_prompts(tmp_path / "none")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="not UTF-8"):
        read_prompts(tmp_path / "binary")


def test_made_up_prompts_are_varied_and_repeatable() -> None:
    texts = [made_up(30, 1, number) for number in range(200)]
    assert texts == [made_up(30, 1, number) for number in range(200)]
    assert len(set(texts)) == 200
    assert {len(text.split()) for text in texts} == {30}
    assert texts[0] != made_up(30, 2, 0)


def test_a_mark_makes_each_prompt_new_from_its_first_word() -> None:
    shape = Shape(unique_mark="ab12", prompts=(Prompt("same"),))
    texts = [prompt_of(shape, number).text for number in range(3)]
    assert texts == ["[ab12-0] same", "[ab12-1] same", "[ab12-2] same"]
    messages = ({"role": "system", "content": "be kind"}, {"role": "user", "content": "u"})
    marked = prompt_of(Shape(unique_mark="m", prompts=(Prompt("", messages),)), 4)
    assert marked.messages[0] == {"role": "system", "content": "[m-4] be kind"}
    parts = ({"role": "user", "content": [{"type": "text", "text": "x"}]},)
    marked = prompt_of(Shape(unique_mark="m", prompts=(Prompt("", parts),)), 4)
    assert marked.messages == ({"role": "system", "content": "[m-4] "}, *parts)


def test_without_a_mark_prompts_repeat() -> None:
    assert prompt_of(Shape(), 3) == prompt_of(Shape(), 103)
    shape = Shape(prompts=(Prompt("a"), Prompt("b")))
    assert [prompt_of(shape, n).text for n in range(4)] == ["a", "b", "a", "b"]


def sent(shape: Shape) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(body_of(Spec("http://x", shape, Pace()), 0))
    return found


def test_the_body_of_each_endpoint() -> None:
    prompts = (Prompt("hello", (), 9),)
    usage = {"include_usage": True}
    assert sent(Shape("chat", "m", temperature=0.0, prompts=prompts)) == {
        "model": "m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 9,
        "temperature": 0.0, "stream": True, "stream_options": usage,
    }  # fmt: skip
    assert sent(Shape("completions", "m", False, ignore_eos=True, prompts=prompts)) == {
        "model": "m", "prompt": "hello", "max_tokens": 9, "ignore_eos": True,
    }  # fmt: skip
    assert sent(Shape("embeddings", "m", prompts=prompts)) == {"model": "m", "input": "hello"}
    assert sent(Shape("generate", prompts=prompts)) == {
        "prompt": "hello", "max_tokens": 9, "stream": True,
    }  # fmt: skip


def test_long_prompts_are_as_long_as_asked() -> None:
    assert len(made_up(200_000, 1, 3).split()) == 200_000
    assert len({made_up(5, 1, number) for number in range(5000)}) > 4990
