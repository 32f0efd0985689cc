"""SIGHUP: what a running daemon can change is changed, the rest is named, a bad file is refused."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import httpx

from tests.contract.inferd.running import Running, daemon, settings_text, until


def reloaded(running: Running, settings: str) -> dict[str, Any]:
    """Write the settings, send the signal, and wait for what came of it."""
    before = running.status()["reload"].get("at_unix_s", 0)
    file = running.run_dir.parent / "releases" / "tiny-a" / "settings.toml"
    file.write_text(settings)
    running.process.send_signal(signal.SIGHUP)
    until(lambda: running.status()["reload"].get("at_unix_s", 0) > before, "the reload")
    found: dict[str, Any] = running.status()["reload"]
    return found


def asked(running: Running, **more: Any) -> int:
    body = {"model": "tiny", "prompt": "a", "max_tokens": 1, **more}
    return httpx.post(f"{running.url}/v1/completions", json=body, timeout=30).status_code


def test_settings_are_read_again(room: Path, tiny_model: Path) -> None:
    with daemon(room, settings_text(tiny_model)) as running:
        running.until_ready()
        pid = running.status()["pid"]
        assert asked(running, model="other") == 404
        assert asked(running, prompt="a" * 4000) in (200, 400)

        told = reloaded(running, settings_text(
            tiny_model, more='aliases = ["other"]', limits="body_bytes = 2048",
            engine="slots = 7", auth="required = true",
        ))  # fmt: skip
        assert told["applied"] == ["model.aliases", "limits.body_bytes", "auth.required"]
        assert (told["needs_swap"], told["fault"]) == (["engine.slots"], "")
        assert asked(running) == 401

        told = reloaded(running, settings_text(
            tiny_model, more='aliases = ["other"]', limits="body_bytes = 2048"
        ))  # fmt: skip
        assert (told["applied"], told["needs_swap"]) == (["auth.required"], [])
        assert asked(running, model="other") == 200
        assert asked(running, prompt="a" * 4000) == 413
        assert running.status()["pid"] == pid


def test_a_bad_file_changes_nothing(room: Path, tiny_model: Path) -> None:
    with daemon(room, settings_text(tiny_model)) as running:
        running.until_ready()
        told = reloaded(running, settings_text(tiny_model, limits='queue = "many"'))
        assert told["applied"] == told["needs_swap"] == []
        assert "settings.toml:8: limits.queue: Input should be a valid integer" in told["fault"]
        assert "the settings in force stay" in running.log
        assert asked(running) == 200
        told = reloaded(running, settings_text(tiny_model, limits="queue = 5"))
        assert (told["applied"], told["fault"]) == (["limits.queue"], "")
        assert running.tally_after_stop()["reload"] == told
