"""Where a load may go."""

from __future__ import annotations

import pytest

from aiconsole.errors import SettingsError
from aiconsole.load.target import base_url, is_here


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("http://a:1", "http://a:1"),
        ("http://a:1/", "http://a:1"),
        ("https://a/v1", "https://a"),
        ("https://a/v1/", "https://a"),
        ("http://a/v1/chat/completions", "http://a"),
        ("http://a/llm/v1", "http://a/llm"),
        ("http://[fd00::1]:8480", "http://[fd00::1]:8480"),
    ],
)
def test_the_base_of_a_url(text: str, base: str) -> None:
    assert base_url(text) == base


@pytest.mark.parametrize(
    "text", ["ftp://a", "http://", "http://a:99999", "http://a?x=1", "http://a#x", "http://a:b"]
)
def test_no_urls(text: str) -> None:
    with pytest.raises(SettingsError, match="not the URL of a service"):
        base_url(text)


def test_a_password_in_the_url_is_not_repeated() -> None:
    with pytest.raises(SettingsError) as caught:
        base_url("http://user:hunter2@a")
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


def test_who_could_read_along() -> None:
    assert is_here("http://127.0.0.1:1")
    assert is_here("http://[::1]:1")
    assert is_here("http://localhost:1")
    assert not is_here("http://10.0.0.5:1")
    assert not is_here("http://example.com")
