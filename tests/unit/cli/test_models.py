"""`aiconsole models`: what it prints, what it asks, and how it ends."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import gguf as reference
import numpy as np
import pytest

from aiconsole.bundle.builtin import BUILTIN
from aiconsole.cli import models_look
from aiconsole.cli.app import main
from aiconsole.cli.models_view import host_models
from aiconsole.cli.progress_line import ProgressLine
from aiconsole.control.events import Event
from aiconsole.control.inspection import Inspection
from aiconsole.control.operations import Operations
from aiconsole.control.options import DeployOptions
from aiconsole.errors import UnreachableError
from aiconsole.fleet.host import Host
from aiconsole.models.catalogue import Catalogue
from aiconsole.onhost.wire import HostLayout, HostStatus, ServiceState, SlotStatus
from aiconsole.services import Services
from tests.gguf_files import gguf_bytes, sha256_of, write_gguf

ESCAPE = "\x1b[2J"


class Ended(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def documents(self) -> list[Any]:
        """Its JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Ended]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `aiconsole models ...` without a terminal, in a home of its own."""
    for name in ("CACHE", "STATE", "CONFIG", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["aiconsole", "models", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert ESCAPE not in said.out + said.err
        return Ended(int(ended.value.code or 0), said.out, said.err)

    return run


def versions(run: Run, count: int) -> list[str]:
    """Add versions of the model `m`; returns their digests."""
    for number in range(count):
        path = write_gguf(Path(f"v{number}.gguf"), bytes([number]))
        assert run("add", str(path), "--name", "m").code == 0
    return [sha256_of(gguf_bytes(bytes([number]))) for number in range(count)]


def test_add_and_list(run: Run) -> None:
    write_gguf(Path("Tiny Model.gguf"), b"x")
    done = run("add", "Tiny Model.gguf")
    digest = sha256_of(gguf_bytes(b"x"))
    assert done.code == 0
    assert f"Tiny-Model is in the catalogue: {digest[:8]}, 1.01 MB, llama Q8_0, 919k" in done.out
    assert "aiconsole deploy HOST --model Tiny-Model" in done.out
    assert "has this version already" in run("add", "Tiny Model.gguf").out
    lines = run("list").out.splitlines()
    assert lines[0].split() == ["MODEL", "VERSION", "SIZE", "TYPE", "PARAMS", "CONTEXT", "AGE"]
    assert lines[1].startswith(f"Tiny-Model  {digest[:8]}  1.01 MB  Q8_0  919k    2.05k")
    assert lines[2].startswith("builtin ")
    assert all(len(line) <= 80 for line in lines)


def test_list_as_json(run: Run) -> None:
    one, two = versions(run, 2)
    first, builtin = run("list", "--json").documents
    assert (first["name"], first["current"]) == ("m", two)
    assert [version["sha256"] for version in first["versions"]] == [two, one]
    assert Path(first["versions"][0]["path"]).read_bytes() == gguf_bytes(b"\x01")
    assert builtin["builtin"] is True


@pytest.mark.parametrize("as_json", [False, True])
def test_a_fault_is_told_in_three_parts(run: Run, as_json: bool) -> None:
    Path(f"page{ESCAPE}.gguf").write_bytes(b"<html>" * 9)
    done = run("add", f"page{ESCAPE}.gguf", *(["--json"] if as_json else []))
    assert done.code == 2
    if as_json:
        assert done.documents[0]["error"] == "ModelError"
    else:
        assert done.out == ""
        assert "page\\x1b[2J.gguf is not a GGUF model" in done.err
        assert "→ inferd serves GGUF files" in done.err


def test_refusals_exit_with_one(run: Run) -> None:
    versions(run, 1)
    for words in (
        ["add", "ftp://h/x"],
        ["add", "https://me:hunter2@h/x"],
        ["add", "v0.gguf", "--name", "a/b"],
        ["add", "v0.gguf", "--sha256", "beef"],
        ["add", "hf:x"],
        ["add", "https://h/x.gguf", "--in-place"],
        ["rollback", "m"],
        ["rollback", "nobody"],
        ["verify", "nobody"],
        ["remove", "nobody", "--yes"],
        ["prune", "nobody"],
    ):
        done = run(*words)
        assert (done.code, done.out) == (1, ""), words
        assert "aiconsole: " in done.err
        assert "hunter2" not in done.err


def test_a_new_version_says_what_it_replaces(run: Run) -> None:
    one, _ = versions(run, 2)
    assert "takes the place of" not in run("add", "v1.gguf", "--name", "m").out
    done = run("add", str(write_gguf(Path("v3.gguf"), b"3")), "--name", "m")
    assert f"takes the place of {sha256_of(gguf_bytes(bytes([1])))[:8]}" in done.out
    assert (
        f"takes the place of {sha256_of(gguf_bytes(b'3'))[:8]}"
        in run("add", "v0.gguf", "--name", "m").out
    )
    assert Catalogue().model("m").current == one


def test_rollback_says_how_hosts_change(run: Run) -> None:
    one, two = versions(run, 2)
    done = run("rollback", "m")
    assert f"m is {one[:8]} now, in place of {two[:8]}" in done.out
    assert "aiconsole deploy HOST --model m" in done.out
    assert run("rollback", "m", two[:8], "--json").documents == [
        {"name": "m", "was": one, "current": two}
    ]
    assert "already" in run("rollback", "m", two).out


def test_nothing_is_removed_where_nobody_can_be_asked(run: Run) -> None:
    digests = versions(run, 3)
    for words in (["prune", "--keep", "1"], ["remove", "m"]):
        done = run(*words)
        assert done.code == 1
        assert "Nobody can be asked here" in done.err
    assert len(Catalogue().model("m").versions) == 3
    assert all(Catalogue().store.held(digest).exists() for digest in digests)


def test_prune_shows_what_it_frees(run: Run) -> None:
    one, two, three = versions(run, 3)
    for number in range(3):
        Path(f"v{number}.gguf").unlink()
    done = run("prune", "--yes")
    assert done.code == 0
    assert f"old version  m {one[:8]}  1.01 MB" in done.out
    assert "removed 1, freed 1.01 MB" in done.out
    assert not Catalogue().store.held(one).exists()
    (document,) = run("prune", "--keep", "1", "--yes", "--json").documents
    assert [left["sha256"] for left in document["removed"]] == [two]
    assert document["freed_bytes"] > 1_000_000
    assert run("prune", "--yes").out == "nothing to remove\n"
    assert Catalogue().model("m").current == three


def test_remove_spares_the_operators_file(run: Run) -> None:
    path = write_gguf(Path("mine.gguf")).absolute()
    assert f"keep it at {path}" in run("add", "mine.gguf", "--in-place").out
    done = run("remove", "mine", "--yes")
    assert done.code == 0
    assert f"yours, and still there: {path}" in done.out
    assert path.exists()


def test_one_version_is_removed_but_not_the_current_one(run: Run) -> None:
    one, two = versions(run, 2)
    assert run("remove", f"m@{two[:8]}", "--yes").code == 1
    assert run("remove", f"m@{one[:8]}", "--yes").code == 0
    assert [v.sha256 for v in Catalogue().model("m").versions] == [two]
    done = run("remove", "m", "--yes", "--json")
    assert done.documents[0]["removed"] == [two]
    assert Catalogue().models() == ()


def test_verify_names_what_is_damaged(run: Run) -> None:
    one, two = versions(run, 2)
    assert run("verify").code == 0
    file = Catalogue().store.held(two)
    file.unlink()
    file.write_bytes(gguf_bytes(b"\x01")[:-1] + b"\x07")
    done = run("verify", "m")
    assert done.code == 2
    assert f"✓ good  m {one[:8]}" in done.out
    assert f"✗ DAMAGED  m {two[:8]}" in done.out
    assert "set aside as" in done.out
    assert "DAMAGED" in run("list").out
    file.unlink(missing_ok=True)
    found = {d["sha256"]: d["condition"] for d in run("verify", "--json").documents}
    assert found == {one: "good", two: "missing"}


def test_inspect_a_name_and_a_path(run: Run) -> None:
    (digest,) = versions(run, 1)
    done = run("inspect", "m")
    assert done.code == 0
    for part in ("architecture  llama", "vocabulary    1,024 tokens", "licence       Apache-2.0",
                 "Q8_0  29", "Chat template", f"{digest[:8]}  current", "Memory on localhost",
                 "2,048 <  8,192", "yes"):  # fmt: skip
        assert part in done.out
    (document,) = run("inspect", "v0.gguf", "--context", "512", "--json").documents
    assert [c["context_tokens"] for c in document["memory"]["choices"]] == [512, 2048]
    assert document["memory"]["choices"][0]["fits"] == "yes"
    assert "no model nowhere" in run("inspect", "nowhere").err


def hostile_model(path: Path, layers: int = 2) -> None:
    """A model whose texts command a terminal, and whose context no machine has memory for."""
    writer = reference.GGUFWriter(path, f"llama{ESCAPE}")
    writer.add_name(f"title{ESCAPE}")
    writer.add_license(f"licence{ESCAPE}")
    writer.add_chat_template(f"first{ESCAPE}\nsecond")
    for key, value in (("block_count", layers), ("context_length", 1 << 20),
                       ("embedding_length", 8192), ("attention.head_count", 64)):  # fmt: skip
        writer.add_uint32(f"llama{ESCAPE}.{key}", value)
    writer.add_tensor("token_embd.weight", np.ones((64, 256), dtype=np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_what_a_stranger_wrote_into_a_model_is_only_shown(run: Run) -> None:
    hostile_model(Path("bad.gguf"))
    done = run("inspect", "./bad.gguf")
    for part in ("llama\\x1b[2J", "title\\x1b[2J", "licence\\x1b[2J", "  first\\x1b[2J\n  second"):
        assert part in done.out
    assert run("inspect", "./bad.gguf", "--template").out.count("\\x1b[2J") == 4
    assert "llama\\x1b[2J" in run("add", "bad.gguf").out
    assert "\\x1b" not in run("list", "--json").out, "JSON has an escape of its own"


def test_what_does_not_fit_is_said_and_exits_with_one(run: Run) -> None:
    hostile_model(Path("huge.gguf"), layers=4096)
    done = run("inspect", "./huge.gguf", "--context", str(1 << 20))
    assert done.code == 1
    assert done.out.splitlines()[-2].split()[-1] == "no" or " no" in done.out
    assert "requests share the tokens" in done.out


def release(release_id: str, name: object, sha256: object, size: object = 5) -> dict[str, Any]:
    return {"id": release_id, "model": {"name": name, "sha256": sha256, "size_bytes": size}}


def status_of(*releases: dict[str, Any], wanted: str = "running") -> HostStatus:
    service = ServiceState("r1", "a", "127.0.0.1:8480", "r2", wanted=wanted)
    return HostStatus(HostLayout.system(), service, (), releases, ())


def test_what_a_host_holds(run: Run) -> None:
    one, two = versions(run, 2)
    status = status_of(
        release("r1", "m", one), release("r2", "m", "f" * 64), release("r3", "m", two),
        release("r4", "again", one), {"id": "r5"}, {"id": "r6", "model": 7},
        release("r7", f"evil{ESCAPE}", 5, "big"),
    )  # fmt: skip
    found = host_models(status, Catalogue().models())
    assert [(f["sha256"], f["state"], f["catalogue"]) for f in found] == [
        (one, "serves", "m (not current)"),
        ("f" * 64, "previous", ""),
        (two, "held", "m"),
        ("5", "held", ""),
    ]


def test_list_with_hosts(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (digest,) = versions(run, 1)
    Path("config/aiconsole").mkdir(parents=True)
    Path("config/aiconsole/hosts.toml").write_text(
        '[hosts.web1]\naddress = "h1"\n[hosts.web2]\naddress = "h2"\n'
    )

    async def ask_host(services: Services, host: Host) -> Any:
        if host.name == "web2":
            return UnreachableError("web2 refused the connection")
        status = status_of(release("r1", f"m{ESCAPE}", digest, 1_009_889))
        return Inspection(None, None, status)  # type: ignore[arg-type] # only the status is read

    monkeypatch.setattr(models_look, "_ask_host", ask_host)
    done = run("list", "web1", "web2")
    assert done.code == 2
    head, first, second = done.out.splitlines()[-3:]
    assert head.split() == ["HOST", "MODEL", "VERSION", "SIZE", "IN", "THE", "CATALOGUE"]
    assert first.split() == ["web1", "m\\x1b[2J", digest[:8], "1.01", "MB", "serves", "m"]
    assert second == "web2  web2 refused the connection"
    documents = run("list", "web1", "web2", "--json").documents[-2:]
    assert documents[0]["models"][0]["state"] == "serves"
    assert documents[1]["error"] == "UnreachableError"


def test_what_daemons_found(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("config/aiconsole").mkdir(parents=True)
    Path("config/aiconsole/hosts.toml").write_text(
        "".join(f'[hosts.{name}]\naddress = "h"\n' for name in ("w1", "w2", "w3", "w4", "w5"))
    )
    verdicts = {"w1": "good", "w2": "bad", "w3": "checking", "w4": ""}

    async def ask_host(services: Services, host: Host) -> Any:
        slots = [SlotStatus("b", "stopped", "r2")]
        if host.name in verdicts:
            slots.append(SlotStatus("a", "ready", "r1"))
        status = status_of(release("r1", f"m{ESCAPE}", "c" * 64))
        daemons = {"a": {"model_verified": verdicts[host.name]}} if verdicts.get(host.name) else {}
        status = replace(status, slots=tuple(slots), daemons=daemons)
        return Inspection(None, None, status)  # type: ignore[arg-type]

    monkeypatch.setattr(models_look, "_ask_host", ask_host)

    def code_of(*names: str) -> int:
        return run("verify", *(word for name in names for word in ("--host", name))).code

    assert [code_of(name) for name in ("w1", "w2", "w3", "w4", "w5")] == [0, 2, 1, 1, 0]
    assert code_of("w1", "w2", "w3") == 2
    done = run("verify", "--host", "*2", "--host", "w5", "--host", "w4")
    lines = {line.split()[0]: line for line in done.out.splitlines()}
    assert lines["w2"].split()[1:] == ["slot", "a", "m\\x1b[2J", "c" * 8, "✗", "DAMAGED"]
    assert "did not answer" in lines["w4"]
    assert "serves nothing" in lines["w5"]
    (document,) = run("verify", "--host", "w2", "--json").documents
    assert document["slots"][0]["model_verified"] == "bad"
    assert run("verify", "m", "--host", "w1").code == 2


def test_a_damaged_index_is_told_on_stderr(run: Run) -> None:
    versions(run, 1)
    (Catalogue().store.directory / "catalogue.json").write_bytes(b"\x00")
    done = run("list", "--json")
    assert "index was damaged" in done.err
    assert done.documents


def test_deploy_takes_a_name(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (digest,) = versions(run, 1)
    seen: list[DeployOptions] = []

    async def deploy(_: Any, hosts: Any, options: DeployOptions, ask: Any) -> AsyncIterator[Event]:
        seen.append(options)
        nothing: tuple[Event, ...] = ()
        for event in nothing:
            yield event

    monkeypatch.setattr(Operations, "deploy", deploy)
    for words in (["localhost", "--model", "m"], ["localhost", "--model", "m", "--model-name", "x"],
                  ["localhost", "--model", "builtin"], ["localhost"]):  # fmt: skip
        monkeypatch.setattr(sys, "argv", ["aiconsole", "deploy", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0
    held = Catalogue().store.held(digest)
    assert [(options.model, options.model_name) for options in seen] == [
        (held, "m"), (held, "x"), (BUILTIN.path, "builtin"), (None, ""),
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["aiconsole", "deploy", "localhost", "--model", "mm"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert len(seen) == 4


class Terminal:
    """A stderr that says it is a terminal."""

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""


def test_progress_is_for_terminals(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with ProgressLine() as line:
        line.show("Download", 1, 2)
    assert capsys.readouterr().err == ""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with ProgressLine() as line:
        line.show(f"Download {ESCAPE}", 1_000_000, 4_000_000)
        line.show(f"Download {ESCAPE}", 1_000_001, 4_000_000)
    assert terminal.text == "\r\x1b[2K… Download \\x1b[2J  1.00 MB of 4.00 MB\r\x1b[2K"


def test_progress_says_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, clock = Terminal(), [100.0]
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr("aiconsole.cli.progress_line.time.monotonic", lambda: clock[0])
    with ProgressLine() as line:
        line.show("Download", 1_000_000, 9_000_000)
        clock[0] += 2
        line.show("Download", 3_000_000, 9_000_000)
        assert "3.00 MB of 9.00 MB, 1.00 MB/s, 6 s left" in terminal.text
        clock[0] += 1
        line.show("Download", 4_000_000, 0)
        assert terminal.text.endswith("4.00 MB, 1.00 MB/s")
