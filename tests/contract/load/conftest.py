"""The daemon and its model, as the daemon's own tests have them."""

from __future__ import annotations

from tests.contract.inferd.conftest import room, shared, tiny_model

__all__ = ["room", "shared", "tiny_model"]
