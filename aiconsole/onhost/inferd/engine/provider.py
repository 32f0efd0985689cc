"""One provider: its address, its key, its breaker, and what it has answered so far."""

from __future__ import annotations

import ssl
import time
from collections import Counter
from collections.abc import Sequence
from urllib.parse import urlsplit

from aiconsole.onhost.inferd.credentials import Credentials, Secret
from aiconsole.onhost.inferd.engine.breaker import Breaker
from aiconsole.onhost.inferd.engine.endpoint import Endpoint, Quirks
from aiconsole.onhost.inferd.engine.pace import Pace
from aiconsole.onhost.inferd.engine.proof import Way, prove
from aiconsole.onhost.inferd.engine.provider_fault import ProviderFault, judge
from aiconsole.onhost.inferd.engine.refusal import RefusalError
from aiconsole.onhost.inferd.engine.upstream import OpenAIUpstream
from aiconsole.onhost.inferd.errors import ApiError
from aiconsole.onhost.inferd.settings import EngineSettings, RemoteSettings
from aiconsole.onhost.inferd.start_error import StartError

_CHAT_FIRST: Sequence[Way] = ("chat", "text", "embedding")


class Provider:
    """Made with its key; connects to nothing before it is asked."""

    def __init__(
        self, remote: RemoteSettings, endpoint: Endpoint, breaker: Breaker, slots: int
    ) -> None:
        self.name = remote.name
        self.tier = remote.tier
        self.weight = remote.weight
        self.turn = 0
        """Of the smooth round robin by weight."""
        self.breaker = breaker
        self.upstream = OpenAIUpstream(endpoint, slots)
        self.outcomes: Counter[str] = Counter()
        """Requests by how they went: `ok`, `refused`, or the code of the fault."""
        self._endpoint = endpoint
        self._ways: Sequence[Way] = _CHAT_FIRST
        self._proved_at = time.monotonic()
        self.doubted = False
        """Whether something was not there that should be, and a proof is wanted."""

    @classmethod
    def of(
        cls, remote: RemoteSettings, settings: EngineSettings, secrets: Credentials, slots: int
    ) -> Provider:
        """Read its key and its certificates.

        Raises:
            StartError: One of them cannot be used.
        """
        endpoint = Endpoint(
            remote.url.rstrip("/"),
            _key(remote, secrets),
            tls=_tls(remote),
            silence_s=settings.stall_timeout_s,
            quirks=Quirks(max_tokens_field=remote.max_tokens_field, model_name=remote.model),
        )
        breaker = Breaker(settings.breaker_failures, settings.breaker_open_s)
        return cls(remote, endpoint, breaker, slots)

    @property
    def in_the_clear(self) -> bool:
        """Whether its key travels where others can read it."""
        url = urlsplit(self._endpoint.base_url)
        near = url.hostname in ("localhost", "127.0.0.1", "::1")
        return self._endpoint.key is not None and url.scheme == "http" and not near

    def doubt(self, spared_s: float) -> bool:
        """Whether it is to be asked for a proof: not within `spared_s` after the last one."""
        if time.monotonic() - self._proved_at > spared_s:
            self.doubted = True
        return self.doubted

    async def prove(self, model: str) -> ProviderFault | None:
        """A real call that shows that key, model and address are good; else what is not."""
        self.doubted, self._proved_at = False, time.monotonic()
        try:
            self._ways = (await prove(self.upstream, model, Pace(), self._ways),)
        except RefusalError as refused:
            fault = self.judge(refused)
            if isinstance(fault, ProviderFault):
                return await self._known(model, fault)
            # It understood the question and did not like it: a model that has to think first
            # has no answer of one token.
            reason = f"the provider `{self.name}` refused a completion: {fault}"
            return await self._known(model, ProviderFault("provider_failed", reason))
        except ApiError as error:
            return ProviderFault("provider_failed", f"the provider `{self.name}`: {error}")
        return None

    async def _known(self, model: str, fault: ProviderFault) -> ProviderFault | None:
        """The fault, unless it is of the question and the model is there after all."""
        if fault.code not in ("provider_model_unknown", "provider_failed") or fault.retry_after_s:
            return fault
        try:
            names = await self.upstream.models()
        except RefusalError:
            return fault
        return None if (self._endpoint.quirks.model_name or model) in names else fault

    def judge(self, refused: RefusalError) -> ProviderFault | ApiError:
        """Whose fault it is."""
        key = self._endpoint.key
        return judge(self.name, refused, key.reveal() if key else "")


def _key(remote: RemoteSettings, secrets: Credentials) -> Secret | None:
    if remote.credential is None:
        return None
    key = secrets.read(remote.credential)
    text = key.reveal()
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise StartError(
            f"The credential `{remote.credential}` cannot be used",
            "it holds characters that no HTTP header can carry",
            "Store the key alone, on one line.",
            permanent=True,
        )
    return key


def _tls(remote: RemoteSettings) -> ssl.SSLContext | None:
    if not remote.url.startswith("https:"):
        return None
    try:
        return ssl.create_default_context(cafile=remote.ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise StartError(
            f"The certificates for the provider `{remote.name}` cannot be read",
            f"{remote.ca_file}: {getattr(error, 'strerror', None) or error}",
            "Correct ca_file of this remote in the settings.",
            permanent=True,
        ) from error
