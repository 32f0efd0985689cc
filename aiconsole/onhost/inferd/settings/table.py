"""What all tables of the file have in common."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class Table(BaseModel):
    """A table of the file: frozen, and nothing in it that is not known."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError("must be an address or a network such as 10.0.0.0/8") from None
    return text


Network = Annotated[str, AfterValidator(_network)]
"""An IP address or a network in CIDR notation."""

CredentialName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
"""Name of a secret that lies outside the file: under systemd a credential of the unit, else a
0600 file of that name in the directory of credentials. Never the secret itself."""
