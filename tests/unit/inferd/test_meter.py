"""What clients are told and charged, and how a day is counted over restarts and in two slots."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aiconsole.onhost.inferd.access.grant import Grant
from aiconsole.onhost.inferd.engine.protocol import Ask, Chunk
from aiconsole.onhost.inferd.errors import ApiError
from aiconsole.onhost.inferd.exchange import Exchange
from aiconsole.onhost.inferd.limits.charge import expected
from aiconsole.onhost.inferd.limits.daybook import FILE, DayBook
from aiconsole.onhost.inferd.limits.meter import Meter
from aiconsole.onhost.inferd.limits.whose import whose
from aiconsole.onhost.inferd.reply.answer import Counter
from aiconsole.onhost.inferd.settings.limits import LimitSettings

NOON = 20_000 * 86_400 + 43_200.0
ASK = Ask("text", {"prompt": "a" * 360, "max_tokens": 10}, size_bytes=400)


class Refused:
    """Counts what is refused."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def _meter(**limits: float) -> tuple[Meter, Refused]:
    refused = Refused()
    return Meter(LimitSettings.model_validate(limits), refused), refused


def _exchange(
    grant: Grant | None = None, *, client: str = "10.0.0.1", path: str = "/v1/completions",
    trusted: bool = False,
) -> Exchange:  # fmt: skip
    exchange = Exchange("id", "POST", path, client, trusted)
    exchange.grant = grant or Grant()
    return exchange


def _used(prompt: int, completion: int) -> Counter:
    counter = Counter(ASK, 0.0)
    usage = {"prompt_tokens": prompt, "completion_tokens": completion}
    counter.see([Chunk(b"", {"usage": usage})])
    return counter


def _headers(exchange: Exchange) -> dict[str, str]:
    names = [name for name, _ in exchange.headers]
    assert len(names) == len(set(names)), "no header comes twice"
    return {name.decode().removeprefix("x-ratelimit-"): v.decode() for name, v in exchange.headers}


def test_a_client_without_limits_is_told_nothing() -> None:
    meter, _ = _meter()
    exchange = _exchange()
    meter.admit(exchange)
    meter.settle(exchange, meter.charge(exchange, ASK), _used(1, 1))
    assert exchange.headers == []


def test_requests_are_counted_and_told() -> None:
    meter, refused = _meter(key_requests_per_minute=12.0)
    first, second, third = (_exchange(Grant("k", "k")) for _ in range(3))
    meter.admit(first)
    meter.admit(second)
    with pytest.raises(ApiError) as error:
        meter.admit(third)
    assert (error.value.status, error.value.kind, error.value.code) == (
        429, "rate_limit_error", "rate_limit_exceeded",
    )  # fmt: skip
    assert dict(error.value.headers())[b"retry-after"] == b"5"
    assert _headers(first) == {
        "limit-requests": "12", "remaining-requests": "1", "reset-requests": "5s",
    }  # fmt: skip
    assert _headers(third)["remaining-requests"] == "0"
    assert refused.count == 1


def test_a_grant_overrides_the_settings() -> None:
    meter, _ = _meter(key_requests_per_minute=1.0)
    free = Grant("k", "k", requests_per_minute=0)
    for _ in range(50):
        meter.admit(_exchange(free))
    meter.admit(_exchange(Grant("m", "m")))
    with pytest.raises(ApiError):
        meter.admit(_exchange(Grant("m", "m")))


def test_all_together_and_what_one_gets_back() -> None:
    meter, _ = _meter(requests_per_minute=12.0, key_requests_per_minute=600.0)
    exchanges = [_exchange(Grant(n, n)) for n in "abc"]
    meter.admit(exchanges[0])
    meter.admit(exchanges[1])
    with pytest.raises(ApiError) as error:
        meter.admit(exchanges[2])
    assert "all clients" in error.value.message
    again = _exchange(Grant("c", "c"))
    with pytest.raises(ApiError):
        meter.admit(again)
    assert _headers(again)["remaining-requests"] == "99", "what was refused was given back"


def test_probes_and_the_operator_are_not_counted() -> None:
    meter, _ = _meter(requests_per_minute=1.0)
    for _ in range(10):
        meter.admit(_exchange(path="/health"))
        meter.admit(_exchange(trusted=True))
    meter.admit(_exchange())


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("10.0.0.1", "10.0.0.1", True), ("10.0.0.1", "10.0.0.2", False),
     ("2001:db8::1", "2001:db8::ffff:1", True), ("2001:db8::1", "2001:db8:0:1::1", False),
     ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False), ("fe80::1%eth0", "fe80::2%eth0", True)],
)  # fmt: skip
def test_clients_without_a_key_by_address(one: str, other: str, same: bool) -> None:
    assert (whose(_exchange(client=one)) == whose(_exchange(client=other))) is same
    assert whose(_exchange(client=one)) != whose(_exchange(Grant("x", one)))


@pytest.mark.parametrize(
    ("body", "size", "choices", "tokens"),
    [({"prompt": "x", "max_tokens": 5}, 400, 1, 105),
     ({"prompt": "x", "max_tokens": 5}, 400, 3, 115),
     ({"prompt": ["x", "y"], "max_tokens": 5}, 400, 1, 110), ({"messages": []}, 3, 1, 1),
     ({"prompt": [1, 2, 3], "max_tokens": 5}, 400, 1, 8),
     ({"prompt": "x", "max_tokens": 100_000}, 400, 1, 1124)],
)  # fmt: skip
def test_expectations(body: dict[str, object], size: int, choices: int, tokens: int) -> None:
    assert expected(Ask("text", body, choices=choices, size_bytes=size)).tokens == tokens


