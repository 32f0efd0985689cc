"""Models that run elsewhere: providers with an OpenAI-compatible API, one standing in for another.

A request is tried again only as long as nothing of its answer has gone out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from aiconsole.onhost.inferd.credentials import Credentials
from aiconsole.onhost.inferd.engine.choice import choose
from aiconsole.onhost.inferd.engine.protocol import Ask, Chunk, EngineStatus
from aiconsole.onhost.inferd.engine.provider import Provider
from aiconsole.onhost.inferd.engine.provider_fault import ProviderFault
from aiconsole.onhost.inferd.engine.reason import visible
from aiconsole.onhost.inferd.engine.refusal import RefusalError
from aiconsole.onhost.inferd.engine.standing import Standing
from aiconsole.onhost.inferd.errors import ApiError, unavailable
from aiconsole.onhost.inferd.settings import EngineSettings, ModelSettings
from aiconsole.onhost.inferd.start_error import StartError

log = logging.getLogger("inferd.engine")

DEFAULT_SLOTS = 64
_LONGEST_WAIT_S = 5.0
"""Of a `Retry-After` that is waited for here; a longer one is the client's to wait for."""
_FIRST_PAUSE_S = 0.2
_PROOF_TIMEOUT_S = 60.0
_LONGEST_SLEEP_S = 1.0


