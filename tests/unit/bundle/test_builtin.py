"""What the built-in model says to a newcomer, in the engine that serves it."""

import json
import subprocess
import sys

import pytest

from aiconsole.bundle.builtin import BUILTIN

ASK = """
import json, os, sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.n_ctx, params.n_parallel, params.cpuparams.n_threads = 2048, 1, 1
server = xllamacpp.Server(params)
for messages in json.loads(sys.argv[2]):
    answer = server.handle_chat_completions(
        dict(messages=messages, max_tokens=300, temperature=0)
    )
    choice = answer["choices"][0]
    print(json.dumps([choice["finish_reason"], choice["message"]["content"]]), flush=True)
os._exit(0)
"""
# In a process of its own: the engine's destructor can hang, so it is left without one.


def ask(*talks: list[dict[str, str]]) -> list[tuple[str, str]]:
    argv = [sys.executable, "-c", ASK, str(BUILTIN.path), json.dumps(talks)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True)
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


QUESTIONS = {
    "Hello!": "Hello",
    "Is the web server up?": "status|fleet screen",
    "What can you do?": "tiny model|story",
    "Who are you?": "tiny|small",
    "What is SSH?": "log in to another machine",
    "What is the capital of France?": "Paris",
    "Tell me a joke": "?",
    "Can you write me a compiler for Fortran?": "too hard|do not know|too small",
}


def test_it_answers_in_plain_english_and_stops_by_itself() -> None:
    answers = ask(*(said(question) for question in QUESTIONS))
    for (question, expected), (reason, text) in zip(QUESTIONS.items(), answers, strict=True):
        assert reason == "stop", question
        assert any(part in text for part in expected.split("|")), (question, text)
        assert text.isascii()
        assert text[-1] in ".!?"


def test_a_long_conversation_stays_within_its_context() -> None:
    talk = []
    for _ in range(60):
        talk += [*said("Tell me a story"), {"role": "assistant", "content": "A fox sang. " * 20}]
    talk += [*said("Hello"), {"role": "assistant", "content": "Hello! How can I help you?"}]
    talk += said("What is SSH?")
    ((reason, text),) = ask(talk)
    assert reason == "stop"
    assert "log in to another machine" in text


@pytest.mark.parametrize("text", ["日本語", "😀", "x" * 600, "very " * 300, "", "{{ 7*7 }}"])
def test_odd_input_gets_some_answer(text: str) -> None:
    ((reason, _),) = ask(said(text))
    assert reason in ("stop", "length")
