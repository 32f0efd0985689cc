"""Why an engine's process ended, in plain words, from what it printed and how it died."""

from __future__ import annotations

import re
import signal

_PATTERNS: tuple[tuple[str, str], ...] = (
    (r"unknown model architecture: '([^']{1,60})'",
     "this engine does not know the architecture {0}"),
    (r"invalid magic characters", "the model is not a GGUF file"),
    (r"not within the file bounds|corrupted or incomplete|unexpectedly reached end of file",
     "the model file is truncated"),
    (r"failed to open GGUF file[^(]*\(([^)]{1,80})\)", "the model file cannot be opened: {0}"),
    (r"bad_alloc|failed to allocate|[Cc]annot allocate memory|unable to allocate|out of memory",
     "out of memory"),
    (r"(libgomp|libstdc\+\+)[^ ]*: cannot open shared object",
     "the system library {0} is missing"),
    (r"No module named '([\w.]{1,60})'", "the Python package {0} is missing"),
    (r"couldn't bind|bind\(\) failed|[Aa]ddress already in use", "its socket is taken"),
    (r"cannot be run: (.{1,200})", "it cannot be run: {0}"),
    (r"error loading model: (.{1,200})", "the model cannot be loaded: {0}"),
)  # fmt: skip


def explain(output: str, returncode: int | None) -> str:
    """One line on why the process ended; `output` is the end of its stderr."""
    for pattern, text in _PATTERNS:
        if found := re.search(pattern, output):
            return text.format(*(visible(group or "") for group in found.groups()))
    if returncode is not None and returncode < 0:
        return _by_signal(-returncode)
    last = next((line for line in reversed(output.splitlines()) if line.strip()), "")
    detail = f": {visible(last)[:200]}" if last else ""
    return f"the engine ended with exit status {returncode}{detail}"


def _by_signal(number: int) -> str:
    if number == signal.SIGILL:
        return "this CPU lacks instructions that the engine needs"
    if number == signal.SIGKILL:
        return "the engine was killed (SIGKILL): by the kernel when memory ran out, or by hand"
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return f"the engine crashed ({name})"


def visible(text: str) -> str:
    """Text from another process with control characters made visible."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
