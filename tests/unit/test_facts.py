"""Facts from what real hosts answered, and from what is no answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from aiconsole.errors import HostError
from aiconsole.fleet.facts import Facts, Listener, read_facts
from aiconsole.fleet.facts_parse import parse_facts
from aiconsole.fleet.listeners import parse_listeners
from aiconsole.session.local import LocalPipes, LocalSession

FIXTURES = Path(__file__).parent.parent / "fixtures" / "facts"


def text_of(name: str) -> str:
    return (FIXTURES / f"{name}.txt").read_text()


def facts_of(name: str) -> Facts:
    return parse_facts(text_of(name), 0, 0)


def test_a_minimal_debian() -> None:
    facts = facts_of("debian12")
    assert (facts.os_id, facts.os_version) == ("debian", "12")
    assert facts.os_pretty_name == "Debian GNU/Linux 12 (bookworm)"
    assert (facts.architecture, facts.glibc) == ("x86_64", "2.36")
    assert facts.python_version == (3, 11, 2)
    assert facts.python_path.endswith("/python3")
    assert (facts.cpu_count, facts.cpu_flags) == (2, ("avx2", "fma", "f16c", "bmi2"))
    assert facts.missing_cpu_flags == ()
    assert facts.memory_total_bytes == 24684092 * 1024
    assert 0 < facts.memory_available_bytes < facts.memory_total_bytes
    assert facts.memory_limit_bytes is None
    assert (facts.has_systemd, facts.systemd_version) == (True, 252)
    assert (facts.uid, facts.user, facts.home, facts.has_sudo) == (0, "root", "/root", True)
    assert facts.listener_on(22) == Listener("0.0.0.0", 22, "sshd")
    assert facts.listener_on(8080) is None
    assert not facts.has_libgomp
    assert (facts.nvidia_driver, facts.has_nvidia_device) == ("", False)
    assert facts.uptime_s > 1000
    assert facts.hostname == "web1"
    assert [space.path for space in facts.spaces] == [
        *("/", "/opt", "/opt/aiconsole", "/var", "/var/lib/aiconsole", "/tmp", "/root")
    ]
    root = facts.space_at("/usr/lib")
    assert root is not None
    assert root.total_bytes == 4194304 * 1024
    assert 0 < root.free_bytes <= root.total_bytes
    assert root.free_inodes is not None
    assert not root.read_only
    assert not root.noexec


def test_without_python_sudo_and_ss() -> None:
    facts = facts_of("without_python3")
    assert (facts.python_path, facts.python_version) == ("", None)
    assert not facts.has_sudo
    assert (facts.uid != 0, facts.user, facts.home) == (True, "alice", "/home/alice")
    assert [(one.port, one.program) for one in facts.listeners] == [(22, ""), (22, "")]
    assert facts.space_at("/home/alice/.local/share") == facts.spaces[-1]


def test_a_read_only_directory() -> None:
    facts = facts_of("read_only_opt")
    assert {space.path: space.read_only for space in facts.spaces} == {
        "/": False,
        "/opt": True,
        "/opt/aiconsole": True,
        "/var": False,
        "/var/lib/aiconsole": False,
        "/tmp": False,
        "/root": False,
    }
    small = facts.space_at("/var/lib/aiconsole/models")
    assert small is not None
    assert (small.mount, small.total_bytes) == ("/var/lib", 64 * 1024 * 1024)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("garbage", "not one of a Linux host"), ("truncated", "cut off in its part mounts")],
)
def test_what_is_no_answer(name: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_facts(text_of(name), 0, 0)


def test_every_cut_is_noticed_or_harmless() -> None:
    text = text_of("debian12")
    for length in range(0, len(text) - 20, 37):
        with pytest.raises(ValueError, match=r"answer"):
            parse_facts(text[:length], 0, 0)


def section(name: str, content: str) -> str:
    """The Debian answer with one section replaced."""
    pattern = rf"(^=={name}\n).*?(?=^==|\Z)"
    return re.sub(pattern, lambda m: m[1] + content + "\n", text_of("debian12"),
                  flags=re.MULTILINE | re.DOTALL)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "read", "expected"),
    [
        ("cgroup", "max\n4294967296\n2147483648", lambda f: f.memory_limit_bytes, 1 << 31),
        ("cgroup", "9223372036854771712", lambda f: f.memory_limit_bytes, None),
        ("systemd", "", lambda f: f.has_systemd, False),
        ("systemd", "systemd 249 (249.11)", lambda f: f.has_systemd_creds, False),
        ("systemd", "systemd 252 (252.1)\nsystemd-creds", lambda f: f.has_systemd_creds, True),
        ("python", "/opt/py/python3.10 3.10.14", lambda f: f.python_version, (3, 10, 14)),
        ("python", "3.10.14", lambda f: f.python_version, None),
        ("glibc", "", lambda f: f.glibc, ""),
        ("cpuflags", "flags : fma sse", lambda f: f.missing_cpu_flags, ("avx2", "f16c", "bmi2")),
        (
            "nvidia",
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12\ndevice",
            lambda f: (f.nvidia_driver, f.has_nvidia_device),
            ("535.183.01", True),
        ),
        (
            "nvidia",
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build",
            lambda f: (f.nvidia_driver, f.has_nvidia_device),
            ("570.86.15", False),
        ),
        ("libgomp", "/usr/lib/x86_64-linux-gnu/libgomp.so.1", lambda f: f.has_libgomp, True),
        ("os", 'ID="x\nNAME=ok\nVERSION_ID=24.04', lambda f: f.os_version, "24.04"),
        ("hostname", "we\x1b[31mb1", lambda f: f.hostname, "we\\x1b[31mb1"),
        ("cpus", "", lambda f: f.cpu_count, 1),
    ],
)
def test_single_facts(
    name: str, content: str, read: Callable[[Facts], object], expected: object
) -> None:
    assert read(parse_facts(section(name, content), 0, 0)) == expected


def test_other_processors_need_no_avx() -> None:
    facts = replace(facts_of("debian12"), architecture="aarch64", cpu_flags=())
    assert facts.missing_cpu_flags == ()


def test_memory_within_the_limit() -> None:
    facts = replace(facts_of("debian12"), memory_limit_bytes=1 << 30)
    assert facts.usable_memory_bytes == 1 << 30


def test_the_clock_is_compared_at_both_ends() -> None:
    text = section("clock", "1000.5").rpartition("==end\n")[0] + "==end\n1002.5\n"
    facts = parse_facts(text, sent_unix_s=910.0, received_unix_s=912.4)
    assert facts.clock_offset_s == pytest.approx(90.3)
    assert facts.clock_error_s == pytest.approx(0.2)


def test_facts_become_json() -> None:
    document = json.loads(json.dumps(asdict(facts_of("debian12"))))
    assert document["spaces"][0]["path"] == "/"


def test_listeners_of_ss_and_proc() -> None:
    text = (
        'LISTEN 0      128          0.0.0.0:22        0.0.0.0:*    users:(("sshd",pid=5,fd=3))\n'
        "LISTEN 0      4096               *:8080            *:*\n"
        "LISTEN 0      128             [::]:22           [::]:*\n"
        'LISTEN 0      4096   127.0.0.53%lo:53        0.0.0.0:* users:(("resolved",pid=1,fd=1))\n'
        "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1\n"
        "   1: 0100007F:1F91 00000000:0000 01 00000000:00000000 00:00000000 00000000 0 0 1\n"
        "   0: 00000000000000000000000001000000:0035 00000000000000000000000000000000:0000 0A 0\n"
    )
    assert list(parse_listeners(text)) == [
        ("0.0.0.0", 22, "sshd"),
        ("0.0.0.0", 8080, ""),
        ("::", 22, ""),
        ("127.0.0.53", 53, "resolved"),
        ("127.0.0.1", 8080, ""),
        ("::1", 53, ""),
    ]


async def test_this_machine_tells_what_it_is() -> None:
    session = LocalSession()
    facts = await read_facts(session)
    await session.close()
    assert facts.python_version is not None
    assert facts.cpu_count >= 1
    assert abs(facts.clock_offset_s) <= facts.clock_error_s + 0.05


class Appliance(LocalSession):
    """A host whose login shell is no shell."""

    async def start(self, argv: tuple[str, ...]) -> LocalPipes:
        script = 'cat >/dev/null; cat "$1"; printf "\\033[31mno" >&2; exit 1'
        return await super().start(("sh", "-c", script, "sh", str(FIXTURES / "garbage.txt")))


async def test_a_host_that_is_none_is_an_error_without_its_escapes() -> None:
    with pytest.raises(HostError, match="did not tell what it is") as caught:
        await read_facts(Appliance())
    assert "\x1b" not in caught.value.detail
    assert "SmartSwitch" in caught.value.detail
