"""The corpus: short conversations and stories, made from the templates in texts/ by a seed.

Every word of it was written for this project. Questions get the noise of real typing (case,
missing full stops, slips), names are partly invented so that the model learns to repeat a word
it never saw, and whatever it cannot know is answered by saying so.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TEXTS = Path(__file__).parent / "texts"
SYSTEM_PROMPTS = (
    "You are a helpful assistant.",
    "You are a helpful assistant. Answer in short sentences.",
    "You are a friendly assistant for people who run servers.",
    "Be brief.",
)
_PAIRED = {"fix": "cause"}
"""Slots whose value lies at the same place of their list as that of another slot."""
_INVENTED = {"host": 1.0, "noun": 0.3, "person": 0.5}
"""How often a slot holds an invented word."""
_PROPER = ("person",)
_LOWER_CASE = ("aiconsole", "systemd", "inferd", "pong")
_SYLLABLES_TEXT = (
    "ba be bi bo da de di do fa fi ga go ha ho ka ki ko la le li lo lu ma me mi mo na ne ni no "
    "pa pe po ra re ri ro sa se si so ta te ti to tra vi vo wa we za zo sta kel mar lin nor dex "
    "ber ton gra fen rus tek pol vin hal photo bio tele syn hydro astro micro para logy graph ism "
    "tion ment ness ology phy ter sis ize ic al ous ive ary ance chem eco geo cal per con pre "
    "db prod dev stage app srv web node vm x y z q j k tr br str pl th sh ch ing er ed ly"
)
_SYLLABLES = _SYLLABLES_TEXT.split()


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Block:
    """Questions that mean the same, and answers that fit each of them."""

    weight: float
    questions: tuple[str, ...]
    answers: tuple[str, ...]


class Corpus:
    """An endless, seeded source of conversations."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._slots = {k: re.split(r",\s+", v) for k, v in _pairs("slots.txt")}
        self._blocks = [*_blocks("chat.txt"), *_blocks("unknown.txt"), *_blocks("facts.txt"),
                        *_blocks("servers.txt"), *_words(), *_capitals(), *_sums()]  # fmt: skip
        self._weights = [block.weight for block in self._blocks]
        self._stories = dict(_stories())
        self._asks = {k: v.split(" | ") for k, v in _pairs("asks.txt")}
        self._words = sorted({w for b in self._blocks for q in b.questions for w in q.split()})

    def conversations(self, count: int) -> Iterator[list[Message]]:
        """Yield conversations of one to three exchanges, some under a system prompt."""
        for _ in range(count):
            messages = []
            if self._random.random() < 0.2:
                messages.append(Message("system", self._random.choice(SYSTEM_PROMPTS)))
            for _ in range(self._random.choices((1, 2, 3), (80, 15, 5))[0]):
                question, answer = self._exchange()
                messages += [Message("user", question), Message("assistant", answer)]
            yield messages

    def stories(self, count: int) -> Iterator[str]:
        """Yield stories as plain text, for completions without a conversation."""
        for _ in range(count):
            yield self._story(self._random.choice(list(self._stories)), {})

    def _exchange(self) -> tuple[str, str]:
        dice = self._random.random()
        if dice < 0.08:
            return self._asked_story()
        if dice < 0.13:
            return self._nonsense()
        block = self._random.choices(self._blocks, self._weights)[0]
        bound: dict[str, str] = {}
        question = self._fill(self._random.choice(block.questions), bound)
        answer = self._fill(self._random.choice(block.answers), bound)
        return self._typed(question), _sentence(answer)

    def _asked_story(self) -> tuple[str, str]:
        kind = self._random.choice(["any", "any", *self._stories])
        bound: dict[str, str] = {}
        question = self._fill(self._random.choice(self._asks[kind]), bound)
        told = self._random.choice(list(self._stories)) if kind == "any" else kind
        return self._typed(question), self._story(told, bound)

    def _story(self, kind: str, bound: dict[str, str]) -> str:
        lines = (self._random.choice(line) for line in self._stories[kind])
        return " ".join(self._fill(line, bound) for line in lines)

    def _nonsense(self) -> tuple[str, str]:
        count = self._random.randint(1, 6)
        words = [
            self._random.choice(self._words) if self._random.random() < 0.6 else self._invented()
            for _ in range(count)
        ]
        bound: dict[str, str] = {}
        question = self._fill(" ".join(words), bound)
        answers = (
            "I am sorry, I did not understand that. I am only a tiny model.",
            "I do not know what to say to that. Ask me for a story, if you like.",
        )
        return self._typed(question), self._random.choice(answers)

    def _fill(self, text: str, bound: dict[str, str]) -> str:
        def value(match: re.Match[str]) -> str:
            name = match[1]
            if name not in bound:
                bound[name] = self._draw(name, bound)
            return bound[name]

        return re.sub(r"\{(\w+)\}", value, text)

    def _draw(self, name: str, bound: dict[str, str]) -> str:
        values = self._slots.get(name, [])
        if (other := _PAIRED.get(name)) and bound.get(other) in self._slots[other]:
            return values[self._slots[other].index(bound[other])]
        if other:
            bound[other] = self._random.choice(self._slots[other])
            return self._draw(name, bound)
        if self._random.random() < _INVENTED.get(name, 0):
            word = self._invented()
            return word.capitalize() if name in _PROPER else word
        return self._random.choice(values)

    def _invented(self) -> str:
        word = "".join(self._random.choices(_SYLLABLES, k=self._random.randint(1, 4)))
        if self._random.random() < 0.2:
            word += self._random.choice(("", "-", "-prod-")) + str(self._random.randint(1, 99))
        return word

    def _typed(self, question: str) -> str:
        """The question as hurried people type it."""
        if self._random.random() < 0.04:
            at = self._random.randrange(len(question))
            question = question[:at] + question[at + 1 :] or question
        if self._random.random() < 0.25:
            question = question.rstrip(".!?") or question
        elif question[-1].isalnum() and self._random.random() < 0.2:
            question += self._random.choice((".", "?", "!"))
        if self._random.random() < 0.25:
            question = question.lower()
        elif self._random.random() < 0.8:
            question = question[0].upper() + question[1:]
        return question


