"""All that the routes share: settings, engine, places, keys, counters."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import get_args

from aiconsole import __version__
from aiconsole.onhost.inferd import cpu
from aiconsole.onhost.inferd.access.keys import KeyFile
from aiconsole.onhost.inferd.audit.log import Audit
from aiconsole.onhost.inferd.engine.protocol import Engine, EngineState
from aiconsole.onhost.inferd.exchange import Exchange
from aiconsole.onhost.inferd.lifeline import CutReason, Lifeline
from aiconsole.onhost.inferd.limits.admission import Admission
from aiconsole.onhost.inferd.metrics import Metrics
from aiconsole.onhost.inferd.served import Served
from aiconsole.onhost.inferd.settings import Settings
from aiconsole.onhost.inferd.tally import Tally

_PROBES = frozenset({"health", "ready", "metrics", "admin"})
_SPARE_PLACES = 2


class Gateway:
    """One daemon's shared state; made before the engine is loaded."""

    def __init__(
        self, settings: Settings, engine: Engine, tally: Tally, *, open_to_all: bool
    ) -> None:
        """Bring the parts together.

        Args:
            settings: The release's settings.
            engine: What computes.
            tally: What is counted for the operator.
            open_to_all: Whether others than this machine can reach the listening address.
        """
        self.settings = settings
        self.engine = engine
        self.tally = tally
        self.models = Served(settings.model.name, settings.model.aliases)
        self.open_to_all = open_to_all
        self.keys_required = settings.auth.required or open_to_all
        keys_file = settings.auth.keys_file
        self.keys = KeyFile(Path(keys_file) if keys_file else None)
        self.metrics = Metrics()
        self.audit = Audit.stdout(self.metrics.audit_dropped.inc)
        self.admission = Admission(settings.limits.running or 1, settings.limits.queue)
        self.lifelines: set[Lifeline] = set()
        self.version = __version__
        self._publish()

    def resize(self) -> None:
        """Follow the engine's slots, once they are known.

        Two requests more than slots keep the engine busy while an answer travels.
        """
        limit = self.settings.limits.running or self.engine.slots + _SPARE_PLACES
        self.admission.running_limit = limit

    @property
    def draining(self) -> bool:
        """Whether the end has begun."""
        return self.tally.state in ("draining", "stopped")

    def not_ready(self) -> str:
        """Why no request should be sent here; empty when they are welcome."""
        if self.draining:
            return "draining"
        engine = self.engine.status().state
        if engine != "ready":
            return engine if engine == "stalled" else f"engine_{engine}"
        if self.tally.state != "ready":
            return self.tally.state
        if self.tally.model_verified == "bad":
            return "model_mismatch"
        return "queue_full" if self.admission.full else ""

    def cut_all(self, reason: CutReason) -> None:
        """End all requests at work."""
        for lifeline in list(self.lifelines):
            lifeline.cut(reason)

    def begin(self, exchange: Exchange) -> None:
        """A request has arrived."""
        if not exchange.trusted:
            self.tally.in_flight += 1

    def finish(self, exchange: Exchange) -> None:
        """A request has ended, one way or another: count it and write it down."""
        if not exchange.trusted:
            self.tally.in_flight -= 1
            if exchange.route not in _PROBES:
                self._count(exchange)
        self._measure(exchange)
        if exchange.route not in _PROBES or exchange.code == 401:
            self.audit.write(exchange)

    def _count(self, exchange: Exchange) -> None:
        """Count what users of the service asked; who only looks whether it is up asks nothing."""
        if exchange.code != 499:
            self.tally.served += 1
        if exchange.failed:
            self.tally.failed += 1
            self.metrics.failed.inc()

    def _measure(self, exchange: Exchange) -> None:
        metrics = self.metrics
        metrics.requests.labels(
            exchange.route, exchange.model, exchange.code, exchange.finish_reason
        ).inc()
        metrics.duration_s.labels(exchange.route).observe(exchange.elapsed_s)
        if exchange.ttft_s:
            metrics.ttft_s.observe(exchange.ttft_s)
        if exchange.model:
            metrics.queue_s.observe(exchange.queue_s)
            metrics.prompt_tokens.labels(exchange.model).inc(exchange.prompt_tokens)
            metrics.completion_tokens.labels(exchange.model).inc(exchange.completion_tokens)

    def _publish(self) -> None:
        model, gauge = self.settings.model, self.metrics.gauge
        self.metrics.model_info.labels(model.name, model.sha256, self.tally.release_id).set(1)
        gauge("inferd_requests_running", "Requests in the engine.", lambda: self.admission.running)
        gauge("inferd_requests_waiting", "Requests in the queue.", lambda: self.admission.waiting)
        gauge("inferd_ready", "1 while requests are welcome.", lambda: not self.not_ready())
        gauge("inferd_draining", "1 while the daemon is ending.", lambda: self.draining)
        gauge("inferd_engine_restarts_total", "Times that the engine was started again.",
              lambda: self.engine.status().restarts)  # fmt: skip
        gauge("inferd_engine_resident_bytes", "Memory of the engine's process.",
              lambda: cpu.resident_bytes(self.engine.status().pid))  # fmt: skip
        gauge("inferd_resident_bytes", "Memory of the gateway's process.",
              lambda: cpu.resident_bytes(os.getpid()))  # fmt: skip
        for state in get_args(EngineState):
            here = partial(self._engine_is, state)
            self.metrics.engine_state.labels(state).set_function(here)

    def _engine_is(self, state: str) -> bool:
        return self.engine.status().state == state
