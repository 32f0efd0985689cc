"""The names under which clients may ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiconsole.onhost.inferd.errors import ApiError, bad_request


class Served:
    """One model, by its name and its aliases."""

    def __init__(self, name: str, aliases: Sequence[str] = ()) -> None:
        self.name = name
        self.names = (name, *aliases)

    def check(self, wanted: Any) -> None:
        """Refuse a request for something else; None asks for whatever is served.

        Raises:
            ApiError: 404, or 400 where it is no text.
        """
        if wanted is None or (isinstance(wanted, str) and wanted in self.names):
            return
        if not isinstance(wanted, str):
            raise bad_request("`model` must be a text.", param="model")
        raise ApiError(
            404, f"The model `{wanted[:200]}` is not served here; `{self.name}` is.",
            code="model_not_found", param="model",
        )  # fmt: skip