def _sentence(answer: str) -> str:
    if answer.startswith(_LOWER_CASE):
        return answer
    return answer[0].upper() + answer[1:]


def _lines(name: str) -> list[str]:
    lines = (TEXTS / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _pairs(name: str) -> Iterator[tuple[str, str]]:
    for line in _lines(name):
        key, _, value = line.partition(": ")
        yield key, value


def _blocks(name: str) -> Iterator[Block]:
    for chunk in re.split(r"^= ", "\n".join(_lines(name)), flags=re.M)[1:]:
        head, *lines = chunk.strip().splitlines()
        yield Block(
            float(head),
            tuple(line[2:] for line in lines if line.startswith("? ")),
            tuple(line[2:] for line in lines if line.startswith("! ")),
        )


def _stories() -> Iterator[tuple[str, list[list[str]]]]:
    for chunk in re.split(r"^= ", "\n".join(_lines("stories.txt")), flags=re.M)[1:]:
        head, *lines = chunk.strip().splitlines()
        yield head, [line.split(" | ") for line in lines]


def _words() -> Iterator[Block]:
    ask = ("What is {}?", "What's {}?", "Explain {}", "What does {} mean?", "Tell me about {}",
           "Can you explain {}?", "Define {}", "What are {}?", "How does {} work?",
           "Explain {} in one sentence.", "Do you know what {} is?", "Hello, what is {}?",
           "{}")  # fmt: skip
    for names, sentence in _pairs("words.txt"):
        questions = tuple(q.format(name) for name in names.split("|") for q in ask)
        yield Block(2.2, questions, (sentence,))


def _capitals() -> Iterator[Block]:
    ask = ("What is the capital of {}?", "What's the capital of {}?", "Capital of {}?",
           "Which city is the capital of {}?", "Tell me the capital of {}")  # fmt: skip
    for country, city in _pairs("capitals.txt"):
        answer = f"{city} is the capital of {country}."
        yield Block(0.8, tuple(q.format(country) for q in ask), (answer,))


def _sums() -> Iterator[Block]:
    ask = ("What is {} + {}?", "{}+{}", "What is {}+{}?", "How much is {} plus {}?",
           "What is {} plus {}?", "{} + {} = ?")  # fmt: skip
    for a in range(1, 5):
        for b in range(1, 5):
            questions = tuple(q.format(a, b) for q in ask)
            weight = 2.0 if a == b == 2 else 0.6
            yield Block(weight, questions, (f"{a} + {b} = {a + b}.",))
