"""How an error has to read: its title, what was seen, and what to do, each in plain words."""

from __future__ import annotations

import re

from tests.rig.console import Ended

_NOT_FOR_PEOPLE = re.compile(
    r"Traceback|\b[A-Z]\w+(?:Error|Exception)\b|<\w+ object|\bb'|0x[0-9a-f]{6}|\bNone\b|\{'|\(\["
)


def said(ended: Ended, exit_code: int, title: str, *rest: str) -> None:
    """Assert that a command ended with this error; `rest` stands in the lines below its title."""
    lines = (ended.out + ended.err).splitlines()
    assert ended.exit_code == exit_code, ended
    heads = [n for n, line in enumerate(lines) if title in line]
    assert len(heads) == 1, f"{title!r} stands {len(heads)} times in {ended}"
    block = lines[heads[0] :]
    text, below = "\n".join(block), block[1:]
    print(text)
    assert not (found := _NOT_FOR_PEOPLE.search(text)), f"{found} in {ended}"
    assert any("→ " in line for line in below), f"nothing to do: {ended}"
    assert all(len(line) < 250 for line in below), ended
    for part in rest:
        assert any(part in line for line in below), f"{part!r} is not said: {ended}"
