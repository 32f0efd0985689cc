"""The life of the daemon: load, prove, accept, drain, end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path

from aiconsole.onhost.inferd.app import admin_app, public_app
from aiconsole.onhost.inferd.credentials import Credentials
from aiconsole.onhost.inferd.engine.make import make_engine
from aiconsole.onhost.inferd.gateway import Gateway
from aiconsole.onhost.inferd.network.listener import Listener
from aiconsole.onhost.inferd.network.sockets import admin_socket, is_open_to_all
from aiconsole.onhost.inferd.network.tls import certificate
from aiconsole.onhost.inferd.notify import Notifier
from aiconsole.onhost.inferd.reload import Parts, Reload
from aiconsole.onhost.inferd.settings import Settings
from aiconsole.onhost.inferd.start_error import StartError
from aiconsole.onhost.inferd.tally import DaemonState, Tally
from aiconsole.onhost.inferd.verify import Verification

log = logging.getLogger("inferd")

EXIT_FAILED = 1
EXIT_CONFIG = 78
_EXTEND_S = 30.0
_EXTEND_EVERY_S = 5.0
_ENGINE_GRACE_S = 1.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a daemon runs."""

    slot: str
    release_id: str
    run_dir: Path
    """Of the slot: admin.sock, tally.json, and the tokens of the day; its neighbours in the same
    directory are the other slots."""
    public: socket.socket
    """Bound, and perhaps shared with the other slot."""
    credentials: Credentials = field(default_factory=Credentials.of_unit)
    """Where secrets lie."""
    settings_file: Path | None = None
    """What SIGHUP reads again; None has it do nothing."""


