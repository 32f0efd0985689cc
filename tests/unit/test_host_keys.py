"""Trusted keys: the own file above the user's, hashed names, ports, replacing and removing."""

from __future__ import annotations

import base64
import hashlib
import hmac
import subprocess
from pathlib import Path

import asyncssh
import pytest

from aiconsole.errors import SettingsError
from aiconsole.session.endpoint import Endpoint
from aiconsole.session.host_keys import HostKey, HostKeys, fingerprint_of


def new_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


def public(key: asyncssh.SSHKey) -> str:
    return key.export_public_key().decode().strip()


def endpoint(port: int = 22, *others: Path) -> Endpoint:
    return Endpoint("web1", address="web1.example.com", port=port, known_hosts_files=others)


def fingerprints(keys: HostKeys, where: Endpoint) -> list[str]:
    return [key.get_fingerprint() for key in keys.lookup(where).keys]


def test_the_fingerprint_is_what_openssh_prints(tmp_path: Path) -> None:
    key = new_key()
    file = tmp_path / "key.pub"
    file.write_text(public(key) + "\n")
    printed = subprocess.run(
        ["ssh-keygen", "-lf", str(file)], capture_output=True, text=True, check=True
    ).stdout
    assert HostKey.of(endpoint(), key).fingerprint == printed.split()[1]
    assert fingerprint_of(public(key)) == printed.split()[1]


def test_add_and_replace(tmp_path: Path) -> None:
    keys, first, second = HostKeys(tmp_path / "known"), new_key(), new_key()
    keys.add(HostKey.of(endpoint(), first))
    keys.add(HostKey.of(endpoint(2222), second))
    assert fingerprints(keys, endpoint()) == [first.get_fingerprint()]
    assert fingerprints(keys, endpoint(2222)) == [second.get_fingerprint()]
    keys.add(HostKey.of(endpoint(), second))
    assert fingerprints(keys, endpoint()) == [second.get_fingerprint()]
    assert keys.own_file.stat().st_mode & 0o777 == 0o600


def test_remove(tmp_path: Path) -> None:
    keys = HostKeys(tmp_path / "known")
    keys.add(HostKey.of(endpoint(), new_key()))
    keys.add(HostKey.of(endpoint(2222), new_key()))
    assert keys.remove("web1.example.com") == 1
    assert keys.remove("web1.example.com") == 0
    assert fingerprints(keys, endpoint()) == []
    assert len(fingerprints(keys, endpoint(2222))) == 1


def test_the_users_file_is_read_and_never_written(tmp_path: Path) -> None:
    users, key, newer = tmp_path / "users", new_key(), new_key()
    users.write_text(f"web1.example.com,10.0.0.5 {public(key)}\n")
    before = users.read_bytes()
    keys, where = HostKeys(tmp_path / "known"), endpoint(22, users)
    assert fingerprints(keys, where) == [key.get_fingerprint()]
    assert keys.lookup(where).sources == (users,)
    keys.add(HostKey.of(where, newer))
    assert fingerprints(keys, where) == [newer.get_fingerprint()], "the old key counts no more"
    assert users.read_bytes() == before


def test_hashed_names_and_ports(tmp_path: Path) -> None:
    users, key = tmp_path / "users", new_key()
    salt = b"0123456789abcdefghij"
    digest = hmac.new(salt, b"[web1.example.com]:2222", hashlib.sha1).digest()
    name = f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"
    users.write_text(f"{name} {public(key)}\n")
    keys = HostKeys(tmp_path / "known")
    assert fingerprints(keys, endpoint(2222, users)) == [key.get_fingerprint()]
    assert fingerprints(keys, endpoint(22, users)) == []


def test_an_address_in_the_file_is_no_trust_in_a_name(tmp_path: Path) -> None:
    """Addresses are given out anew; only the name that is dialled counts."""
    users = tmp_path / "users"
    users.write_text(f"10.0.0.5 {public(new_key())}\n")
    assert fingerprints(HostKeys(tmp_path / "known"), endpoint(22, users)) == []


def test_revoked_keys_and_authorities(tmp_path: Path) -> None:
    users, bad, authority = tmp_path / "users", new_key(), new_key()
    users.write_text(
        f"@revoked * {public(bad)}\n@cert-authority *.example.com {public(authority)}\n"
    )
    trusted = HostKeys(tmp_path / "known").lookup(endpoint(22, users))
    assert [key.get_fingerprint() for key in trusted.revoked] == [bad.get_fingerprint()]
    assert trusted.authorities[0].get_fingerprint() == authority.get_fingerprint()
    assert trusted.keys == ()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text("just-one-word\n")
    with pytest.raises(SettingsError, match="users is not a known_hosts file"):
        HostKeys(tmp_path / "known").lookup(endpoint(22, users))


def test_accept_takes_only_what_was_shown(tmp_path: Path) -> None:
    keys, key = HostKeys(tmp_path / "known"), new_key()
    with pytest.raises(KeyError):
        keys.accept(key.get_fingerprint())
    keys.note(HostKey.of(endpoint(), key))
    assert keys.accept(key.get_fingerprint()).host_name == "web1"
    assert fingerprints(keys, endpoint()) == [key.get_fingerprint()]