class RemoteEngine:
    """Spreads requests over its providers, and knows which of them are in order."""

    def __init__(
        self,
        model: ModelSettings,
        settings: EngineSettings,
        credentials: Credentials,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._model = model
        self._settings = settings
        self._credentials = credentials
        self._standing = Standing(on_change)
        self._providers: list[Provider] = []
        self._watch: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()

    @property
    def context_tokens(self) -> int:
        """What the settings say; 0 where only the providers know."""
        return self._settings.context_tokens

    @property
    def slots(self) -> int:
        """Requests that are sent out together."""
        return self._settings.slots or DEFAULT_SLOTS

    def status(self) -> EngineStatus:
        """How it is now."""
        return self._standing.status

    async def start(self) -> None:
        """Have each provider prove its key and its model; one that can is enough.

        Raises:
            StartError: None can, and why.
        """
        self._standing.set("loading", phase="asking the providers for a proof")
        try:
            for remote in self._settings.remotes:
                if remote.weight:
                    self._providers.append(
                        Provider.of(remote, self._settings, self._credentials, self.slots)
                    )
            await self._prove_all()
        except StartError as error:
            self._standing.set("failed", reason=str(error))
            raise
        self._standing.set("ready")
        self._watch = asyncio.create_task(self._mend())

    async def _prove_all(self) -> None:
        faults = await asyncio.gather(*map(self._proof, self._providers))
        for provider, fault in zip(self._providers, faults, strict=True):
            if provider.in_the_clear:
                log.warning("the key of `%s` travels unencrypted: its url is http", provider.name)
            if fault is not None:
                log.warning("%s", visible(fault.reason))
                provider.breaker.failed(fault.reason, for_good=True)
        if not any(fault is None for fault in faults):
            found = [fault for fault in faults if fault is not None]
            raise StartError(
                "No provider answers",
                visible("; ".join(fault.reason for fault in found)) or "each has the weight 0",
                "Check url, credential and model of engine.remotes.",
                permanent=all(fault.code == "provider_key_refused" for fault in found),
            )

    async def _proof(self, provider: Provider) -> ProviderFault | None:
        try:
            return await asyncio.wait_for(provider.prove(self._model.name), _PROOF_TIMEOUT_S)
        except asyncio.TimeoutError:
            reason = f"the provider `{provider.name}` gave no answer for {_PROOF_TIMEOUT_S:.0f} s"
            return ProviderFault("provider_unreachable", reason)

    async def stream(self, ask: Ask) -> AsyncGenerator[list[Chunk], None]:
        """Compute one request."""
        tries = _Tries(self)
        while True:
            provider = await tries.next()
            begun = False
            try:
                async with aclosing(provider.upstream.stream(ask)) as batches:
                    async for batch in batches:
                        if batch:
                            begun = True
                            yield batch
                self._went_well(provider)
                return
            except RefusalError as refused:
                await tries.failed(provider, refused, begun=begun)

    async def embed(self, body: dict[str, Any]) -> dict[str, Any]:
        """Compute embeddings."""
        tries = _Tries(self)
        while True:
            provider = await tries.next()
            try:
                answer = await provider.upstream.embed(body)
            except RefusalError as refused:
                await tries.failed(provider, refused)
            else:
                self._went_well(provider)
                return answer

    async def metrics_text(self) -> bytes:
        """What each provider answered, and whether it is in order."""
        lines = ["# TYPE inferd_remote_requests_total counter"]
        lines += [
            f'inferd_remote_requests_total{{remote="{_label(p.name)}",outcome="{outcome}"}} {count}'
            for p in self._providers
            for outcome, count in sorted(p.outcomes.items())
        ]
        lines.append("# TYPE inferd_remote_up gauge")
        lines += [
            f'inferd_remote_up{{remote="{_label(p.name)}"}} {int(not p.breaker.is_open)}'
            for p in self._providers
        ]
        return ("\n".join(lines) + "\n").encode()

    async def stop(self, grace_s: float) -> None:
        """Break off what runs, and close what is open."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
        self._standing.set("stopped")
        for provider in self._providers:
            await provider.upstream.close()

    async def _mend(self) -> None:
        """Ask providers that are doubted or left alone for a proof, when it is due."""
        while True:
            self._wanted.clear()
            await asyncio.gather(*(self._check(p) for p in self._providers if p.doubted))
            broken = [provider for provider in self._providers if provider.breaker.is_open]
            if not broken:
                await self._wanted.wait()
                continue
            due_s = min(provider.breaker.proof_due_s for provider in broken)
            await asyncio.sleep(min(due_s, _LONGEST_SLEEP_S))
            due = [provider for provider in broken if not provider.breaker.proof_due_s]
            await asyncio.gather(*map(self._mend_one, due))

    async def _check(self, provider: Provider) -> None:
        """Was it the request, or is the provider not what it was?"""
        fault = await self._proof(provider)
        if fault is None or fault.code == "provider_rate_limited":
            return
        if provider.breaker.failed(fault.reason, for_good=True):
            log.error("%s: it is left alone for a while", visible(fault.reason))
            self._show(fault.reason)

    async def _mend_one(self, provider: Provider) -> None:
        fault = await self._proof(provider)
        if fault is None:
            log.warning("the provider `%s` answers again", provider.name)
            provider.breaker.succeeded()
        else:
            provider.breaker.proof_failed(fault.reason)
        self._show()

    def _went_well(self, provider: Provider) -> None:
        provider.outcomes["ok"] += 1
        provider.breaker.succeeded()

    def _went_wrong(self, provider: Provider, fault: ProviderFault) -> None:
        """Count a fault; a provider that only limits its rate is in order."""
        provider.outcomes[fault.code] += 1
        if fault.code == "provider_rate_limited":
            provider.breaker.hold(fault.retry_after_s or 1.0)
        elif fault.code == "provider_model_unknown":
            # Perhaps the client asks in a way that it does not know, such as for embeddings.
            if provider.doubt(self._settings.breaker_open_s):
                self._wanted.set()
        elif provider.breaker.failed(fault.reason, for_good=fault.for_good):
            log.error("%s: it is left alone for a while", visible(fault.reason))
            self._wanted.set()
            self._show(fault.reason)

    def _show(self, fault: str = "") -> None:
        """Ready as long as one provider is in order."""
        if self.status().state not in ("ready", "stalled"):
            return
        if all(provider.breaker.is_open for provider in self._providers):
            reasons = "; ".join(provider.breaker.reason for provider in self._providers)
            self._standing.set("stalled", reason=visible(reasons), last_fault=visible(fault))
        else:
            self._standing.set("ready", last_fault=visible(fault))


class _Tries:
    """The tries of one request."""

    def __init__(self, engine: RemoteEngine) -> None:
        self._engine = engine
        self._left = engine._settings.remote_attempts
        self._tried: list[Provider] = []

    async def next(self) -> Provider:
        """The provider to ask, once it may be.

        Raises:
            ApiError: There is none.
        """
        status = self._engine.status()
        provider = choose(self._engine._providers, self._tried)
        if provider is None or status.state not in ("ready", "stalled"):
            why = status.reason or status.phase or status.state
            raise unavailable(
                f"No provider is in order: {why}.", code="engine_unavailable", retry_after_s=2.0
            )
        if (held_s := provider.breaker.held_s) > _LONGEST_WAIT_S:
            reason = f"the provider `{provider.name}` limits its rate"
            raise ProviderFault("provider_rate_limited", reason, retry_after_s=held_s).as_error()
        await asyncio.sleep(held_s)
        return provider

    async def failed(
        self, provider: Provider, refused: RefusalError, *, begun: bool = False
    ) -> None:
        """Take note, and wait where that helps; return only if another try is worth it.

        Raises:
            ApiError: What the client is to hear.
        """
        if self._engine.status().state == "stopped":
            raise unavailable("This server is shutting down.", code="engine_unavailable")
        fault = provider.judge(refused)
        if isinstance(fault, ApiError):
            provider.outcomes["refused"] += 1
            provider.breaker.succeeded()
            raise fault
        self._engine._went_wrong(provider, fault)
        self._tried.append(provider)
        self._left -= 1
        others = [p for p in self._engine._providers if p.weight and not p.breaker.is_open]
        if begun or not self._left or not others:
            raise fault.as_error()
        if not all(other in self._tried for other in others):
            return
        held_s = min(other.breaker.held_s for other in others)
        pause_s = max(held_s, _FIRST_PAUSE_S * 2 ** (len(self._tried) - 1))
        if pause_s > _LONGEST_WAIT_S:
            raise fault.as_error()
        await asyncio.sleep(pause_s)


def _label(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", " ")
