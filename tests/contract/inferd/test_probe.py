"""The probe and the daemon agree: what one says, the other reads."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import httpx

from aiconsole.onhost.probe.inferd import InferdSource
from aiconsole.onhost.wire import HostLayout, InferdReading, ServiceState, to_json
from tests.contract.inferd.running import Running, daemon, settings_text


def source_of(running: Running, place: Path) -> InferdSource:
    """A source whose state file leads to this daemon."""
    place.mkdir(exist_ok=True)
    layout = HostLayout("keeper", str(place), str(place), str(running.run_dir.parent), str(place))
    address = running.url.removeprefix("http://")
    state = ServiceState("tiny-1", "a", address, wanted="running")
    Path(layout.state_file).write_text(json.dumps(to_json(state)))
    return InferdSource([layout], 1.0, answer_s=20.0)


def complete(running: Running, tokens: int) -> None:
    body = {"prompt": "Is it up?", "max_tokens": tokens, "ignore_eos": True}
    httpx.post(f"{running.url}/v1/completions", json=body, timeout=60).raise_for_status()


def read(source: InferdSource) -> InferdReading:
    reading = source.read()
    assert reading.state == "ready", reading
    return reading


def test_work_is_counted_and_watching_is_not(tiny_model: Path, room: Path) -> None:
    with daemon(room, settings_text(tiny_model)) as running:
        running.until_ready()
        source = source_of(running, room / "var")
        first = read(source)
        assert first.instance
        assert (first.requests_total, first.failed_total) == ({}, 0)
        assert (first.running, first.waiting, first.requests_per_s) == (0, 0, None)
        complete(running, 5)
        complete(running, 7)
        assert httpx.get(f"{running.url}/v1/nothing").status_code == 404
        worked = read(source)
        assert worked.requests_total == {"2xx": 2, "4xx": 1}
        assert worked.completion_tokens_total == 12
        assert worked.prompt_tokens_total is not None
        assert worked.prompt_tokens_total > 0
        assert worked.requests_per_s is not None
        assert worked.requests_per_s > 0
        assert worked.ttft_p95_s is not None
        assert 0 < worked.ttft_p95_s < 20
        assert worked.latency_p50_s is not None
        idle = read(source)
        assert (idle.requests_per_s, idle.latency_p95_s, idle.ttft_p95_s) == (0.0, None, None)


def test_a_frozen_daemon_and_its_successor(tiny_model: Path, room: Path) -> None:
    with daemon(room, settings_text(tiny_model)) as running:
        running.until_ready()
        source = source_of(running, room / "var")
        before = read(source)
        hasty = InferdSource(source._layouts, 1.0, answer_s=0.3)
        running.process.send_signal(signal.SIGSTOP)
        frozen = hasty.read()
        assert frozen.state == "no-answer"
        assert "does not answer since" in frozen.reason
        running.process.send_signal(signal.SIGCONT)
        assert read(source).instance == before.instance
        assert running.stop() == 0
    successor = room / "successor"
    successor.mkdir()
    with daemon(successor, settings_text(tiny_model)) as running:
        running.until_ready()
        other = source_of(running, room / "var")
        other._account = source._account
        after = read(other)
        assert after.instance != before.instance
        assert after.requests_per_s is None, "its counters are not the old one's"
