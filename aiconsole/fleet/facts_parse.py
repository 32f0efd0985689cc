"""Turns the output of the facts script into `Facts`; pure, and hard on nothing but the frame."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from aiconsole.fleet.facts_script import END
from aiconsole.fleet.facts_shape import CPU_FLAGS, Facts, Listener, Space
from aiconsole.fleet.listeners import parse_listeners
from aiconsole.visible import visible

_UNLIMITED_BYTES = 1 << 60
"""cgroup v1 writes a number above this where there is no limit."""


def parse_facts(text: str, sent_unix_s: float, received_unix_s: float) -> Facts:
    """Parse the script's output.

    Args:
        text: stdout.
        sent_unix_s: This machine's time before the script was sent.
        received_unix_s: This machine's time when all of the output was there.

    Raises:
        ValueError: The output is not the script's, or it was cut off.
    """
    sections = _sections(text)
    release = _os_release(sections["os"])
    python_path, python_version = _python(sections["python"])
    uid, user, home = _user(sections["user"])
    clock_unix_s, ended_unix_s = _number(sections["clock"]), _number(sections[END])
    return Facts(
        hostname=_line(sections["hostname"]),
        os_id=release.get("ID", ""),
        os_version=release.get("VERSION_ID", ""),
        os_pretty_name=release.get("PRETTY_NAME", ""),
        kernel=_line(sections["kernel"]),
        architecture=_line(sections["machine"]),
        glibc=_line(sections["glibc"]).removeprefix("glibc").strip(),
        python_path=python_path,
        python_version=python_version,
        cpu_count=int(_number(sections["cpus"])) or 1,
        cpu_model=_line(sections["cpumodel"]).partition(":")[2].strip(),
        cpu_flags=_cpu_flags(sections["cpuflags"]),
        memory_total_bytes=_memory(sections["memory"], "MemTotal"),
        memory_available_bytes=_memory(sections["memory"], "MemAvailable"),
        memory_limit_bytes=_limit(sections["cgroup"]),
        systemd_version=_systemd(sections["systemd"]),
        uid=uid,
        user=user,
        home=home,
        has_sudo=bool(_line(sections["sudo"])),
        spaces=_spaces(sections["space"], _mounts(sections["mounts"])),
        listeners=_listeners(sections["listeners"]),
        has_libgomp="libgomp.so.1" in sections["libgomp"],
        nvidia_driver=_nvidia(sections["nvidia"]),
        has_nvidia_device="device" in sections["nvidia"].splitlines(),
        uptime_s=_number(sections["uptime"]),
        clock_unix_s=clock_unix_s,
        # Both clocks were read at the beginning and at the end, so the script's own time is
        # known, and only the way there and back is shared out evenly.
        clock_offset_s=((clock_unix_s - sent_unix_s) + (ended_unix_s - received_unix_s)) / 2,
        has_systemd_creds="systemd-creds" in sections["systemd"].splitlines(),
        clock_error_s=max(0.0, received_unix_s - sent_unix_s - (ended_unix_s - clock_unix_s)) / 2,
    )


class _Sections(dict[str, str]):
    """Sections by name; one that is missing is empty."""

    def __missing__(self, key: str) -> str:
        return ""


def _sections(text: str) -> Mapping[str, str]:
    parts = re.split(r"^==([a-z]+)\n", text, flags=re.MULTILINE)
    names, bodies = parts[1::2], parts[2::2]
    if not names or "machine" not in names:
        raise ValueError(f"the answer is not one of a Linux host: {visible(text[:80])}")
    if END not in names or not _number(bodies[-1]):
        raise ValueError(f"the answer was cut off in its part {names[-1]}")
    return _Sections(zip(names, bodies, strict=True))


def _line(section: str) -> str:
    """Return the first line that is not empty, harmless to print."""
    return visible(next((line.strip() for line in section.splitlines() if line.strip()), ""))


def _number(section: str) -> float:
    matched = re.match(r"\s*(\d+(?:\.\d+)?)", section)
    return float(matched[1]) if matched else 0.0


def _os_release(section: str) -> dict[str, str]:
    values = {}
    for line in section.splitlines():
        name, equals, quoted = line.partition("=")
        if not equals:
            continue
        try:
            values[name.strip()] = visible(" ".join(shlex.split(quoted)))
        except ValueError:
            # A quote without its end: the rest of the file is still good.
            continue
    return values


def _python(section: str) -> tuple[str, tuple[int, int, int] | None]:
    matched = re.match(r"\s*(/\S+) (\d+)\.(\d+)\.(\d+)\s*$", section, re.MULTILINE)
    if matched is None:
        return "", None
    return matched[1], (int(matched[2]), int(matched[3]), int(matched[4]))


def _cpu_flags(section: str) -> tuple[str, ...]:
    words = set(section.split())
    return tuple(flag for flag in CPU_FLAGS if flag in words)


def _memory(section: str, name: str) -> int:
    matched = re.search(rf"^{name}:\s+(\d+) kB", section, re.MULTILINE)
    return int(matched[1]) * 1024 if matched else 0


def _limit(section: str) -> int | None:
    limits = [int(word) for word in section.split() if word.isdecimal()]
    return min((limit for limit in limits if limit < _UNLIMITED_BYTES), default=None)


def _systemd(section: str) -> int | None:
    matched = re.match(r"\s*systemd (\d+)", section)
    return int(matched[1]) if matched else None


def _user(section: str) -> tuple[int, str, str]:
    lines = [*section.splitlines(), "", "", ""]
    if not lines[0].strip().isdecimal():
        raise ValueError("the answer does not say who is logged in")
    return int(lines[0]), visible(lines[1].strip()), visible(lines[2])


def _nvidia(section: str) -> str:
    matched = re.search(r"Kernel Module.*?\s(\d+\.\d[\d.]*)\s", section)
    return matched[1] if matched else ""


def _mounts(section: str) -> dict[str, frozenset[str]]:
    """Map each mount point to its options; the last one mounted there counts."""
    mounts = {}
    for line in section.splitlines():
        words = line.split()
        if len(words) >= 4:
            mounts[_unescaped(words[1])] = frozenset(words[3].split(","))
    return mounts


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _spaces(section: str, mounts: Mapping[str, frozenset[str]]) -> tuple[Space, ...]:
    spaces: dict[str, Space] = {}
    for part in re.split(r"^path ", section, flags=re.MULTILINE)[1:]:
        path, *lines = part.splitlines()
        tables = [match for line in lines if (match := _DF.search(line))]
        if not tables:
            continue
        blocks, mount = tables[0], tables[0]["mount"]
        inodes = (
            int(tables[1]["total"]) if len(tables) > 1 and tables[1]["total"].isdecimal() else 0
        )
        options = mounts.get(mount, frozenset())
        spaces[path] = Space(
            path=visible(path),
            total_bytes=int(blocks["total"]) * 1024,
            free_bytes=int(blocks["free"]) * 1024,
            free_inodes=int(tables[1]["free"]) if inodes else None,
            mount=visible(mount),
            read_only="ro" in options,
            noexec="noexec" in options,
        )
    return tuple(spaces.values())


_DF = re.compile(r"\s(?P<total>\d+)\s+\d+\s+(?P<free>\d+)\s+(?:\d+%|-)\s+(?P<mount>/.*)$")


def _listeners(section: str) -> tuple[Listener, ...]:
    found = {
        (address, port): Listener(visible(address), port, visible(program))
        for address, port, program in parse_listeners(section)
    }
    return tuple(found.values())
