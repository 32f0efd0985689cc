"""What goes wrong in the keeper, as it crosses its socket."""

from __future__ import annotations

from typing import Any


class KeeperFault(Exception):  # noqa: N818 - the word of the protocol
    """A request that the keeper could not fulfil.

    Attributes:
        code: Short and stable: `port-taken`, `busy`, `start-failed`, `not-listening`,
            `bad-address`, `bad-request`, `denied`, `not-found`, `no-keeper`, `no-answer`,
            `internal`.
        text: One line for the operator.
        log: Last lines of the output of the slot that failed.
    """

    def __init__(self, code: str, text: str, log: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.log = log

    def as_json(self) -> dict[str, Any]:
        """The fault as the answer on the keeper's socket."""
        answer: dict[str, Any] = {"ok": False, "code": self.code, "text": self.text}
        if self.log:
            answer["log"] = list(self.log)
        return answer
