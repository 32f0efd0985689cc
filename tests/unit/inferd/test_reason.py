"""Why an engine ended, from what llama.cpp really prints."""

from __future__ import annotations

import signal

import pytest

from aiconsole.onhost.inferd.engine.reason import explain

TRUNCATED = """0.005 E llama_model_load: error loading model: tensor 'blk.0.ffn_gate.weight' \
data is not within the file bounds, model is corrupted or incomplete
0.00.005.776 E llama_model_load_from_file_impl: failed to load model
RuntimeError: Failed to init server, please check the input params."""
MAGIC = "0.003 E gguf_init_from_reader: invalid magic characters: '??.?', expected 'GGUF'"
ARCH = "E llama_model_load: error loading model: unknown model architecture: 'nosuch'"
MEMORY = "E llama_init_from_model: failed to initialize the context: std::bad_alloc"
MISSING = "E gguf_init_from_file: failed to open GGUF file '/m.gguf' (Permission denied)"
GOMP = "ImportError: libgomp.so.1: cannot open shared object file: No such file or directory"


@pytest.mark.parametrize(
    ("output", "code", "reason"),
    [
        (TRUNCATED, 1, "the model file is truncated"),
        (MAGIC, 1, "the model is not a GGUF file"),
        (ARCH, 1, "this engine does not know the architecture nosuch"),
        (MEMORY, 1, "out of memory"),
        (MISSING, 1, "the model file cannot be opened: Permission denied"),
        (GOMP, 1, "the system library libgomp is missing"),
        ("E error loading model: odd", 1, "the model cannot be loaded: odd"),
        ("", -signal.SIGILL, "this CPU lacks instructions that the engine needs"),
        ("", -signal.SIGABRT, "the engine crashed (SIGABRT)"),
        ("", -signal.SIGSEGV, "the engine crashed (SIGSEGV)"),
        ("", 3, "the engine ended with exit status 3"),
        ("one\nlast\n\n", 3, "the engine ended with exit status 3: last"),
    ],
)
def test_explain(output: str, code: int, reason: str) -> None:
    assert explain(output, code) == reason


def test_killed_is_told_apart() -> None:
    assert "killed (SIGKILL)" in explain("", -9)


def test_control_characters_are_made_visible() -> None:
    told = explain("unknown model architecture: '\x1b[31mred\x07'", 1)
    assert "\x1b" not in told
    assert told.endswith("\\x1b[31mred\\x07")
