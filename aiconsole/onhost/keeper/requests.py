"""What callers may ask of the keeper, checked and carried out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiconsole.onhost.keeper.fault import KeeperFault
from aiconsole.onhost.keeper.keeper import Keeper

Say = Callable[[str], None]


class Requests:
    """Carries out one request after the other; some of them take as long as a model's load."""

    def __init__(
        self, keeper: Keeper, tool: str, upgrade: Callable[[str], None], end: Callable[[], None]
    ) -> None:
        """Serve a keeper.

        Args:
            keeper: What the requests act on.
            tool: Path of the tool that this keeper runs from.
            upgrade: Replaces this process once the answer is out; raises KeeperFault.
            end: Ends this process once the answer is out.
        """
        self._keeper = keeper
        self._tool = tool
        self._upgrade = upgrade
        self._end = end
        self._changing = 0
        """Requests at work that an upgrade would cut off."""

    async def handle(self, request: dict[str, Any], say: Say) -> dict[str, Any]:
        """Answer one request.

        Raises:
            KeeperFault: It is not one, or could not be fulfilled.
        """
        verb = request.get("do")
        slow = {"start": self._start, "stop": self._stop, "quit": self._quit}
        if verb in slow:
            self._changing += 1
            try:
                return await slow[verb](request, say)
            finally:
                self._changing -= 1
        return self._quick(str(verb), request)

    def _quick(self, verb: str, request: dict[str, Any]) -> dict[str, Any]:
        keeper = self._keeper
        if verb == "status":
            return {**keeper.status(), "tool": self._tool}
        if verb == "listen":
            return {"changed": keeper.listen(_text(request, "address"))}
        if verb == "enable":
            keeper.enable(_text(request, "slot"))
        elif verb == "close":
            keeper.close()
        elif verb == "run":
            after = _words(request, "after") if "after" in request else []
            return {
                "pid": keeper.jobs.start(_text(request, "lock"), _words(request, "argv"), after)
            }
        elif verb == "cancel":
            keeper.jobs.cancel(_text(request, "lock"))
        elif verb == "upgrade":
            self._begin_upgrade(_text(request, "tool"))
        else:
            raise KeeperFault("bad-request", f"unknown request {verb!r}")
        return {}

    async def _start(self, request: dict[str, Any], say: Say) -> dict[str, Any]:
        slot = _text(request, "slot")
        await self._keeper.start(slot, _seconds(request, "ready_timeout_s", 600.0), say)
        return {"slot": self._keeper.slots[slot].status()}

    async def _stop(self, request: dict[str, Any], _say: Say) -> dict[str, Any]:
        slot = _text(request, "slot")
        seconds = _seconds(request, "drain_timeout_s", 60.0)
        return {"drained": await self._keeper.stop(slot, seconds)}

    async def _quit(self, request: dict[str, Any], _say: Say) -> dict[str, Any]:
        await self._keeper.quit(_seconds(request, "drain_timeout_s", 60.0))
        self._end()
        return {}

    def _begin_upgrade(self, tool: str) -> None:
        if self._changing:
            raise KeeperFault("busy", "a slot is being started or stopped")
        self._upgrade(tool)


def _text(request: dict[str, Any], name: str) -> str:
    value = request.get(name)
    if not isinstance(value, str) or "\0" in value:
        raise KeeperFault("bad-request", f"{name!r} has to be a text")
    return value


def _words(request: dict[str, Any], name: str) -> list[str]:
    value = request.get(name)
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise KeeperFault("bad-request", f"{name!r} has to be a list of texts")
    return value


def _seconds(request: dict[str, Any], name: str, default: float) -> float:
    value = request.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e6:
        raise KeeperFault("bad-request", f"{name!r} has to be a number of seconds")
    return float(value)
