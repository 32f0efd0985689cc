"""The tool, packed: what runs on a host that has nothing but python3, and how it gets there."""

from __future__ import annotations

import functools
import hashlib
import io
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import aiconsole
from aiconsole.onhost.wire import HostLayout

PYTHON = "/usr/bin/python3"
"""Where Debian and Ubuntu have it."""

STUB = """\
import hashlib, json, os, sys

def fault(code, text, hint=""):
    print(json.dumps({"fault": {"code": code, "text": text, "hint": hint}}))
    sys.exit(3)

digest, size, path = sys.argv[1:4]
if sys.version_info < (3, 10):
    fault("python-too-old", sys.executable + " is Python " + sys.version.split()[0],
          "Python 3.10 or newer is needed.")
try:
    with open(path, "rb") as file:
        content = file.read()
except OSError:
    content = b""
if hashlib.sha256(content).hexdigest() == digest:
    os.write(1, b"HAVE\\n")
else:
    os.write(1, b"NEED\\n")
    content = b""
    while len(content) < int(size):
        chunk = os.read(0, int(size) - len(content))
        if not chunk:
            fault("cut", "the connection ended before the tool had arrived")
        content += chunk
    if hashlib.sha256(content).hexdigest() != digest:
        fault("digest-mismatch", "the tool did not arrive as it was sent")
    memory = os.memfd_create("aiconsole-tool")
    with open(memory, "wb", closefd=False) as file:
        file.write(content)
    path = "/proc/self/fd/%d" % memory
sys.argv = [path] + sys.argv[4:]
sys.path.insert(0, path)
from aiconsole.onhost.runner.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
"""Run by `python3 -I -c`. Syntax of Python 3.6, so that an older Python can say that it is old."""

_ROOMS = ("wire", "runner", "keeper")
_MAIN = """\
import sys
from aiconsole.onhost.runner.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Tool:
    """A zipapp with the rooms of `onhost` that need nothing but Python."""

    content: bytes = field(repr=False)
    sha256: str


@functools.cache
def build_tool() -> Tool:
    """Pack the tool. The same source gives the same bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, source in sorted(_members().items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, source)
    content = packed.getvalue()
    return Tool(content, hashlib.sha256(content).hexdigest())


def tool_path(tool: Tool, layout: HostLayout) -> str:
    """Where `start` stores the tool on a host."""
    return f"{layout.opt}/tools/{tool.sha256}.pyz"


def tool_argv(
    tool: Tool, layout: HostLayout, verb: str, *args: str, python: str = PYTHON
) -> tuple[str, ...]:
    """Argv of a call on a host; nothing of it is secret."""
    head = (python, "-I", "-c", STUB, tool.sha256, str(len(tool.content)))
    return (*head, tool_path(tool, layout), verb, *args)


def _members() -> dict[str, str]:
    """Files of the archive by name."""
    package = Path(aiconsole.__file__).parent
    sources = [package / "onhost" / "__init__.py"]
    for room in _ROOMS:
        sources += (package / "onhost" / room).rglob("*.py")
    members = {str(path.relative_to(package.parent)): path.read_text() for path in sources}
    # The package's own file belongs to the console.
    return {**members, "aiconsole/__init__.py": "", "__main__.py": _MAIN}
