"""Making sure that a keeper runs, and that it is the newest."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from pathlib import Path

from aiconsole.onhost.keeper.client import KeeperClient
from aiconsole.onhost.keeper.detach import DETACH
from aiconsole.onhost.keeper.fault import KeeperFault
from aiconsole.onhost.keeper.upgrade import command
from aiconsole.onhost.wire import HostLayout

_ANSWER_S = 30.0
_PASSED_ON = ("PATH", "HOME", "LANG", "TZ", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH")


def ensure_keeper(layout: HostLayout, tool_path: str) -> KeeperClient:
    """Start the keeper of an installation where none answers; returns its client.

    One that runs from another tool becomes the one of `tool_path`, unless it is at work: then it
    stays as it is, which is no failure.

    Raises:
        KeeperFault: `no-keeper` with the last lines of its log.
    """
    client = KeeperClient(layout)
    try:
        running = client.status()
    except KeeperFault:
        _launch(layout, tool_path)
        _wait(client, layout)
        return client
    if running.get("tool") != tool_path:
        with contextlib.suppress(KeeperFault):
            client.upgrade(tool_path)
    return client


def _launch(layout: HostLayout, tool_path: str) -> None:
    env = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    done = subprocess.run(
        command(layout, tool_path), env={**env, DETACH: "1"}, stdin=subprocess.DEVNULL,
        capture_output=True, timeout=_ANSWER_S, check=False,
    )  # fmt: skip
    if done.returncode:
        raise KeeperFault("no-keeper", done.stderr.decode("utf-8", "replace").strip()[-500:])


def _wait(client: KeeperClient, layout: HostLayout) -> None:
    deadline = time.monotonic() + _ANSWER_S
    while True:
        try:
            client.status()
        except KeeperFault as fault:
            if time.monotonic() > deadline:
                raise KeeperFault("no-keeper", fault.text, _log_end(layout)) from fault
            time.sleep(0.02)
        else:
            return


def _log_end(layout: HostLayout) -> tuple[str, ...]:
    try:
        text = Path(f"{layout.run}/keeper.log").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    return tuple(text.splitlines()[-10:])
