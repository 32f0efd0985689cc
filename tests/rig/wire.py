"""A long cable: carries frames between two interfaces, each frame after a delay.

It does in user space what tc's netem does, because kernels for small virtual machines are
often built without netem. Frames travel with their offload header, so the TCP stacks at both ends
keep their large segments and their checksums to themselves.

    python wire.py INTERFACE INTERFACE ONE_WAY_MS
"""

from __future__ import annotations

import select
import socket
import sys
import time
from collections import deque

ETH_P_ALL = 0x0003
SOL_PACKET = 263
PACKET_VNET_HDR = 15
PACKET_IGNORE_OUTGOING = 23
SO_RCVBUFFORCE = 33
SO_SNDBUFFORCE = 32
FRAME_BYTES = 128 * 1024
BUFFER_BYTES = 64 * 1024 * 1024
BURST = 64


def tap(interface: str) -> socket.socket:
    """A raw socket that sees every frame which enters the interface, and sends on it."""
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    for option in (PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING):
        raw.setsockopt(SOL_PACKET, option, 1)
    for option in (SO_RCVBUFFORCE, SO_SNDBUFFORCE):
        raw.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
    raw.bind((interface, ETH_P_ALL))
    raw.setblocking(False)
    return raw


class Lane:
    """One direction of the cable."""

    def __init__(self, source: socket.socket, target: socket.socket, delay_s: float) -> None:
        self.source = source
        self._target = target
        self._delay_s = delay_s
        self._under_way: deque[tuple[float, bytes]] = deque()

    def take(self) -> None:
        """Take in the frames that wait."""
        for _ in range(BURST):
            try:
                frame = self.source.recv(FRAME_BYTES)
            except BlockingIOError:
                return
            self._under_way.append((time.monotonic() + self._delay_s, frame))

    def give(self) -> float | None:
        """Hand over what is due; return the time of the next frame."""
        while self._under_way:
            due, frame = self._under_way[0]
            if due > time.monotonic():
                return due
            self._under_way.popleft()
            try:
                self._target.send(frame)
            except OSError:  # a full queue or a vanished interface loses frames, as cables do
                continue
        return None


def carry(near: str, far: str, delay_s: float) -> None:
    """Carry frames both ways until killed."""
    ends = tap(near), tap(far)
    lanes = Lane(ends[0], ends[1], delay_s), Lane(ends[1], ends[0], delay_s)
    print("carrying", flush=True)
    while True:
        due = [at for lane in lanes if (at := lane.give()) is not None]
        wait_s = max(0.0, min(due) - time.monotonic()) if due else None
        readable, _, _ = select.select(ends, [], [], wait_s)
        for lane in lanes:
            if lane.source in readable:
                lane.take()


if __name__ == "__main__":
    carry(sys.argv[1], sys.argv[2], float(sys.argv[3]) / 1000)
