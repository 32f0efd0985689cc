"""Tokens of a day: counted over a restart, and by both slots together."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path

import httpx
import pytest

from tests.contract.inferd.running import Running, bound, daemon, settings_text, until

ASK = {"prompt": "hi", "max_tokens": 50, "ignore_eos": True}
_DAY_S = 86_400


def _ask(running: Running, key: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"}
    return httpx.post(running.url + "/v1/completions", json=ASK, headers=headers, timeout=60)


def _tokens(page: Path) -> int:
    return int(json.loads(page.read_text())["tokens"]["one"])


@pytest.fixture(autouse=True)
def not_at_midnight() -> None:
    """A day that ends in the middle of the test starts counting anew, as it should."""
    rest_s = _DAY_S - time.time() % _DAY_S
    if rest_s < 120:
        time.sleep(rest_s + 1)


def test_a_day_goes_on_after_a_restart_and_in_the_other_slot(room: Path, tiny_model: Path) -> None:
    entry = {
        "id": "one", "label": "one", "created_unix_s": 0, "tokens_per_day": 150,
        "sha256": hashlib.sha256(b"one").hexdigest(),
    }  # fmt: skip
    (room / "keys.json").write_text(json.dumps({"keys": [entry]}))
    auth = f'required = true\nkeys_file = "{room / "keys.json"}"'
    text = settings_text(tiny_model, auth=auth)
    with bound() as sock:
        with daemon(room, text, sock=sock) as first:
            first.until_ready()
            used = _ask(first, "one").json()["usage"]["total_tokens"]
            assert first.stop() == 0
        page = room / "run-a" / "day-tokens.json"
        assert _tokens(page) == used
        assert page.stat().st_mode & 0o777 == 0o600

        with daemon(room, text, slot="b", sock=sock) as second:
            second.until_ready()
            # A request that is expected to fit is served, and the day is used up by it.
            codes = [_ask(second, "one").status_code for _ in range(4)]
            assert codes == [200, 200, 429, 429], codes
            late = _ask(second, "one")
            error = late.json()["error"]
            assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
            assert 0 < int(late.headers["retry-after"]) <= _DAY_S
            page = room / "run-b" / "day-tokens.json"
            until(lambda: page.exists() and _tokens(page) == 2 * used, "it is written down")
            second.process.kill()
            second.wait()

        after = room / "after"
        for slot in "ab":
            (after / f"run-{slot}").mkdir(parents=True)
            shutil.copy(room / f"run-{slot}" / "day-tokens.json", after / f"run-{slot}")
        with daemon(after, text, slot="b", sock=sock) as third:
            third.until_ready()
            assert _ask(third, "one").status_code == 429, "what a killed one wrote counts too"