class Daemon:
    """One process's life from start to end."""

    def __init__(self, settings: Settings, place: Place, notifier: Notifier) -> None:
        self._settings = settings
        self._place = place
        self._notifier = notifier
        self._tally = Tally(place.slot, place.release_id)
        self._engine = make_engine(settings, place.credentials, place.run_dir, self._engine_changed)
        self._verification = Verification(settings.model, self._verified)
        self._verifying: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._gateway = Gateway(
            settings,
            self._engine,
            self._tally,
            place.credentials,
            open_to_all=is_open_to_all(place.public),
        )
        self._certificate = certificate(settings.tls, self._gateway.metrics)
        self._public = Listener(
            public_app(self._gateway), place.public,
            read_s=settings.limits.read_timeout_s, write_s=settings.limits.write_timeout_s,
            tls=self._certificate.context if self._certificate else None,
            message_bytes=settings.limits.body_bytes,
        )  # fmt: skip
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    async def run(self) -> int:
        """Live; the exit status."""
        self._catch_signals()
        admin = Listener(admin_app(self._gateway), admin_socket(self._place.run_dir))
        await admin.open()
        try:
            if not await self._come_up():
                return 0
            await self._stop.wait()
            await self._drain()
            return 0
        except StartError as error:
            self._report(error)
            return EXIT_CONFIG if error.permanent else EXIT_FAILED
        finally:
            await self._end(admin)

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked_to_stop)
        loop.add_signal_handler(signal.SIGHUP, self._asked_to_reload)

    def _asked_to_stop(self) -> None:
        if self._stop.is_set():
            log.warning("told again to stop: ending now")
            self._hurry.set()
        self._stop.set()

    def _asked_to_reload(self) -> None:
        if self._place.settings_file is not None and not self._stop.is_set():
            parts = Parts(self._gateway, self._public, self._certificate)
            Reload(self._place.settings_file, parts).now()

    async def _come_up(self) -> bool:
        """Load and accept; False if the end came first."""
        began = time.monotonic()
        self._set_state("loading")
        pulse = asyncio.create_task(self._ask_for_time())
        loading = asyncio.create_task(self._engine.start())
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait([loading, stopped], return_when=asyncio.FIRST_COMPLETED)
        for task in (pulse, stopped):
            task.cancel()
        if not loading.done():
            loading.cancel()
            with contextlib.suppress(asyncio.CancelledError, StartError):
                await loading
            return False
        loading.result()
        self._gateway.resize()
        self._gateway.meter.days.open(self._place.run_dir)
        self._gateway.door.open()
        await self._public.open()
        self._tally.load_s = time.monotonic() - began
        self._set_state("ready")
        self._verifying = asyncio.create_task(self._verification.run())
        if self._certificate is not None:
            self._watching = asyncio.create_task(self._certificate.watch())
        self._notifier.ready(f"serving {self._settings.model.name}")
        log.info("ready after %.2f s: %s on %s", self._tally.load_s, self._settings.model.name,
                 self._place.public.getsockname())  # fmt: skip
        return True

    async def _drain(self) -> None:
        """Stop accepting, then let every request come to its end."""
        in_flight = self._tally.in_flight
        self._set_state("draining")
        self._notifier.stopping(f"draining, {in_flight} requests in flight")
        limits = self._gateway.settings.limits
        loop = asyncio.get_running_loop()
        deadline = loop.time() + limits.drain_timeout_s
        await self._public.stop_accepting()
        if not await self._public.drain(limits.idle_grace_s, deadline, self._hurry):
            log.warning("breaking off %d requests", self._tally.in_flight)
            self._gateway.admission.close()
            self._gateway.cut_all("drain")
        await self._public.close()

    async def _end(self, admin: Listener) -> None:
        for task in (self._verifying, self._watching):
            if task is not None:
                task.cancel()
        await self._public.stop_accepting()
        await self._engine.stop(_ENGINE_GRACE_S)
        if self._tally.state != "failed":
            self._set_state("stopped")
        await self._gateway.door.close()
        await self._gateway.cache.close()
        await self._gateway.audit.close()
        await self._gateway.meter.days.close()
        try:
            self._tally.write(self._place.run_dir / "tally.json")
        except OSError as error:
            log.error("the tally cannot be written: %s", error)
        await admin.stop_accepting()
        await admin.close()
        (self._place.run_dir / "admin.sock").unlink(missing_ok=True)
        log.info("ended: %d served, %d failed", self._tally.served, self._tally.failed)

    async def _ask_for_time(self) -> None:
        """While it loads, a start limit of the service manager is moved on."""
        while True:
            self._notifier.status(self._status_line(), extend_s=_EXTEND_S)
            await asyncio.sleep(_EXTEND_EVERY_S)

    def _engine_changed(self) -> None:
        engine = self._engine.status()
        self._tally.engine_restarts, self._tally.engine_fault = engine.restarts, engine.last_fault
        if self._tally.state in ("loading", "ready"):
            self._tally.reason = engine.reason or self._verification.detail
            extend_s = _EXTEND_S if self._tally.state == "loading" else 0.0
            self._notifier.status(self._status_line(), extend_s=extend_s)

    def _verified(self) -> None:
        verification = self._verification
        self._tally.model_verified = verification.verdict
        if verification.detail:
            log.error("the model file is %s: %s", verification.verdict, verification.detail)
            self._engine_changed()

    def _status_line(self) -> str:
        engine = self._engine.status()
        if engine.state == "ready" and self._verification.verdict == "bad":
            return f"not ready: {self._verification.detail}"
        if engine.state == "ready":
            return f"serving {self._settings.model.name}"
        percent = f" {engine.progress:.0%}" if engine.progress else ""
        why = f" (after: {engine.reason})" if engine.reason else ""
        return f"{engine.phase or engine.state}{percent}{why}"

    def _report(self, error: StartError) -> None:
        self._tally.reason = str(error)
        self._set_state("failed")
        self._notifier.status(f"failed: {error}")
        log.error("%s%s", error, f" - {error.hint}" if error.hint else "")

    def _set_state(self, state: DaemonState) -> None:
        self._tally.state = state
        if state != "ready":
            log.info("%s (pid %d, instance %s)", state, os.getpid(), self._tally.instance)
