"""The daemon takes whatever keeps the protocol of an engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx

from aiconsole.onhost.inferd.engine.port import free_port
from tests.contract.inferd.running import until


def test_an_engine_of_somebody_elses(room: Path) -> None:
    (room / "settings.toml").write_text('[model]\nname = "null"\npath = "/none"\n')
    url = f"http://127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fixtures.null_inferd", "--settings",
         str(room / "settings.toml"), "--run-dir", str(room / "run"),
         "--listen", url.removeprefix("http://")],
        env={"PATH": os.environ["PATH"], "NULL_TOKENS": "5"},
        cwd=Path(__file__).parents[3], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until(lambda: _is_ready(url) or process.poll() is not None, "ready")
        answer = httpx.post(url + "/v1/completions", json={"prompt": "hi"}).json()
        assert answer["choices"][0]["text"] == " null" * 5
        assert answer["usage"]["completion_tokens"] == 5
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(url + "/ready").status_code == 200
    except httpx.TransportError:
        return False
