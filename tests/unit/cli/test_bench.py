"""What `bench` says before it sends, and how it reads its options."""

from __future__ import annotations

import pytest
import typer

from aiconsole.cli.bench import _seconds
from aiconsole.cli.bench_text import plan_lines, wrapped
from aiconsole.load.spec import Pace, Prompt, Shape, Spec


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30", 30.0), ("30s", 30.0), ("1.5m", 90.0), ("2 min", 120.0), ("1h", 3600.0),
     ("250ms", 0.25), ("0", 0.0)],
)  # fmt: skip
def test_times(text: str, seconds: float) -> None:
    assert _seconds(text, "--duration") == seconds


@pytest.mark.parametrize("text", ["", "-1s", "1d", "s", "1s2", "nan", "1e9"])
def test_no_times(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        _seconds(text, "--duration")


def plan(spec: Spec, target: str = "", workers: int = 1) -> str:
    return "\n".join(plan_lines(spec, target or spec.url, workers))


def test_the_plan_of_an_open_loop() -> None:
    shape = Shape(model="m\x1b[2J", unique_mark="x")
    said = plan(Spec("http://a:1", shape, Pace(rate=50.0, warmup_s=2.0)), workers=2)
    assert "target    http://a:1/v1/chat/completions" in said
    assert "50.0 requests/s, poisson arrivals, at most 1,000 at work, by 2 processes" in said
    assert "30 s, about 1,500 requests, after 2 s of warm-up" in said
    assert "each begins with a mark that no cache knows" in said
    assert r"at most 64 tokens by m\x1b[2J, streamed" in said


def test_the_plan_of_a_closed_loop_to_a_host() -> None:
    shape = Shape("completions", stream=False, ignore_eos=True, prompts=(Prompt("a"), Prompt("b")))
    pace = Pace(clients=8, duration_s=0.0, requests=5000)
    said = plan(Spec("http://127.0.0.1:4", shape, pace), "web1")
    assert "target    web1, by SSH: http://127.0.0.1:4/v1/completions" in said
    assert "closed loop: 8 clients" in said
    assert "5,000 requests; a request may take" in said
    assert "2 prompts in turn, from the file; they repeat, so caches may know them" in said
    assert "exactly 64 tokens, in one piece" in said


def test_long_lines_go_on_under_their_text() -> None:
    assert wrapped("prompts   made up, each new\nshort", 20) == (
        "prompts   made up,\n          each new\nshort"
    )
    assert wrapped("  ! one two three", 10) == "  ! one\n    two\n    three"
    assert wrapped("one two three", 9) == "one two\nthree"
