"""How large an engine is made for this model on this machine."""

from __future__ import annotations

from dataclasses import dataclass

from aiconsole.onhost.inferd import cpu
from aiconsole.onhost.inferd.gguf import GgufHeader
from aiconsole.onhost.inferd.settings import EngineSettings
from aiconsole.onhost.wire.sizing import DEFAULT_SLOTS, pool_tokens, request_tokens

_SMALL_PARAMETERS = 50_000_000
_CACHE_LIMIT_MIB = 512
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sizing:
    """The numbers that an engine is started with."""

    context_tokens: int
    """Of one request."""
    pool_tokens: int
    """Of all slots together."""
    slots: int
    threads: int
    cache_ram_mib: int
    """Prompt cache in main memory."""


def size(settings: EngineSettings, header: GgufHeader) -> Sizing:
    """Choose what the settings leave open.

    The pool holds a whole context for each slot, so that no request is thrown out because of the
    others; where a quarter of the memory does not hold that, slots share what does.
    """
    memory = cpu.memory_bytes() or 4096 * _MIB
    context = request_tokens(settings.context_tokens, header.context_tokens)
    slots = settings.slots or DEFAULT_SLOTS
    allowed = cpu.usable_threads()
    wanted = settings.threads or _usual_threads(header, allowed)
    return Sizing(
        context_tokens=context,
        pool_tokens=pool_tokens(context, slots, header.kv_bytes_per_token, memory),
        slots=slots,
        threads=min(wanted, allowed),
        cache_ram_mib=min(_CACHE_LIMIT_MIB, memory // 10 // _MIB),
    )


def _usual_threads(header: GgufHeader, allowed: int) -> int:
    """A small model's threads only wait for each other, and for whatever else uses their cores.

    Seen on two cores that other programs used too: one thread 596 requests/s, two threads 16.
    """
    return 1 if header.parameters < _SMALL_PARAMETERS else allowed
