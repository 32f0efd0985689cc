"""Secrets that travel beside a plan: encrypted at once where systemd can, gone with the run."""

from __future__ import annotations

import shutil
from pathlib import Path

from aiconsole.onhost.runner.durable import write_file
from aiconsole.onhost.runner.faults import Fault
from aiconsole.onhost.runner.program import run_program
from aiconsole.onhost.runner.record import RunRecord
from aiconsole.onhost.runner.validate import check_name

ENCRYPTED = ".cred"
"""Suffix of a secret that only this host can read back."""


def encrypts(runtime: str) -> bool:
    """True where secrets rest as encrypted credentials on this host."""
    return runtime == "systemd" and shutil.which("systemd-creds") is not None


def store_secrets(record: RunRecord, secrets: dict[str, str]) -> None:
    """Lay the secrets of a run beside its plan, each in a 0600 file.

    Raises:
        Fault: A name is not one, or systemd-creds cannot encrypt on this host.
    """
    for name, text in secrets.items():
        check_name(name, "name of a secret")
        content = text.encode()
        path = record.directory / "secrets" / name
        if encrypts(record.plan.layout.runtime):
            content = encrypt(name, content)
            path = path.with_name(name + ENCRYPTED)
        write_file(path, content, 0o600)


def drop_secrets(run_dir: Path) -> None:
    """Remove the secrets of a run that has ended."""
    shutil.rmtree(run_dir / "secrets", ignore_errors=True)


def encrypt(name: str, content: bytes) -> bytes:
    """Encrypt with the key of this host, bound to the credential's name.

    Raises:
        Fault: systemd-creds failed.
    """
    return _creds("encrypt", name, content)


def decrypt(name: str, content: bytes) -> bytes:
    """Read a credential of this host back.

    Raises:
        Fault: systemd-creds failed: of another host, another name, or damaged.
    """
    return _creds("decrypt", name, content)


def _creds(verb: str, name: str, content: bytes) -> bytes:
    done = run_program(["systemd-creds", verb, f"--name={name}", "-", "-"], stdin=content)
    if not done.ok:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise Fault("internal", f"systemd-creds could not {verb} {name}: {last[0]}")
    return done.stdout.encode()
