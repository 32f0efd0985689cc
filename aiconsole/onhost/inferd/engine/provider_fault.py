"""What went wrong with a provider, as the operator and the client hear of it.

The client's own key was fine: a provider's 401 or 403 must not reach it as one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from aiconsole.onhost.inferd.engine.refusal import RefusalError, Said, Silence, too_long
from aiconsole.onhost.inferd.errors import ApiError

Fault: TypeAlias = Literal[
    "provider_key_refused",
    "provider_forbidden",
    "provider_model_unknown",
    "provider_rate_limited",
    "provider_failed",
    "provider_unreachable",
    "provider_broke_off",
    "provider_silent",
]


@dataclass(frozen=True, slots=True)
class ProviderFault:
    """One failed request."""

    code: Fault
    reason: str
    """In plain words, with the provider's name; nothing of a refused key is in it."""
    for_good: bool = False
    """Whether the next request would fail in the same way."""
    retry_after_s: float = 0.0

    def as_error(self) -> ApiError:
        """What the client is told."""
        status, kind = _ANSWERS[self.code]
        return ApiError(
            status, f"{self.reason}.", kind=kind, code=self.code,
            retry_after_s=self.retry_after_s or _RETRY_AFTER_S.get(self.code, 0.0),
        )  # fmt: skip


_ANSWERS: dict[Fault, tuple[int, str]] = {
    "provider_key_refused": (502, "server_error"),
    "provider_forbidden": (502, "server_error"),
    "provider_model_unknown": (502, "server_error"),
    "provider_rate_limited": (429, "rate_limit_error"),
    "provider_failed": (502, "server_error"),
    "provider_unreachable": (503, "unavailable_error"),
    "provider_broke_off": (502, "server_error"),
    "provider_silent": (504, "timeout_error"),
}
_SILENCES: dict[Silence, tuple[Fault, str]] = {
    "not-reached": ("provider_unreachable", "cannot be reached"),
    "silent": ("provider_silent", "sent nothing for too long"),
    "broke-off": ("provider_broke_off", "broke off"),
}
_RETRY_AFTER_S: dict[Fault, float] = {"provider_rate_limited": 5.0, "provider_unreachable": 2.0}


def judge(name: str, refused: RefusalError, key: str) -> ProviderFault | ApiError:
    """Tell the provider's fault from the client's.

    Args:
        name: Of the provider.
        refused: What it answered.
        key: Is made unreadable in whatever it said.
    """
    said = refused.said
    if said is None:
        code, told = _SILENCES[refused.silence]
        return ProviderFault(code, f"the provider `{name}` {told}")
    message = said.message.replace(key, "***") if key else said.message
    if said.overflow:  # whatever its status: llama.cpp says 500 of an input that is too long
        long = too_long(said)
        return ApiError(long.status, message, code=long.code, param=long.param, extra=long.extra)
    if fault := _of_its_own(name, said, message):
        return fault
    return ApiError(400, message, code="engine_refused")


def _of_its_own(name: str, said: Said, message: str) -> ProviderFault | None:
    if said.status == 401:
        # It may have repeated the key, or parts of it.
        reason = f"the provider `{name}` refused its key (401)"
        return ProviderFault("provider_key_refused", reason, for_good=True)
    if said.status in (402, 403):
        reason = f"the provider `{name}` forbids it ({said.status}): {message}"
        return ProviderFault("provider_forbidden", reason, for_good=True)
    if said.status in (404, 405):
        reason = f"the provider `{name}` does not know this model or address: {message}"
        return ProviderFault("provider_model_unknown", reason)
    if said.status == 429:
        reason = f"the provider `{name}` limits its rate: {message}"
        return ProviderFault("provider_rate_limited", reason, retry_after_s=said.retry_after_s)
    if said.status >= 500 or said.status == 408:
        reason = f"the provider `{name}` failed ({said.status}): {message}"
        return ProviderFault("provider_failed", reason, retry_after_s=said.retry_after_s)
    return None