def test_tokens_are_taken_in_advance_and_settled() -> None:
    meter, refused = _meter(key_tokens_per_minute=6000)  # bursts of 1,000, 100 a second
    grant = Grant("k", "k")
    charges = []
    for _ in range(9):
        exchange = _exchange(grant)
        charges.append((exchange, meter.charge(exchange, ASK)))
    assert all(charge.tokens == 110 for _, charge in charges)
    with pytest.raises(ApiError) as error:
        meter.charge(_exchange(grant), ASK)
    assert "6000 tokens a minute" in error.value.message
    assert 0 < error.value.retry_after_s < 2
    for exchange, charge in charges:
        meter.settle(exchange, charge, _used(5, 5))
    later = _exchange(grant)
    meter.admit(later)
    assert _headers(later)["limit-tokens"] == "6000"
    assert 900 <= int(_headers(later)["remaining-tokens"]) <= 1000
    meter.settle(later, meter.charge(later, ASK), _used(5000, 1000))
    with pytest.raises(ApiError) as debt:
        meter.charge(_exchange(grant), ASK)
    assert debt.value.retry_after_s > 30
    assert refused.count == 2


@pytest.mark.parametrize(
    ("reason", "pieces", "cost"),
    [("client_gone", 3, 103), ("client_gone", 0, 100), ("total_timeout", 0, 100),
     ("first_token_timeout", 0, 100), ("queue_full", 0, 0), ("draining", 0, 0),
     ("engine_refused", 0, 0), ("", 0, 0)],
)  # fmt: skip
def test_what_is_broken_off_costs_what_was_done(reason: str, pieces: int, cost: int) -> None:
    meter, _ = _meter()
    meter.days = DayBook(lambda: NOON)
    exchange = _exchange(Grant("k", "k", tokens_per_day=1000))
    charge = meter.charge(exchange, ASK)
    assert meter.days.held("k") == 110
    counter = Counter(ASK, 0.0)
    if pieces:
        counter.see([Chunk(b"", None)] * pieces)
    exchange.reason = reason
    meter.settle(exchange, charge, counter)
    assert (meter.days.used("k"), meter.days.held("k")) == (cost, 0)


def test_a_day_ends_at_midnight() -> None:
    now = [NOON]
    meter, _ = _meter()
    meter.days = DayBook(lambda: now[0])
    exchange = _exchange(Grant("k", "k", tokens_per_day=1000))
    meter.settle(exchange, meter.charge(exchange, ASK), _used(900, 50))
    with pytest.raises(ApiError) as error:
        meter.charge(exchange, ASK)
    assert error.value.retry_after_s == 43_200
    assert "1,000 tokens a day" in error.value.message
    now[0] += 43_200
    meter.charge(exchange, ASK)


def test_requests_at_work_cannot_use_a_day_twice() -> None:
    meter, _ = _meter()
    meter.days = DayBook(lambda: NOON)
    exchange = _exchange(Grant("k", "k", tokens_per_day=250))
    held = [meter.charge(exchange, ASK), meter.charge(exchange, ASK)]
    with pytest.raises(ApiError) as error:
        meter.charge(exchange, ASK)
    assert error.value.retry_after_s == 1, "it is held, not used up"
    for charge in held:
        meter.settle(exchange, charge, _used(5, 5))
    meter.charge(exchange, ASK)


def test_other_numbers_at_run_time() -> None:
    meter, _ = _meter(key_requests_per_minute=6.0)
    meter.admit(_exchange())
    with pytest.raises(ApiError):
        meter.admit(_exchange())
    meter.configure(LimitSettings(key_requests_per_minute=0.0))
    meter.admit(_exchange())
    meter.configure(LimitSettings(key_requests_per_minute=6.0))
    with pytest.raises(ApiError):
        meter.admit(_exchange())


async def test_a_day_goes_on_after_a_restart_and_is_one_for_both_slots(tmp_path: Path) -> None:
    for slot in "ab":
        (tmp_path / f"slot-{slot}").mkdir()
    old = DayBook(lambda: NOON)
    old.open(tmp_path / "slot-a")
    old.settle("k", 0, 70)
    await old.close()
    page = tmp_path / "slot-a" / FILE
    assert json.loads(page.read_text()) == {"day": 20_000, "tokens": {"k": 70}}
    assert page.stat().st_mode & 0o777 == 0o600

    new = DayBook(lambda: NOON)
    new.open(tmp_path / "slot-b")
    new.settle("k", 0, 30)
    assert new.used("k") == 100
    await new.close()
    back = DayBook(lambda: NOON)
    back.open(tmp_path / "slot-a")
    assert (back.used("k"), back.used("other")) == (100, 0)
    await back.close()
    assert json.loads(page.read_text())["tokens"] == {"k": 70}, "each slot writes its own alone"
    tomorrow = DayBook(lambda: NOON + 86_400)
    tomorrow.open(tmp_path / "slot-a")
    assert tomorrow.used("k") == 0
    await tomorrow.close()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"day": 20000}', '{"day": 20000, "tokens": [1]}',
             '{"day": 20000, "tokens": {"k": "9", "l": -3, "m": true}}'],
)  # fmt: skip
async def test_a_damaged_page_counts_nothing(tmp_path: Path, text: str) -> None:
    for slot in "ab":
        (tmp_path / slot).mkdir()
        (tmp_path / slot / FILE).write_text(text)
    book = DayBook(lambda: NOON)
    book.open(tmp_path / "a")
    assert [book.used(name) for name in "klm"] == [0, 0, 0]
    await book.close()


def test_the_book_has_an_end() -> None:
    book = DayBook(lambda: NOON, tenants=2)
    for name in "abcd":
        book.settle(name, 0, 10)
    assert [book.used(name) for name in "abcd"] == [10, 10, 20, 20], "newcomers share one count"
