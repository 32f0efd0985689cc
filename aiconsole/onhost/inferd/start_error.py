"""What keeps the daemon from starting, or a new setting from being taken."""

from __future__ import annotations


class StartError(Exception):
    """The daemon cannot start.

    Attributes:
        title: One line in plain words.
        detail: What was seen.
        hint: What to do next.
        permanent: True where another try with the same files ends the same way.
    """

    def __init__(
        self, title: str, detail: str = "", hint: str = "", *, permanent: bool = False
    ) -> None:
        super().__init__(title)
        self.title = title
        self.detail = detail
        self.hint = hint
        self.permanent = permanent

    def __str__(self) -> str:
        return ": ".join(part for part in (self.title, self.detail) if part)
