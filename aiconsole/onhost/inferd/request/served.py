"""The names under which clients may ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiconsole.onhost.inferd.access.grant import Grant, forbidden
from aiconsole.onhost.inferd.errors import ApiError, bad_request


class Served:
    """One model, by its name and its aliases."""

    def __init__(self, name: str, aliases: Sequence[str] = ()) -> None:
        self.name = name
        self.names: tuple[str, ...] = (name, *aliases)
        self._denied: frozenset[str] = frozenset()

    def seen_by(self, grant: Grant) -> Served:
        """The names that this client may use; for most clients all of them."""
        if grant.models is None:
            return self
        seen = Served(self.name)
        seen.names = grant.visible(self.names)
        seen._denied = frozenset(self.names).difference(seen.names)
        return seen

    def check(self, wanted: Any) -> None:
        """Refuse a request for something else; None asks for whatever is served.

        Raises:
            ApiError: 404, 403 where it is there for others only, or 400 where it is no text.
        """
        if not self.names or (isinstance(wanted, str) and wanted in self._denied):
            allowed = ", ".join(self.names) or "none that is served here"
            raise forbidden(
                f"Who asks here may not use this model, only: {allowed}.", code="model_not_allowed"
            )
        if wanted is None or (isinstance(wanted, str) and wanted in self.names):
            return
        if not isinstance(wanted, str):
            raise bad_request("`model` must be a text.", param="model")
        raise ApiError(
            404, f"The model `{wanted[:200]}` is not served here; `{self.names[0]}` is.",
            code="model_not_found", param="model",
        )  # fmt: skip
