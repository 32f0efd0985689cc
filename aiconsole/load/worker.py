"""A process that sends load: its measurement is not disturbed by what draws, nor by SSH.

It reads its spec and the key as one line from stdin, says that it is ready, reads when to begin,
and then writes four times a second what it has counted. It ends when the load has, or when stdin
does.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from aiconsole.load.exchange import Client, open_client
from aiconsole.load.fine_loop import fine_loop
from aiconsole.load.sender import Sender
from aiconsole.load.spec import Spec
from aiconsole.secret import Secret

_BEAT_S = 0.25
_LAG_S = 0.02
"""Between two looks at how late the loop is."""


async def work() -> None:
    """Serve one load from stdin to stdout."""
    order = json.loads(sys.stdin.buffer.readline())
    spec = Spec.from_json(order["spec"])
    key = Secret(order["key"]) if order["key"] else None
    async with open_client(spec, key) as client:
        _tell({"ready": True})
        line = sys.stdin.buffer.readline()
        if line:
            await _send(client, spec, json.loads(line)["start_s"])
    _tell({"ended": True})


async def _send(client: Client, spec: Spec, start_s: float) -> None:
    sender = Sender(client, spec, start_s)
    left = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), left.set)
    sending = asyncio.create_task(sender.run())
    leaving = asyncio.create_task(left.wait())
    beating = asyncio.create_task(_beat(sender))
    watching = asyncio.create_task(_watch_lag(sender))
    await asyncio.wait({sending, leaving, beating, watching}, return_when=asyncio.FIRST_COMPLETED)
    for task in (sending, leaving, beating, watching):
        task.cancel()
    asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
    ends = await asyncio.gather(sending, leaving, beating, watching, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception):
            raise end
    _tell_beat(sender, 0.0, 0.0)


async def _beat(sender: Sender) -> None:
    wall_s, cpu_s = time.monotonic(), time.process_time()
    while True:
        await asyncio.sleep(_BEAT_S)
        now_s, used_s = time.monotonic(), time.process_time()
        _tell_beat(sender, now_s - wall_s, used_s - cpu_s)
        wall_s, cpu_s = now_s, used_s


async def _watch_lag(sender: Sender) -> None:
    await asyncio.sleep(max(0.0, sender.from_s - time.monotonic()))
    while True:
        due_s = time.monotonic() + _LAG_S
        await asyncio.sleep(_LAG_S)
        sender.tally.loop_lag.record(time.monotonic() - due_s)


def _tell_beat(sender: Sender, wall_s: float, cpu_s: float) -> None:
    _tell({
        "tally": sender.take().as_json(), "in_flight": sender.in_flight,
        "wall_s": wall_s, "cpu_s": cpu_s, "last_s": sender.last_s,
    })  # fmt: skip


def _tell(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run to the end of the load."""
    with asyncio.Runner(loop_factory=fine_loop) as runner:
        runner.run(work())


if __name__ == "__main__":
    main()
