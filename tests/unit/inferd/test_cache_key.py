"""Which requests are the same, and which are not."""

from __future__ import annotations

from typing import Any

from aiconsole.onhost.inferd.access.grant import Grant
from aiconsole.onhost.inferd.audit.prompt import note_prompt
from aiconsole.onhost.inferd.cache.key import Keys
from aiconsole.onhost.inferd.exchange import Exchange
from aiconsole.onhost.inferd.request import ask as asking
from aiconsole.onhost.inferd.request.served import Served

HELLO = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 9, "temperature": 0}


def key(
    given: dict[str, Any], *, kind: Any = "chat", tenant: str = "", model: str = "sha",
    shared: bool = False,
) -> bytes:  # fmt: skip
    exchange = Exchange("id", "POST", "/", "", False, grant=Grant("name", tenant))
    ask = asking.parse(kind, given, Served("m", ["alias"]), 100)
    note_prompt(exchange, ask.body.get("messages") or ask.body.get("prompt"), 0)
    return Keys(model).of(ask, exchange, shared=shared)


def test_what_does_not_shape_the_answer_does_not_count() -> None:
    same = key(HELLO)
    assert key(dict(reversed(HELLO.items()))) == same
    assert key({**HELLO, "messages": [{"content": "hello", "role": "user"}]}) == same
    assert key({**HELLO, "temperature": 0.0}) == same
    assert key({**HELLO, "stream": True, "stream_options": {"include_usage": True}}) == same
    assert key({**HELLO, "user": "somebody", "cache": True, "model": "alias"}) == same
    del (given := {**HELLO, "max_completion_tokens": 9})["max_tokens"]
    assert key(given) == same


def test_all_the_rest_counts() -> None:
    other = [
        key({**HELLO, "temperature": 0.5}),
        key({**HELLO, "max_tokens": 8}),
        key({**HELLO, "stop": "x"}),
        key({**HELLO, "seed": 1}),
        key({**HELLO, "top_p": 1e300 / 1e301}),
        key({**HELLO, "messages": [{"role": "user", "content": "hello "}]}),
        key({**HELLO, "messages": [{"role": "system", "content": "hello"}]}),
        key({**HELLO, "tools": [{"type": "function", "function": {"name": "f"}}]}),
        key({"prompt": "hello", "max_tokens": 9, "temperature": 0}, kind="text"),
        key(HELLO, model="another"),
        key(HELLO, tenant="a"),
        key(HELLO, tenant="b"),
        key(HELLO),
    ]
    assert len(set(other)) == len(other)


def test_tenants_share_only_where_they_may() -> None:
    assert key(HELLO, tenant="a", shared=True) == key(HELLO, tenant="b", shared=True)
    # Not even with a name that was made for it; half a surrogate pair is a name too.
    assert key(HELLO, tenant="a\0") != key(HELLO, tenant="a")
    assert key(HELLO, tenant="\ud800") != key(HELLO, tenant="")
