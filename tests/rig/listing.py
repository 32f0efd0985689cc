"""What lies on a host, as one line for each path, to be compared before and after."""

from __future__ import annotations

from collections.abc import Sequence

from tests.rig.machine import Machine

OF_A_LOGIN = (
    "/proc", "/sys", "/dev", "/tmp", "/run/systemd", "/run/user", "/run/log", "/run/udev",
    "/run/sudo", "/run/utmp", "/var/log", "/var/lib/systemd", "/var/tmp", "/run/sshd",
    "/run/mount", "/run/host", "/run/dbus", "/root/.cache",
)  # fmt: skip
"""What a mere login and a running system change by themselves."""

OF_A_RUN = (
    "/var/lib/aiconsole/runs", "/var/lib/aiconsole/ledger.jsonl", "/var/lib/aiconsole/locks",
    "/var/lib/aiconsole/uploads", "/opt/aiconsole/tools", "/run/aiconsole",
)  # fmt: skip
"""What every run leaves: its journal, its line in the ledger, and what the slots say."""

_SCRIPT = """
roots=$1; shift
find $roots -xdev \\( "$@" \\) -prune -o -type d -printf '%p %y %m %u\\n' \\
    -o -printf '%p %y %m %u %s %i %C@ %l\\n' | LC_ALL=C sort
"""


def listing(machine: Machine, *roots: str, but: Sequence[str] = OF_A_LOGIN) -> list[str]:
    """Every path below the roots: its kind, mode and owner; of files size, inode, last change."""
    pruned = [word for path in but for word in ("-o", "-path", path)][1:]
    done = machine.run("sh", "-c", _SCRIPT, "sh", " ".join(roots or ("/",)), *pruned, check=True)
    return done.stdout.splitlines()


def changes(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """The lines that are not on both sides."""
    return sorted(set(before) ^ set(after))
