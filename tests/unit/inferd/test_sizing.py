"""How large an engine is made."""

from __future__ import annotations

import pytest

from aiconsole.onhost.inferd import cpu
from aiconsole.onhost.inferd.engine.sizing import size
from aiconsole.onhost.inferd.gguf import GgufHeader
from aiconsole.onhost.inferd.settings import EngineSettings

GIB = 1024**3


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "memory_bytes", lambda: 4 * GIB)
    monkeypatch.setattr(cpu, "usable_threads", lambda: 2)


def _model(parameters: int = 10**9, context: int = 131072, layers: int = 16) -> GgufHeader:
    values = {
        "general.architecture": "llama",
        "llama.context_length": context,
        "llama.block_count": layers,
        "llama.embedding_length": 2048,
        "llama.attention.head_count": 32,
        "llama.attention.head_count_kv": 8,
    }
    return GgufHeader(3, values, 1, parameters, 1, 1)


def test_a_real_model_on_a_small_server() -> None:
    sizing = size(EngineSettings(), _model())
    assert (sizing.context_tokens, sizing.slots, sizing.threads) == (8192, 4, 2)
    # 32 KiB a token: a quarter of 4 GiB holds exactly four contexts.
    assert sizing.pool_tokens == 4 * 8192
    assert sizing.cache_ram_mib == 409


def test_a_context_that_the_memory_does_not_hold_for_every_slot_is_shared() -> None:
    sizing = size(EngineSettings(context_tokens=32768), _model())
    assert (sizing.context_tokens, sizing.pool_tokens) == (32768, 32768)


def test_never_more_than_the_model_was_trained_for() -> None:
    assert size(EngineSettings(context_tokens=9000), _model(context=512)).context_tokens == 512


def test_never_more_threads_than_can_run() -> None:
    assert size(EngineSettings(threads=64), _model()).threads == 2
    assert size(EngineSettings(threads=1), _model()).threads == 1
    assert size(EngineSettings(), _model(parameters=10**6)).threads == 1
