"""`[auth]`: who may ask."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

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
    issuer: str = ""
    """What `iss` must be; empty accepts any."""
    audience: str = ""
    """What `aud` must hold; empty refuses a token that names one."""
    leeway_s: float = Field(default=30.0, ge=0, le=300)
    """Clock skew that `exp` and `nbf` are given."""
    max_age_s: float = Field(default=0.0, ge=0)
    """Longest time from `iat` to `exp`; 0 is any. A token without `exp` is always refused."""


class AuthSettings(Table):
    """Keys, tokens and addresses."""

    required: bool = False
    """A listening address that others can reach requires a key in any case."""
    keys_file: str = ""
    jwt: JwtSettings | None = None
    allow: list[Network] = []
    """Addresses that may ask at all; empty is every one."""
    trusted_proxies: list[Network] = []
    """Peers whose `X-Forwarded-For` or `Forwarded` is believed."""
    public_routes: list[PublicRoute] = ["/health", "/ready"]
    """Answered without a key."""
