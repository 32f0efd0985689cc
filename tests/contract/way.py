"""Leads a pool to an endpoint without a fleet."""

from __future__ import annotations

from dataclasses import dataclass

from aiconsole.session.endpoint import Endpoint


@dataclass(frozen=True)
class Way:
    """What a host of the fleet is to the pool."""

    endpoint: Endpoint
