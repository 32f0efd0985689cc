"""The rig shows that it is what tests take it for: hosts are real, faults bite and heal."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig import cgroup
from tests.rig.host import RigHost
from tests.rig.place import ROOT, building_site
from tests.rig.rig import Rig, clean_up


@pytest.fixture(scope="module")
def pair(rig: Rig) -> Iterator[list[RigHost]]:
    """Two hosts that these tests share: each fault is healed before the next."""
    hosts = rig.boot("red", "blue")
    yield hosts
    rig.destroy(*hosts)


@pytest.fixture
def host(pair: list[RigHost]) -> RigHost:
    return pair[0]


def ssh(host: RigHost, *words: str, user: str = "root") -> subprocess.CompletedProcess[str]:
    """Log in as an operator would, with a strict host key."""
    argv = ["ssh", "-F", str(ROOT / host.rig / "ssh_config"), "-o", "BatchMode=yes"]
    argv += ["-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=5", "-l", user]
    return subprocess.run(
        [*argv, host.name, *words], capture_output=True, text=True, check=False, timeout=30
    )


def round_trip_ms(host: RigHost) -> float:
    """The quickest of three TCP handshakes."""
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        socket.create_connection((host.address, host.port), timeout=5).close()
        taken.append((time.perf_counter() - began) * 1000)
    return min(taken)


def test_a_host_is_a_whole_debian(host: RigHost) -> None:
    assert host.run("systemctl", "is-system-running").stdout == "running\n"
    assert 'VERSION_ID="12"' in host.read("/etc/os-release")
    assert host.run("hostname").stdout == f"{host.name}\n"


def test_ssh_with_the_known_host_key(host: RigHost) -> None:
    done = ssh(host, "hostname")
    assert (done.stdout, done.returncode) == (f"{host.name}\n", 0), done.stderr


def test_hosts_reach_one_another_and_nothing_else(pair: list[RigHost]) -> None:
    red, blue = pair
    knock = "import socket, sys; socket.create_connection((sys.argv[1], 22), 3)"
    assert red.run("python3", "-c", knock, blue.address).returncode == 0
    assert "Network is unreachable" in red.run("python3", "-c", knock, "192.0.2.1").stderr


def test_what_a_bare_host_lacks(host: RigHost) -> None:
    for program in ("pip3", "curl", "docker", "gcc"):
        assert host.run("sh", "-c", f"command -v {program}").returncode != 0


def test_systemd_does_what_the_service_needs(host: RigHost) -> None:
    made = host.run("systemd-creds", "encrypt", "--name=k", "-", "-", input="open sesame")
    assert made.returncode == 0, made.stderr
    host.write("/tmp/k.cred", made.stdout)
    unit = ["systemd-run", "--wait", "--pipe", "-q", "-p", "DynamicUser=yes"]
    unit += ["-p", "LoadCredentialEncrypted=k:/tmp/k.cred", "-p", "ProtectSystem=strict"]
    done = host.run(*unit, "sh", "-c", 'cat "$CREDENTIALS_DIRECTORY/k"; id -u')
    secret, uid = done.stdout.removeprefix("open sesame"), done.stdout[len("open sesame") :]
    assert secret == uid
    assert int(uid) >= 61184, done.stderr


def test_users_get_the_sudo_they_were_given(host: RigHost) -> None:
    host.add_user("plain")
    host.add_user("free", sudo="nopasswd")
    host.add_user("asked", password="swordfish", sudo="password", key=False)
    assert ssh(host, "id -un", user="plain").stdout == "plain\n"
    assert host.run("sudo", "-n", "id", "-u", user="plain").returncode == 1
    assert host.run("sudo", "-n", "id", "-u", user="free").stdout == "0\n"
    assert host.run("sudo", "-n", "id", "-u", user="asked").returncode == 1
    ask = ("sudo", "-S", "-p", "", "id", "-u")
    assert host.run(*ask, user="asked", input="swordfish\n").stdout == "0\n"
    assert ssh(host, "id", user="asked").returncode == 255


def test_delay_is_a_round_trip(host: RigHost) -> None:
    with host.delay(100):
        assert round_trip_ms(host) >= 100
        assert ssh(host, "hostname").stdout == f"{host.name}\n"
    assert ssh(host, "hostname").stdout == f"{host.name}\n"
    ports = Path(f"/sys/class/net/{host.network.bridge}/brif").iterdir()
    assert host.interface in [port.name for port in ports]


def test_many_bytes_pass_a_long_line(host: RigHost) -> None:
    with host.delay(20):
        done = ssh(host, "head -c 20000000 /dev/zero | tee /dev/stderr | sha256sum")
    assert len(done.stderr) == 20_000_000
    nothing = subprocess.run(
        ["sha256sum"], input=bytes(20_000_000), capture_output=True, check=True
    )
    assert done.stdout == nothing.stdout.decode()


def test_black_hole_is_silent(host: RigHost) -> None:
    with host.black_hole(), pytest.raises(TimeoutError):
        socket.create_connection((host.address, 22), timeout=1)
    assert ssh(host, "true").returncode == 0


def test_black_hole_at_the_end_of_a_long_line(host: RigHost) -> None:
    with host.delay(10), host.black_hole(), pytest.raises(TimeoutError):
        socket.create_connection((host.address, 22), timeout=1)
    assert ssh(host, "true").returncode == 0


def test_cut_connections_leave_the_work_alone(host: RigHost) -> None:
    config = str(ROOT / host.rig / "ssh_config")
    work = "systemd-run -q --unit=work sleep 60; echo begun; sleep 60"
    with subprocess.Popen(
        ["ssh", "-F", config, host.name, work], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as login:
        assert login.stdout is not None
        assert login.stdout.readline() == b"begun\n"
        assert host.cut_connections() == 1
        assert login.wait(timeout=10) == 255
    assert host.run("systemctl", "is-active", "work").stdout == "active\n"
    host.run("systemctl", "stop", "work", check=True)


def test_without_ssh_the_port_refuses(host: RigHost) -> None:
    with host.without_ssh(), pytest.raises(ConnectionRefusedError):
        socket.create_connection((host.address, 22), timeout=5)
    assert ssh(host, "true").returncode == 0


def test_kill(host: RigHost) -> None:
    host.run("systemd-run", "-q", "--unit=victim", "sleep", "12345", check=True)
    assert host.kill("sleep 12345")
    assert not host.kill("sleep 12345")


def test_small_disk_fills_and_grows(host: RigHost) -> None:
    host.write("/opt/here/kept", "still here")
    fill = ("sh", "-c", "head -c 3000000 /dev/zero > /opt/here/big")
    with host.small_disk("/opt/here", 2):
        assert host.read("/opt/here/kept") == "still here"
        assert "No space left on device" in host.run(*fill).stderr
        host.grow_disk("/opt/here", 8)
        assert host.run(*fill).returncode == 0
    assert not host.exists("/opt/here/big")
    assert host.read("/opt/here/kept") == "still here"


def test_read_only(host: RigHost) -> None:
    with host.read_only("/opt"):
        assert "Read-only file system" in host.run("touch", "/opt/x").stderr
        inside = host.run("systemd-run", "--wait", "-q", "touch", "/opt/x")
        assert inside.returncode == 1
    assert host.run("touch", "/opt/x").returncode == 0


@pytest.mark.parametrize("off_s", [86400, -86400])
def test_clock_off(host: RigHost, off_s: int) -> None:
    ways = (("date", "+%s"), ("python3", "-Ic", "import time; print(int(time.time()))"))
    with host.clock_off(off_s):
        for way in ways:
            assert abs(int(ssh(host, *map(quoted, way)).stdout) - time.time() - off_s) < 60
    assert abs(int(host.run(*ways[0]).stdout) - time.time()) < 60


def quoted(word: str) -> str:
    return f"'{word}'"


def test_hide_python(host: RigHost) -> None:
    with host.hide_python():
        assert ssh(host, "python3 -V").returncode == 127
    assert ssh(host, "python3 -V").stdout == "Python 3.11.2\n"


def test_old_python_however_asked(host: RigHost) -> None:
    tell = "import sys, platform; print(sys.version_info[:3], platform.python_version()); "
    tell += "print(sys.version_info >= (3, 10), sys.version_info.minor)"
    with host.old_python("3.8.10"):
        assert host.run("python3", "--version").stdout == "Python 3.8.10\n"
        assert host.run("python3", "-I", "-c", tell).stdout == "(3, 8, 10) 3.8.10\nFalse 8\n"
    assert host.run("python3", "-I", "-c", tell).stdout == "(3, 11, 2) 3.11.2\nTrue 11\n"


def test_fake_architecture_and_clock_together(host: RigHost) -> None:
    tell = "import os, platform; print(os.uname().machine, platform.machine())"
    with host.fake_architecture("riscv64"), host.clock_off(86400):
        assert ssh(host, "uname -m").stdout == "riscv64\n"
        assert host.run("python3", "-I", "-c", tell).stdout == "riscv64 riscv64\n"
        assert abs(int(host.run("date", "+%s").stdout) - time.time() - 86400) < 60
    assert host.run("uname", "-m").stdout == "x86_64\n"


def test_port_taken_by_a_program_with_a_name(host: RigHost) -> None:
    with host.port_taken(8080, "otherd") as pid:
        listening = host.run("ss", "-Hltnp", "sport = :8080").stdout
        assert f'("otherd",pid={pid},' in listening
    assert host.run("ss", "-Hltn", "sport = :8080").stdout == ""


def test_a_changed_host_key_is_refused(pair: list[RigHost]) -> None:
    blue = pair[1]
    before = blue.known_hosts_line
    assert blue.change_host_key() != before.split(maxsplit=1)[1]
    done = ssh(blue, "true")
    assert done.returncode == 255
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in done.stderr


@pytest.mark.parametrize("power_cut", [False, True])
def test_a_reboot_keeps_the_disk(pair: list[RigHost], power_cut: bool) -> None:
    host = pair[0]
    host.write("/opt/kept", "kept")
    leader = host.leader
    host.reboot(power_cut=power_cut)
    assert host.leader != leader
    assert host.read("/opt/kept") == "kept"
    assert ssh(host, "true").returncode == 0


ABANDON = """
import os, signal
from tests.rig.rig import open_rig
rig = open_rig(f"l{os.getpid():x}")
rig.boot("orphan")
print(rig.name, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.usefixtures("rig")
def test_a_killed_run_leaves_nothing_for_long() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ABANDON], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == -9, done.stderr
    lost = done.stdout.strip()
    with building_site():
        clean_up()
    assert not (ROOT / lost).exists()
    assert not cgroup.group(lost).exists()
    left = [path.name for path in Path("/sys/class/net").iterdir()]
    assert not [name for name in left if lost in name]
