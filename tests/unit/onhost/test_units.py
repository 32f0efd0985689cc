"""The texts of the units hold what the swap relies on, and both wings name them alike."""

from __future__ import annotations

import configparser

import pytest

from aiconsole.control.runtimes import systemd
from aiconsole.errors import SettingsError
from aiconsole.onhost.runner.runtimes import systemd as onhost
from aiconsole.onhost.wire import HostLayout


def read(text: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(text)
    return parser


def test_both_wings_name_the_units_alike() -> None:
    assert onhost.SOCKET == systemd.SOCKET_UNIT
    assert onhost.ANCHOR == systemd.ANCHOR_UNIT
    assert onhost.unit_of("a") == systemd.SLOT_UNIT.replace("@", "@a")


def test_no_start_limit_can_close_the_socket() -> None:
    units = (
        systemd.socket_unit("127.0.0.1:8000"),
        systemd.anchor_unit(),
        systemd.slot_unit(HostLayout.system(), "aiconsole", gpu=False),
    )
    assert [read(unit)["Unit"]["StartLimitIntervalSec"] for unit in units] == ["0"] * 3


def test_the_slots_share_a_socket_that_never_blocks() -> None:
    service = read(systemd.slot_unit(HostLayout.system(), "aiconsole", gpu=False))["Service"]
    assert service["NonBlocking"] == "yes"
    assert service["Sockets"] == "aiconsole-inferd.socket"
    assert service["Type"] == "notify"
    assert service["KillMode"] == "mixed"
    assert service["RuntimeDirectory"] == "aiconsole/slot-%i"
    assert service["ExecStart"] == (
        "/usr/bin/python3 -I /opt/aiconsole/slots/%i/launch.py"
        " --slot %i --run-dir /run/aiconsole/slot-%i"
    )
    socket = read(systemd.socket_unit("127.0.0.1:8000"))["Socket"]
    assert (socket["Service"], socket["Backlog"]) == ("aiconsole-inferd.service", "4096")


def test_a_stop_waits_for_the_drain() -> None:
    unit = systemd.slot_unit(HostLayout.system(), "aiconsole", gpu=False, drain_timeout_s=300.0)
    assert float(read(unit)["Service"]["TimeoutStopSec"]) > 300.0


def test_the_settings_have_their_say_in_the_slots_unit() -> None:
    layout = HostLayout.system()
    audits = ["/var/log/aiconsole/a.jsonl", "", "/srv/audit/b.jsonl"]
    lines = systemd.service_lines(layout, ["b", "a", "b"], audits, encrypted=True)
    assert lines == [
        "LoadCredentialEncrypted=a:/etc/aiconsole/credentials/a.cred",
        "LoadCredentialEncrypted=b:/etc/aiconsole/credentials/b.cred",
        "ReadWritePaths=-/srv/audit",
        "LogsDirectory=aiconsole",
        "LogsDirectoryMode=0750",
    ]
    service = read(systemd.slot_unit(layout, "aiconsole", False, lines=lines))["Service"]
    assert service["LogsDirectory"] == "aiconsole"
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"


def test_a_gpu_opens_its_devices_and_nothing_else() -> None:
    bare = read(systemd.slot_unit(HostLayout.system(), "aiconsole", gpu=False))["Service"]
    gpu = read(systemd.slot_unit(HostLayout.system(), "aiconsole", gpu=True))["Service"]
    assert bare["PrivateDevices"] == "yes"
    assert "PrivateDevices" not in gpu
    assert (gpu["DevicePolicy"], gpu["DeviceAllow"]) == ("closed", "char-nvidia* rw")
    assert set(bare) - set(gpu) == {"MemoryDenyWriteExecute", "PrivateDevices", "PrivateUsers"}


@pytest.mark.parametrize(
    ("address", "listen", "free"),
    [
        ("127.0.0.1:8000", "127.0.0.1:8000", False),
        ("localhost:8000", "127.0.0.1:8000", False),
        ("0.0.0.0:80", "0.0.0.0:80", False),
        ("[::1]:8000", "[::1]:8000", False),
        ("10.0.0.5:8000", "10.0.0.5:8000", True),
    ],
)
def test_the_socket_listens_where_it_is_told(address: str, listen: str, free: bool) -> None:
    socket = read(systemd.socket_unit(address))["Socket"]
    assert socket["ListenStream"] == listen
    assert ("FreeBind" in socket) is free


@pytest.mark.parametrize("address", ["", "8000", "host.example:8000", "127.0.0.1:http", "a\nb:1"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(SettingsError):
        systemd.socket_unit(address)
