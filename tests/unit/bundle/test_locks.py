"""The layers' locks agree with uv.lock, so that a host runs what the tests ran."""

import re
from pathlib import Path

import pytest
import tomllib

from aiconsole.bundle.install import LOCKS

ROOT = Path(__file__).parents[3]
LINE = re.compile(r"^(\S+)==(\S+)(?: ; (.*?))? \\$", re.M)


def locked() -> dict[str, set[str]]:
    versions: dict[str, set[str]] = {}
    for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]:
        versions.setdefault(package["name"], set()).add(package["version"])
    return versions


@pytest.mark.parametrize("name", ["gateway", "engine", "probe"])
def test_versions_are_those_of_uv_lock(name: str) -> None:
    versions = locked()
    found = LINE.findall((LOCKS / f"{name}.txt").read_text())
    assert found
    for package, version, marker in found:
        if "< '3.11'" not in marker:
            assert version in versions[package], f"{package} {version}: run tools/locks.py"


@pytest.mark.parametrize("name", ["gateway", "engine", "probe", "gomp"])
def test_every_requirement_of_a_layer_is_locked_with_hashes(name: str) -> None:
    text = (LOCKS / f"{name}.txt").read_text()
    packages = {package for package, _, _ in LINE.findall(text)}
    for line in (LOCKS / f"{name}.in").read_text().splitlines():
        if line and not line.startswith("#"):
            assert re.split(r"[;<>= \[]", line)[0] in packages
    for chunk in re.split(r"\n(?=\S)", text.strip()):
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", chunk), chunk.splitlines()[0]


def test_the_engine_needs_nothing_else() -> None:
    assert [p for p, _, _ in LINE.findall((LOCKS / "engine.txt").read_text())] == ["xllamacpp"]
