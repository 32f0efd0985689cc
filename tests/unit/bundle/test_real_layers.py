"""The locked packages themselves: built for this machine's kind, and used from their trees.

They come from uv's cache or the network; without both these tests are skipped.
"""

import os
import platform
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from aiconsole.bundle.builtin import BUILTIN
from aiconsole.bundle.layer import Layer, LayerName, Platform, build_layer
from aiconsole.bundle.layer_set import PROBE_LAYERS, SERVICE_LAYERS
from aiconsole.errors import BundleError

HERE = Platform(
    platform.machine(), f"{sys.version_info[0]}.{sys.version_info[1]}", platform.libc_ver()[1]
)


@pytest.fixture(autouse=True)
def machine_cache(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")  # uv keeps its own; the layers still go to the home
    monkeypatch.setattr("aiconsole.paths.cache_dir", lambda: _made(home / "cache"))


def _made(directory: Path) -> Path:
    directory.mkdir(exist_ok=True)
    return directory


async def unpack(names: tuple[LayerName, ...], place: Path) -> list[str]:
    """Build layers and unpack them as a host does; returns the search path."""
    found = []
    for name in names:
        try:
            built: Layer = await build_layer(name, HERE)
        except BundleError as error:
            if error.title == "The packages could not be downloaded":
                pytest.skip(f"no network: {error.detail.splitlines()[-1]}")
            raise
        with tarfile.open(built.archive) as archive:
            archive.extractall(place / name, filter="data")
        found.append(str(place / name))
    return found


def run_alone(search_path: list[str], code: str, **environment: str) -> str:
    """Run code in a Python that sees only the standard library and the layers."""
    head = f"import sys; sys.path[:0] = {search_path!r}; "
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", head + code],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


SERVE = """
import os, xllamacpp
params = xllamacpp.CommonParams()
params.model.path = {model!r}
params.n_ctx, params.n_parallel, params.cpuparams.n_threads = 512, 1, 1
server = xllamacpp.Server(params)
answer = server.handle_chat_completions(
    dict(messages=[dict(role="user", content="Who are you?")], max_tokens=100, temperature=0)
)
choice = answer["choices"][0]
print(choice["finish_reason"], choice["message"]["content"], flush=True)
os._exit(0)
"""


@pytest.mark.skipif(HERE.architecture not in ("x86_64", "aarch64"), reason="no such packages")
async def test_the_service_runs_from_its_layers(tmp_path: Path) -> None:
    found = await unpack(SERVICE_LAYERS, tmp_path)
    run_alone(found, "import aiohttp, httptools, orjson, prometheus_client")
    run_alone(found, "import pydantic, starlette, uvicorn, uvloop")
    # With the layer's own libgomp first, as on a host that has none.
    told = run_alone(
        found, SERVE.format(model=str(BUILTIN.path)), LD_LIBRARY_PATH=f"{found[2]}/lib"
    )
    reason, _, text = told.partition(" ")
    assert reason == "stop"
    assert "tiny model" in text or "small language model" in text


async def test_the_probe_runs_from_its_layers(tmp_path: Path) -> None:
    found = await unpack(PROBE_LAYERS, tmp_path)
    told = run_alone(found, "import psutil, pynvml, aiconsole.onhost.probe; print(psutil.__file__)")
    assert told.startswith(found[1])
