"""All that the routes share: settings, engine, places, keys, counters."""

from __future__ import annotations

import asyncio
import os
import platform
from functools import partial
from typing import get_args

from aiconsole import __version__
from aiconsole.onhost.inferd import cpu
from aiconsole.onhost.inferd.access.cors import Cors
from aiconsole.onhost.inferd.access.door import Door
from aiconsole.onhost.inferd.audit.log import Audit
from aiconsole.onhost.inferd.cache.cache import Cache
from aiconsole.onhost.inferd.credentials import Credentials
from aiconsole.onhost.inferd.engine.protocol import Engine, EngineState
from aiconsole.onhost.inferd.exchange import Exchange
from aiconsole.onhost.inferd.lifeline import CutReason, Lifeline
from aiconsole.onhost.inferd.limits.admission import Admission
from aiconsole.onhost.inferd.limits.meter import Meter
from aiconsole.onhost.inferd.metrics import Metrics
from aiconsole.onhost.inferd.request.served import Served
from aiconsole.onhost.inferd.series.engine_page import EnginePage
from aiconsole.onhost.inferd.series.measure import Measure
from aiconsole.onhost.inferd.series.vllm import VllmNames
from aiconsole.onhost.inferd.settings import AuthSettings, MetricsSettings, Settings
from aiconsole.onhost.inferd.tally import Tally

_PROBES = frozenset({"health", "ready", "metrics", "admin", "preflight", "upgrade"})
_SPARE_PLACES = 2


class Gateway:
    """One daemon's shared state; made before the engine is loaded."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        tally: Tally,
        credentials: Credentials,
        *,
        open_to_all: bool,
    ) -> None:
        """Bring the parts together.

        Args:
            settings: The release's settings.
            engine: What computes.
            tally: What is counted for the operator.
            credentials: Where secrets lie.
            open_to_all: Whether others than this machine can reach the listening address.
        """
        self.settings = settings
        self.engine = engine
        self.tally = tally
        self.models = Served(settings.model.name, settings.model.aliases)
        self._credentials = credentials
        self._open_to_all = open_to_all
        self.door = Door(settings.auth, credentials, open_to_all=open_to_all)
        self.cors = Cors.of(settings.cors)
        self.metrics = Metrics()
        self.measure = Measure(self.metrics)
        self.engine_page = EnginePage(engine)
        self.audit = Audit(settings.audit, tally.release_id, self.metrics.audit_dropped.inc)
        model = settings.model
        origin = model.sha256 or f"{model.name}@{tally.release_id}"
        self.cache = Cache(settings.cache, origin, credentials)
        self.admission = Admission(settings.limits.running or 1, settings.limits.queue)
        self.meter = Meter(settings.limits, self.metrics.rejected.labels("rate").inc)
        self.lifelines: set[Lifeline] = set()
        self.sockets_open = 0
        self.version = __version__
        self._publish()
        self.show_names(settings.metrics)

    def change_door(self, settings: AuthSettings) -> None:
        """Other rules from now on; who is inside already stays until the request is over.

        Raises:
            StartError: The keys for tokens cannot be used; the rules stay as they were.
        """
        before = self.door
        self.door = Door(settings, self._credentials, open_to_all=self._open_to_all)
        self.door.open()
        self._closing = asyncio.get_running_loop().create_task(before.close())

    def show_names(self, settings: MetricsSettings) -> None:
        """Show the main series under the names of others too, or no longer."""
        wanted = "vllm" in settings.compat
        self.metrics.vllm = VllmNames(self.settings.model.name) if wanted else None

    def resize(self) -> None:
        """Follow the engine's slots, once they are known.

        Two requests more than slots keep the engine busy while an answer travels.
        """
        self.admission.usual_running = self.engine.slots + _SPARE_PLACES
        self.admission.configure(self.settings.limits)

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
        self.measure.count(exchange)
        if exchange.route not in _PROBES or exchange.code in (401, 403):
            self.audit.write(exchange)

    def _count(self, exchange: Exchange) -> None:
        """Count what users of the service asked; who only looks whether it is up asks nothing."""
        if exchange.code != 499:
            self.tally.served += 1
        if exchange.failed:
            self.tally.failed += 1
            self.metrics.failed.inc()

    def _publish(self) -> None:
        model, gauge = self.settings.model, self.metrics.gauge
        self.metrics.model_info.labels(model.name, model.sha256, self.tally.release_id).set(1)
        gauge("inferd_requests_running", "Requests in the engine.", lambda: self.admission.running)
        gauge("inferd_requests_waiting", "Requests in the queue.", lambda: self.admission.waiting)
        gauge("inferd_websockets", "WebSockets that are open.", lambda: self.sockets_open)
        gauge("inferd_ready", "1 while requests are welcome.", lambda: not self.not_ready())
        gauge("inferd_draining", "1 while the daemon is ending.", lambda: self.draining)
        self.metrics.counter(
            "inferd_engine_restarts", "Times that the engine was started again.",
            lambda: self.engine.status().restarts,
        )  # fmt: skip
        gauge("inferd_engine_resident_bytes", "Memory of the engine's process.",
              lambda: cpu.resident_bytes(self.engine.status().pid))  # fmt: skip
        gauge("inferd_resident_bytes", "Memory of the gateway's process.",
              lambda: cpu.resident_bytes(os.getpid()))  # fmt: skip
        gauge("inferd_keys", "Client keys that are known.", lambda: self.door.keys.count)
        gauge("inferd_keys_refused", "Entries of the keys file that are not understood.",
              lambda: self.door.keys.refused)  # fmt: skip
        self.metrics.build_info.labels(
            self.version, platform.python_version(), self.settings.engine.kind
        ).set(1)
        if self.cache.enabled:
            gauge("inferd_cache_up", "1 while kept answers can be had.", lambda: self.cache.up)
            gauge("inferd_cache_bytes", "Memory of kept answers in this process.",
                  lambda: self.cache.status().get("bytes", 0))  # fmt: skip
        for state in get_args(EngineState):
            here = partial(self._engine_is, state)
            self.metrics.engine_state.labels(state).set_function(here)

    def _engine_is(self, state: str) -> bool:
        return self.engine.status().state == state
