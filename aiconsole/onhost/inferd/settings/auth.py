"""`[auth]`: who may ask."""

from __future__ import annotations

import ipaddress
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from aiconsole.onhost.inferd.settings.table import CredentialName, Network, Table

PublicRoute = Literal["/health", "/ready", "/metrics", "/v1/models", "/openapi.json", "/docs"]


class JwtSettings(Table):
    """`[auth.jwt]`: bearer tokens that somebody else signs."""

    algorithms: list[Literal["HS256", "RS256", "EdDSA"]] = Field(min_length=1)
    """Those that are accepted, and no others, whatever a token says of itself."""
    key_file: str = ""
    """PEM of the public key for RS256 and EdDSA."""
    secret: CredentialName | None = None
    """Name of the credential with the shared secret for HS256, of at least 32 bytes."""
    jwks_file: str = ""
    """Key set in a file; looked at again when it changes."""
    jwks_url: str = Field(default="", pattern=r"^(https?://[^\s]+)?$")
    """Key set at an address; kept for `jwks_ttl_s`, and asked again for an unknown `kid`."""
    jwks_ttl_s: float = Field(default=600.0, ge=10)
    jwks_ca_file: str = ""
    """PEM of the authority that signed the address's certificate; empty is the system's own."""
    issuer: str = ""
    """What `iss` must be; empty accepts any."""
    audience: str = ""
    """What `aud` must hold; empty refuses a token that names one."""
    leeway_s: float = Field(default=30.0, ge=0, le=300)
    """Clock skew that `exp` and `nbf` are given."""
    max_age_s: float = Field(default=0.0, ge=0)
    """Longest time from `iat` to `exp`; 0 is any. A token without `exp` is always refused."""

    @field_validator("jwks_url")
    @classmethod
    def _keys_come_over_a_safe_way(cls, url: str) -> str:
        if "@" in urlsplit(url).netloc:
            raise ValueError("must hold no user and no password: it is told in the log")
        if url.startswith("http://") and not _is_of_this_machine(urlsplit(url).hostname or ""):
            raise ValueError("must be https: whoever changes keys on their way can sign anything")
        return url

    @model_validator(mode="after")
    def _each_algorithm_has_its_key(self) -> JwtSettings:
        if ("HS256" in self.algorithms) != (self.secret is not None):
            raise ValueError("`secret` belongs to HS256: both are needed, or none of them")
        sources = [name for name in _PUBLIC_KEYS if getattr(self, name)]
        if len(sources) > 1:
            raise ValueError(f"only one can be given of {', '.join(sources)}")
        if bool(sources) != bool({"RS256", "EdDSA"} & set(self.algorithms)):
            raise ValueError(
                "RS256 and EdDSA need one of `key_file`, `jwks_file` and `jwks_url`; "
                "HS256 has no use for them"
            )
        return self


class AuthSettings(Table):
    """Keys, tokens and addresses."""

    required: bool = False
    """A listening address that others can reach requires a key in any case."""
    keys_file: str = ""
    jwt: JwtSettings | None = None
    allow: list[Network] = []
    """Addresses that may ask at all; empty is every one. What watches the service on this very
    machine is not kept from `/health`, `/ready` and `/metrics`."""
    trusted_proxies: list[Network] = []
    """Peers that are believed when they say for whom they ask."""
    proxy_header: Literal["X-Forwarded-For", "Forwarded"] = "X-Forwarded-For"
    """Where they say it. The other header is not looked at: a proxy passes on what it does not
    write itself, so a client could put anything there."""
    public_routes: list[PublicRoute] = ["/health", "/ready"]
    """Answered without a key."""


_PUBLIC_KEYS = ("key_file", "jwks_file", "jwks_url")


def _is_of_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
