"""A host that sends escape sequences wherever it says anything: the terminal never obeys it."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.rig.console import Console, Ended
from tests.rig.host import RigHost
from tests.rig.rig import Rig

CLEAR = "\x1b[2J\x1b[H"
TITLE = "\x1b]0;owned\x07"
TURNED = "\u202egnp.exe"
HOSTILE = f"{CLEAR}{TITLE}{TURNED}\r\n\x9b31mred"

_COMMANDS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e]")

SQUATTER = """
import socket, sys
taken = socket.create_server(("0.0.0.0", 8480))
open("/proc/self/comm", "w").write("\\x1b]0;x\\x07\\x1b[2J")
print("listening", flush=True)
sys.stdin.read()
"""

FAULT = """\
#!/bin/sh
case "$*" in
*"print(sys.executable"*) echo "/usr/bin/python3 3.11.2" ;;
*) cat /run/answer; cat /run/words >&2; exit "$(cat /run/status)" ;;
esac
"""


@pytest.fixture(scope="module")
def host(rig: Rig) -> Iterator[RigHost]:
    (host,) = rig.boot("hostile")
    system = f'ID=debian\nPRETTY_NAME="Debian{HOSTILE}"\nVERSION_ID="12{TITLE}"\n'
    host.write("/etc/os-release", system.replace("\r\n", ""))
    rename = "import socket, sys; socket.sethostname(sys.argv[1])"
    host.run("python3", "-c", rename, f"me{CLEAR}", check=True)
    yield host
    rig.destroy(host)


@pytest.fixture(scope="module")
def console(host: RigHost, tmp_path_factory: pytest.TempPathFactory) -> Console:
    console = Console(tmp_path_factory.mktemp("home"))
    console.add(host)
    return console


def harmless(ended: Ended, *shown: str) -> None:
    """Nothing commands the terminal, and what was sent can be read."""
    text = ended.out + ended.err
    print(text)
    assert not (found := _COMMANDS.search(text)), f"{found} in {text!r}"
    assert "Traceback" not in text
    assert "mistake of aiconsole" not in text
    for part in shown:
        assert part in text, ended


@contextmanager
def answering(host: RigHost, answer: str, words: str = "") -> Iterator[None]:
    """Let python3 on the host say this instead of running the tool."""
    host.write("/run/answer", answer)
    host.write("/run/words", words)
    # A tool that got as far as an answer ends well.
    host.write("/run/status", "0" if answer.startswith("NEED") else "3")
    host.write("/run/python3", FAULT, 0o755)
    host.run("mount", "--bind", "/run/python3", "/usr/bin/python3.11", check=True)
    try:
        yield
    finally:
        host.run("umount", "/usr/bin/python3.11", check=True)


def fault(**fields: str) -> str:
    return "NEED\n" + json.dumps({"fault": fields}) + "\n"


def test_what_it_is(host: RigHost, console: Console) -> None:
    harmless(console.fine("hosts", "show", host.name), r"Debian\x1b[2J", r"\u202e")
    harmless(console.fine("hosts", "show", host.name, "--json"), r"\\x1b[2J")
    harmless(console.fine("status", host.name), "not deployed")


def test_a_program_that_holds_the_port(host: RigHost, console: Console) -> None:
    with subprocess.Popen(
        host.enter("python3", "-c", SQUATTER), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as squatter:
        assert squatter.stdout is not None
        assert squatter.stdout.readline() == b"listening\n"
        harmless(
            console.run("deploy", host.name, "-y"), r"port 8480 is taken by \x1b]0;x\x07\x1b[2J"
        )
        squatter.communicate()


def test_the_words_of_a_fault(host: RigHost, console: Console) -> None:
    said = fault(code="internal", text=f"it broke {HOSTILE}", hint=HOSTILE)
    with answering(host, said):
        harmless(console.run("status", host.name), "The tool failed on hostile")
        harmless(console.run("deploy", host.name, "-y"), r"it broke \x1b[2J", r"\u202e")
        harmless(console.run("deploy", host.name, "-y", "--json"), "it broke ")
        harmless(console.run("runs", "list", host.name), r"it broke \x1b[2J")


def test_who_is_at_work(host: RigHost, console: Console) -> None:
    said = json.dumps({"fault": {"code": "busy", "text": HOSTILE, "run_id": HOSTILE,
                                 "since_unix_s": 1e300}})  # fmt: skip
    with answering(host, f"NEED\n{said}\n"):
        harmless(console.run("deploy", host.name, "-y"), "hostile is busy")


@pytest.mark.parametrize(
    "answer",
    [
        "",
        HOSTILE + "\n",
        f"NEED\n{HOSTILE}\n",
        "NEED\n[]\n",
        'NEED\n{"layout": 7}\n',
        f'NEED\n{{"{CLEAR}": 1}}\n'.replace("\x1b", "\\u001b"),
        "NEED\n" + "[" * 20_000 + "\n",
        '{"fault\n',
        '{"fault": [[[\n',
        '{"fault": 7}\n',
        'HAVE\n{"fault": 7}\n',
        "x" * 1_000_000,
    ],
)
def test_an_answer_that_is_none(host: RigHost, console: Console, answer: str) -> None:
    with answering(host, answer, words=HOSTILE):
        ended = console.run("deploy", host.name, "-y")
        harmless(ended, "failed, nothing was changed: ")
        assert ended.exit_code == 2


def test_what_lies_on_its_disk(host: RigHost, console: Console) -> None:
    state = {
        "release_id": HOSTILE, "slot": "a", "address": f"127.0.0.1:8480{CLEAR}",
        "previous_release_id": "other", "load_s": 0.1, "deployed_unix_s": 1e300,
        "wanted": "running",
    }  # fmt: skip
    host.write("/var/lib/aiconsole/inferd.json", json.dumps(state))
    releases = [
        {"id": HOSTILE, "model": {"name": HOSTILE}, "layers": 7, "created_unix_s": "x"},
        {"id": 7, "model": "none", "layers": [HOSTILE]},
        {"id": "odd", "model": {"name": HOSTILE, "sha256": 1, "size_bytes": "y"}},
    ]
    for number, release in enumerate(releases):
        path = f"/opt/aiconsole/releases/r{number}/release.json"
        host.write(path, json.dumps(release))
    harmless(console.run("status", host.name), r"\x1b[2J")
    harmless(console.run("releases", host.name), r"\x1b[2J", "serves")
    harmless(console.run("restart", host.name, "-y"), "failed, nothing was changed")
    harmless(console.run("rollback", host.name, "odd", "-y"), "odd")
    harmless(console.run("forward", host.name))
    harmless(console.run("deploy", host.name, "-y"), "The release on the host cannot be read")
