"""Rates and quotas of each client: asked before the work, settled after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiconsole.onhost.inferd.engine.protocol import Ask
from aiconsole.onhost.inferd.errors import ApiError
from aiconsole.onhost.inferd.exchange import Exchange
from aiconsole.onhost.inferd.limits.charge import FREE, Charge, expected, spent
from aiconsole.onhost.inferd.limits.daybook import DayBook
from aiconsole.onhost.inferd.limits.headers import duration, tell
from aiconsole.onhost.inferd.limits.rate import Allowance, Rate
from aiconsole.onhost.inferd.limits.whose import whose
from aiconsole.onhost.inferd.reply.answer import Counter
from aiconsole.onhost.inferd.settings.limits import LimitSettings

_API = "/v1/"
_ALL = ""
_SOON_S = 1.0


@dataclass(frozen=True, slots=True)
class _Numbers:
    """The settings' part of it."""

    everybody: Allowance
    requests: Allowance
    tokens: Allowance

    @classmethod
    def of(cls, limits: LimitSettings) -> _Numbers:
        """From the table."""
        burst_s = limits.burst_s
        return cls(
            Allowance(limits.requests_per_minute, burst_s),
            Allowance(limits.key_requests_per_minute, burst_s),
            Allowance(limits.key_tokens_per_minute, burst_s),
        )


class Meter:
    """What each client has used; the admin socket's clients are not counted.

    Requests below `/v1/` count as they come, tokens with the work for them: an answer from the
    cache is one request and no token.
    """

    def __init__(self, limits: LimitSettings, refused: Callable[[], None]) -> None:
        """Nobody has used anything yet.

        Args:
            limits: The settings' table.
            refused: Called for each request that is refused.
        """
        self._numbers = _Numbers.of(limits)
        self._refused = refused
        self._everybody = Rate()
        self._requests = Rate()
        self._tokens = Rate()
        self.days = DayBook()

    def configure(self, limits: LimitSettings) -> None:
        """Other numbers from now on; what has been used stays used."""
        self._numbers = _Numbers.of(limits)

    def admit(self, exchange: Exchange) -> None:
        """Count one request, and tell its client how it stands.

        Raises:
            ApiError: 429, with when to come back.
        """
        if exchange.trusted or not exchange.path.startswith(_API):
            return
        numbers, tenant = self._numbers, whose(exchange)
        own = self._own(exchange.grant.requests_per_minute, numbers.requests)
        self._tell_tokens(exchange, tenant)
        if own.per_minute:
            standing = self._requests.take(tenant, 1, own)
            tell(exchange, "requests", own, standing)
            if not standing.granted:
                raise self._too_many(f"{own.per_minute:g} requests a minute", standing.wait_s)
        if numbers.everybody.per_minute:
            together = self._everybody.take(_ALL, 1, numbers.everybody)
            if not own.per_minute:
                tell(exchange, "requests", numbers.everybody, together)
            if not together.granted:
                self._requests.charge(tenant, -1, own)
                limit = f"{numbers.everybody.per_minute:g} requests a minute of all clients"
                raise self._too_many(limit, together.wait_s)

    def charge(self, exchange: Exchange, ask: Ask) -> Charge:
        """Take what the work is expected to cost; `settle` must follow.

        Raises:
            ApiError: 429, with when to come back.
        """
        grant = exchange.grant
        allowance = self._own(grant.tokens_per_minute, self._numbers.tokens)
        if exchange.trusted or not (allowance.per_minute or grant.tokens_per_day):
            return FREE
        charge, tenant = expected(ask), whose(exchange)
        if grant.tokens_per_day:
            self._check_day(tenant, charge, grant.tokens_per_day)
        if allowance.per_minute:
            standing = self._tokens.take(tenant, charge.tokens, allowance)
            tell(exchange, "tokens", allowance, standing)
            if not standing.granted:
                raise self._too_many(f"{allowance.per_minute:g} tokens a minute", standing.wait_s)
        if grant.tokens_per_day:
            self.days.hold(tenant, charge.tokens)
        return charge

    def settle(self, exchange: Exchange, charge: Charge, counter: Counter) -> None:
        """Give back what was not used, or take what was used beyond it."""
        if charge is FREE:
            return
        grant, tenant = exchange.grant, whose(exchange)
        used = spent(charge, counter, exchange.reason)
        allowance = self._own(grant.tokens_per_minute, self._numbers.tokens)
        self._tokens.charge(tenant, used - charge.tokens, allowance)
        if grant.tokens_per_day:
            self.days.settle(tenant, charge.tokens, used)

    def _check_day(self, tenant: str, charge: Charge, limit: int) -> None:
        """Only what is used up lasts until midnight; what is held may come back soon.

        The first request of a day passes whatever its size: what it costs is a guess till its end.
        """
        used = self.days.used(tenant)
        limit_text = f"{limit:,} tokens a day"
        if used and used + charge.prompt_tokens > limit:
            raise self._too_many(limit_text, self.days.rest_s)
        held = self.days.held(tenant)
        if held and used + held + charge.prompt_tokens > limit:
            raise self._too_many(limit_text, _SOON_S)

    def _tell_tokens(self, exchange: Exchange, tenant: str) -> None:
        allowance = self._own(exchange.grant.tokens_per_minute, self._numbers.tokens)
        if allowance.per_minute:
            tell(exchange, "tokens", allowance, self._tokens.look(tenant, allowance))

    def _own(self, granted: float | None, usual: Allowance) -> Allowance:
        """A client's own number, or the settings'."""
        return usual if granted is None else Allowance(float(granted), usual.burst_s)

    def _too_many(self, limit: str, wait_s: float) -> ApiError:
        self._refused()
        return ApiError(
            429,
            f"The limit of {limit} is reached; try again in {duration(wait_s).decode()}.",
            kind="rate_limit_error",
            code="rate_limit_exceeded",
            retry_after_s=wait_s,
        )
