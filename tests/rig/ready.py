"""Waits until a booting host says that it is up, without asking it again and again."""

from __future__ import annotations

import os
import select
import socket
import time
from pathlib import Path
from types import TracebackType

from tests.rig.execute import RigError


class Ready:
    """Hears the word READY of a host through nspawn, and notices where its launcher ends."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.bind(str(path))

    def __enter__(self) -> Ready:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def wait(self, launcher: int, timeout_s: float) -> None:
        """Wait for READY.

        Raises:
            RigError: The launcher ended, or the host was not up in time.
        """
        ends = time.monotonic() + timeout_s
        launched = os.pidfd_open(launcher)
        try:
            while (left_s := ends - time.monotonic()) > 0:
                heard = self._socket.fileno()
                readable, _, _ = select.select([heard, launched], [], [], left_s)
                if heard in readable:
                    if "READY=1" in self._socket.recv(4096).decode().splitlines():
                        return
                elif launched in readable:
                    raise RigError("the host's launcher ended before the host was up")
        finally:
            os.close(launched)
        raise RigError(f"the host was not up within {timeout_s:g} s")
