"""Proof that a host is as it was: every file of the places where a change could lie."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.rig.machine import Machine

WATCHED = ("/opt", "/etc", "/var/lib", "/usr/local", "/root", "/home")

LISTING = """
of_the_system='/var/lib/systemd /var/lib/sudo /var/lib/private'
for path in $of_the_system; do set -- "$@" -path "$path" -prune -o; done
find "$@" ! -path /var/lib -printf '%p %y %m %U:%G %s %T@ %l\\n'
find "$@" -type f -print0 | xargs -0 sha256sum
"""
"""Without what systemd and sudo write for themselves."""


def listing(machine: Machine) -> list[str]:
    """Each file with its kind, mode, owner, size, time of change, target and digest."""
    argv = ["sh", "-c", LISTING, "sh", *WATCHED]
    return machine.run(*argv, check=True).stdout.splitlines()


@contextmanager
def untouched(machine: Machine) -> Iterator[None]:
    """Within the block nothing may change on the host, not even the time of a directory."""
    before = listing(machine)
    yield
    after = listing(machine)
    changed = sorted(set(before) ^ set(after))
    assert not changed, "the host was changed:\n" + "\n".join(changed)
