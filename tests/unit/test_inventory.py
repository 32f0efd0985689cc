"""hosts.toml: comments stay, errors name the line, the last good state stays in force."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiconsole.errors import SettingsError, UnknownHostError
from aiconsole.fleet.host import Host, check_name, parse_login
from aiconsole.fleet.inventory import Inventory
from aiconsole.fleet.select import select_hosts
from aiconsole.fleet.ssh_config import SshConfig

FLEET = """\
# our machines
[hosts.web1]  # the first one
address = "10.0.0.5"
groups = ["gpu", "eu"]
tags = { env = "prod" }
protected = true

[hosts.web2]
proxy_jump = "bastion"
groups = ["gpu"]

[hosts.bastion]
user = "jump"
"""


def inventory(tmp_path: Path, text: str | None = FLEET, ssh_config: str = "") -> Inventory:
    file, config = tmp_path / "hosts.toml", tmp_path / "ssh_config"
    if text is not None:
        file.write_text(text)
    config.write_text(ssh_config)
    return Inventory.load(file, SshConfig((config,)))


def names(hosts: tuple[Host, ...]) -> list[str]:
    return [host.name for host in hosts]


def test_reading(tmp_path: Path) -> None:
    fleet = inventory(tmp_path)
    assert names(fleet.hosts) == ["web1", "web2", "bastion", "localhost"]
    web1 = fleet.get("web1")
    assert (web1.address, web1.groups, web1.protected) == ("10.0.0.5", ("gpu", "eu"), True)
    assert web1.destination == "10.0.0.5"
    assert fleet.get("web2").jumps == (fleet.get("bastion"),)


def test_a_missing_file_is_an_empty_fleet(tmp_path: Path) -> None:
    assert names(inventory(tmp_path, None).hosts) == ["localhost"]
    assert inventory(tmp_path, None).get("localhost").endpoint.kind == "local"


def test_adding_keeps_every_comment(tmp_path: Path) -> None:
    fleet = inventory(tmp_path)
    fleet.add(Host("web3", address="10.0.0.7", user="root", port=2222, tags={"env": "test"}))
    text = fleet.file.read_text()
    assert text.startswith(FLEET)
    assert fleet.get("web3").destination == "root@10.0.0.7:2222"
    assert inventory(tmp_path, None).get("web3").tags == {"env": "test"}
    assert fleet.file.stat().st_mode & 0o777 == 0o600


def test_the_first_host_makes_a_file_that_explains_itself(tmp_path: Path) -> None:
    fleet = inventory(tmp_path, None)
    fleet.add(Host("web1"))
    fleet.add(Host("web2", protected=True, runtime="keeper"))
    text = fleet.file.read_text()
    assert "# The fleet of aiconsole" in text
    assert text.count("[hosts.web1]") == 2, "once in the explanation, once for real"
    again = inventory(tmp_path, None)
    assert names(again.hosts) == ["web1", "web2", "localhost"]
    assert (again.get("web2").protected, again.get("web2").runtime) == (True, "keeper")


def test_removing(tmp_path: Path) -> None:
    fleet = inventory(tmp_path)
    fleet.remove("web1")
    assert "web1" not in fleet.file.read_text()
    assert "# our machines" in fleet.file.read_text()
    with pytest.raises(UnknownHostError):
        fleet.remove("web1")


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ('[hosts.web1]\naddress = "x"\nprot = 22\n', 3, "hosts.web1.prot is not known here"),
        ('[hosts.web1]\n\nport = "22"\n', 3, "valid integer"),
        ("[hosts.web1]\nport = 70000\n", 2, "less than or equal to 65535"),
        ('[hosts.web1]\nruntime = "docker"\n', 2, "'auto', 'systemd' or 'keeper'"),
        ('[hosts.web1]\ngroups = "gpu"\n', 2, "valid array"),
        ("[hosts.web1]\nport = \n", 2, ""),
        ('[hosts.web1]\n[hosts."a b"]\n', 2, "a b cannot be the name"),
        ("[host.web1]\n", 1, "host is not known here"),
        ("[hosts.web1]\n[hosts.web1]\n", 2, "already exists"),
        ('hosts = "web1"\n', 1, "a table"),
    ],
)
def test_errors_name_file_line_and_what_was_expected(
    tmp_path: Path, text: str, line: int, expected: str
) -> None:
    with pytest.raises(SettingsError, match=r"hosts\.toml is wrong") as caught:
        inventory(tmp_path, text)
    where = f"{tmp_path}/hosts.toml" + (f" line {line}: " if line else ": ")
    assert caught.value.detail.startswith(where)
    assert expected in caught.value.detail


def test_the_last_good_state_stays(tmp_path: Path) -> None:
    fleet = inventory(tmp_path)
    fleet.file.write_text("[hosts.web1\n")
    with pytest.raises(SettingsError):
        fleet.reload()
    assert names(fleet.hosts) == ["web1", "web2", "bastion", "localhost"]
    with pytest.raises(SettingsError):
        fleet.add(Host("web9"))
    assert fleet.file.read_text() == "[hosts.web1\n", "a wrong file is not touched"


def test_unknown_names_suggest_the_nearest(tmp_path: Path) -> None:
    fleet = inventory(tmp_path, ssh_config="Host database\n  User x\n")
    with pytest.raises(UnknownHostError) as caught:
        fleet.get("wbe1")
    assert "web1" in caught.value.hint
    with pytest.raises(UnknownHostError) as caught:
        fleet.get("databse")
    assert "database" in caught.value.hint


def test_selecting(tmp_path: Path) -> None:
    fleet = inventory(tmp_path)
    assert names(select_hosts(fleet, ["@gpu"])) == ["web1", "web2"]
    assert names(select_hosts(fleet, ["web*"])) == ["web1", "web2"]
    assert names(select_hosts(fleet, ["env=prod"])) == ["web1"]
    assert names(select_hosts(fleet, ["web2", "@gpu", "web2"])) == ["web2", "web1"]
    assert names(select_hosts(fleet, ["*"])) == ["web1", "web2", "bastion", "localhost"]


@pytest.mark.parametrize(
    ("selector", "detail"),
    [("@cpu", "groups: eu, gpu"), ("env=test", "tags: env=prod"), ("db*", "hosts: web1, web2")],
)
def test_selecting_nothing_says_what_there_is(tmp_path: Path, selector: str, detail: str) -> None:
    with pytest.raises(UnknownHostError, match="No host of the fleet fits") as caught:
        select_hosts(inventory(tmp_path), [selector])
    assert detail in caught.value.detail


def test_a_circle_of_jump_hosts_is_refused(tmp_path: Path) -> None:
    text = '[hosts.a]\nproxy_jump = "b"\n[hosts.b]\nproxy_jump = "a"\n'
    with pytest.raises(SettingsError, match="circle") as caught:
        inventory(tmp_path, text)
    assert "a -> b -> a" in caught.value.detail


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("web1", ("", "web1", 0)),
        ("root@10.0.0.5", ("root", "10.0.0.5", 0)),
        ("root@10.0.0.5:2222", ("root", "10.0.0.5", 2222)),
        ("root@[fd00::5]:22", ("root", "fd00::5", 22)),
        ("fd00::5", ("", "fd00::5", 0)),
        ("a@fe80::1%eth0", ("a", "fe80::1%eth0", 0)),
    ],
)
def test_logins(text: str, parts: tuple[str, str, int]) -> None:
    assert parse_login(text) == parts


@pytest.mark.parametrize("text", ["", "a b", "root@", "web1:99999", "web1:ssh", "-oProxyCommand=x"])
def test_bad_logins(text: str) -> None:
    with pytest.raises(SettingsError, match="not an address"):
        parse_login(text)


@pytest.mark.parametrize("name", ["", "a b", "-x", "@gpu", "a=b", "x" * 64, "web*", "a/b", "é"])
def test_bad_names(name: str) -> None:
    with pytest.raises(SettingsError, match="cannot be the name"):
        check_name(name)
