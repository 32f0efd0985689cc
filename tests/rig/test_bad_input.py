"""What operators get wrong, and what is wrong with hosts: one clear error, and nothing changes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig.console import Console
from tests.rig.host import RigHost
from tests.rig.rig import Rig
from tests.rig.said import said
from tests.rig.terminal import on_terminal
from tests.rig.untouched import untouched

PASSWORD = "correct horse"
UNTOUCHED = "nothing was changed"


@pytest.fixture(scope="module")
def host(rig: Rig) -> Iterator[RigHost]:
    (host,) = rig.boot("badhost")
    host.add_user("wanda", password=PASSWORD, sudo="password")
    host.add_user("keyless", password=PASSWORD, key=False)
    host.add_user("plain", password=PASSWORD)
    yield host
    rig.destroy(host)


@pytest.fixture(scope="module")
def console(host: RigHost, tmp_path_factory: pytest.TempPathFactory) -> Console:
    console = Console(tmp_path_factory.mktemp("home"))
    console.add(host)
    return console


@pytest.fixture
def other(tmp_path: Path) -> Console:
    """A console that knows no host."""
    return Console(tmp_path / "home")


def fleet_file(console: Console) -> Path:
    return Path(console.environment()["XDG_CONFIG_HOME"]) / "aiconsole" / "hosts.toml"


def fleet(console: Console, text: str) -> Path:
    """Write the console's hosts.toml."""
    file = fleet_file(console)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def fingerprint(public_key: str) -> str:
    argv = ["ssh-keygen", "-l", "-f", "-"]
    done = subprocess.run(argv, input=public_key, capture_output=True, text=True, check=True)
    return done.stdout.split()[1]


class TestNames:
    def test_an_unknown_host(self, console: Console) -> None:
        said(console.run("deploy", "bdahost", "-y"), 2,
             "There is no host bdahost", "hosts.toml", "Did you mean badhost?")  # fmt: skip

    @pytest.mark.parametrize("selector", ["@gpu", "env=prod", "x*"])
    def test_a_selector_that_fits_nothing(self, console: Console, selector: str) -> None:
        said(console.run("status", selector), 2,
             f"No host of the fleet fits {selector}", "aiconsole hosts list")  # fmt: skip

    def test_a_broken_inventory_names_file_line_and_what_was_expected(self, other: Console) -> None:
        file = fleet(other, '[hosts.web1]\naddress = "10.0.0.5"\nport = "22"\n')
        said(other.run("status"), 2, "hosts.toml is wrong", f"{file} line 3: ", "valid integer")

    def test_a_mistyped_inventory(self, other: Console) -> None:
        file = fleet(other, "[hosts.web1]\nadress = '10.0.0.5'\n")
        said(other.run("hosts", "list"), 2, "hosts.toml is wrong", f"{file} line 2: ",
             "expected one of: address, user, port")  # fmt: skip

    @pytest.mark.parametrize("address", ["garbage", "1.2.3.4:99999", "web1:80", "8480"])
    def test_no_address_to_listen_on(self, host: RigHost, console: Console, address: str) -> None:
        said(console.run("deploy", host.name, "--listen", address, "-y"), 2,
             f"{UNTOUCHED}: {address} is not an address to listen on",
             "127.0.0.1:8480")  # fmt: skip

    def test_a_foreign_address_to_listen_on(self, host: RigHost, console: Console) -> None:
        with untouched(host):
            said(console.run("deploy", host.name, "--listen", "9.9.9.9:80", "-y"), 1,
                 f"{UNTOUCHED}: The plan cannot be carried out",
                 "9.9.9.9 is no address of this host")  # fmt: skip

    def test_nobody_to_ask(self, host: RigHost, console: Console) -> None:
        with untouched(host):
            said(console.run("deploy", host.name), 1,
                 f"{UNTOUCHED}: Nobody can be asked here", "Deploy builtin-", "--yes")  # fmt: skip


class TestReach:
    def test_a_name_that_is_not_found(self, other: Console) -> None:
        said(other.run("hosts", "add", "web1", "root@nowhere.invalid"), 2,
             "The name nowhere.invalid was not found", "DNS")  # fmt: skip

    def test_a_refused_port(self, host: RigHost, console: Console) -> None:
        with host.without_ssh(), untouched(host):
            said(console.run("deploy", host.name, "-y"), 2, "badhost refused the connection",
                 f"nothing listens on {host.address} port 22", "Check that sshd runs")  # fmt: skip

    def test_a_black_hole(self, host: RigHost, console: Console) -> None:
        with host.black_hole(), untouched(host):
            said(console.run("deploy", host.name, "-y"), 2, "badhost does not answer",
                 f"no answer from {host.address} port 22", "firewall")  # fmt: skip

    def test_an_unknown_key_without_a_terminal(self, host: RigHost, other: Console) -> None:
        fleet(other, f'[hosts.new]\naddress = "{host.address}"\nuser = "root"\n'
                     f'identity_files = ["{host.key_path}"]\n')  # fmt: skip
        shown = fingerprint(host.host_public_key)
        with untouched(host):
            said(other.run("deploy", "new", "-y"), 2, "The host key of new is not known yet",
                 shown, "aiconsole hosts trust new")  # fmt: skip
            said(other.run("hosts", "trust", "new"), 1, "The host key of new is not known yet",
                 shown, f"--accept-fingerprint {shown}")  # fmt: skip
            other.fine("hosts", "trust", "new", "--accept-fingerprint", shown)
            other.fine("status", "new")

    def test_a_changed_key(self, host: RigHost, console: Console) -> None:
        before = fingerprint(host.host_public_key)
        after = fingerprint(host.change_host_key())
        with untouched(host):
            said(console.run("deploy", host.name, "-y"), 2,
                 f"The host key of {host.name} has changed", before, after,
                 f"aiconsole hosts trust {host.name}")  # fmt: skip
            said(console.run("hosts", "trust", host.name, "--accept-fingerprint", before), 1,
                 f"The host key of {host.name} has changed", after)  # fmt: skip
            console.fine("hosts", "trust", host.name, "--accept-fingerprint", after)
            console.fine("status", host.name)

    def test_one_dead_host_does_not_hide_the_other(
        self, rig: Rig, host: RigHost, other: Console
    ) -> None:
        other.add(host)
        fleet(
            other,
            f"{fleet_file(other).read_text()}\n"
            f'[hosts.dead]\naddress = "{host.address}"\nport = 2\n',
        )
        ended = other.run("status", host.name, "dead")
        assert ended.exit_code == 2
        assert "badhost  not deployed" in ended.out
        assert "dead     dead refused the connection" in ended.out
        with untouched(host):
            ended = other.run("deploy", "dead", host.name, "-y")
            said(ended, 2, "dead refused the connection", "Check that sshd runs there")
            assert f"{host.name:<12} skipped: dead did not end well" in ended.out


class TestLogin:
    def test_a_wrong_key(self, host: RigHost, other: Console, tmp_path: Path) -> None:
        key = tmp_path / "stranger"
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
        subprocess.run(make, check=True, stdin=subprocess.DEVNULL)
        with untouched(host):
            said(other.run("hosts", "add", "web1", f"root@{host.address}", "-i", str(key),
                           "--accept-fingerprint", fingerprint(host.host_public_key)), 2,
                 "web1 refused the login of root", f"refused: key {key} SHA256:",
                 "authorized_keys")  # fmt: skip

    def test_a_wrong_password(self, host: RigHost, other: Console) -> None:
        other.add(host)
        fleet(other, f'[hosts.web1]\naddress = "{host.address}"\nuser = "keyless"\n')
        before = failures(host, "keyless")
        with (
            untouched(host),
            on_terminal(other.argv("deploy", "web1"), other.environment()) as seen,
        ):
            seen.wait_for("Password of keyless on web1")
            seen.wait_for("password: ")
            seen.type("wrong battery")
            assert seen.end() == 2
        assert "web1 did not accept the password of keyless" in seen.screen
        assert "wrong battery" not in seen.screen
        assert failures(host, "keyless") - before == 1

    def test_a_wrong_sudo_password_is_one_attempt(self, host: RigHost, other: Console) -> None:
        other.add(host, user="wanda")
        before = failures(host, "wanda")
        with (
            untouched(host),
            on_terminal(other.argv("deploy", host.name), other.environment()) as seen,
        ):
            seen.wait_for(f"Password of wanda on {host.name} for sudo")
            seen.wait_for("password: ")
            seen.type("wrong battery")
            assert seen.end() == 2
        assert "sudo did not accept the password of wanda" in seen.screen
        assert "One attempt was made" in seen.screen
        assert failures(host, "wanda") - before == 1

    def test_sudo_without_anybody_to_ask(self, host: RigHost, other: Console) -> None:
        other.add(host, user="wanda")
        before = failures(host, "wanda")
        with untouched(host):
            said(other.run("deploy", host.name, "-y"), 2,
                 "nobody could be asked for the password of sudo", "NOPASSWD")  # fmt: skip
        assert failures(host, "wanda") == before

    def test_sudo_is_not_allowed(self, host: RigHost, other: Console) -> None:
        other.add(host, user="plain")
        with (
            untouched(host),
            on_terminal(other.argv("deploy", host.name), other.environment()) as seen,
        ):
            seen.wait_for("password: ")
            seen.type(PASSWORD)
            assert seen.end() == 2
        assert "plain may not use sudo there" in seen.screen


class TestMachine:
    def test_a_port_that_is_taken_is_named(self, host: RigHost, console: Console) -> None:
        with host.port_taken(8480, "squatter"), untouched(host):
            said(console.run("deploy", host.name, "-y"), 1, f"{UNTOUCHED}: badhost is not ready",
                 "port 8480 is taken by squatter", "--listen")  # fmt: skip

    def test_no_python(self, host: RigHost, console: Console) -> None:
        with host.hide_python(), untouched(host):
            said(console.run("deploy", host.name, "-y"), 1, f"{UNTOUCHED}: badhost is not ready",
                 "there is no python3", "apt-get install python3")  # fmt: skip

    def test_a_python_that_is_too_old(self, host: RigHost, console: Console) -> None:
        with host.old_python("3.8.10"), untouched(host):
            said(console.run("deploy", host.name, "-y"), 1, f"{UNTOUCHED}: badhost is not ready",
                 "Python 3.8.10 is too old, 3.10 or newer is needed")  # fmt: skip

    def test_an_unsupported_architecture(self, host: RigHost, console: Console) -> None:
        with host.fake_architecture("riscv64"), untouched(host):
            said(console.run("deploy", host.name, "-y"), 1, f"{UNTOUCHED}: badhost is not ready",
                 "riscv64", "x86_64, aarch64")  # fmt: skip

    def test_a_clock_that_is_off_by_a_day(self, host: RigHost, console: Console) -> None:
        with host.clock_off(-86400), untouched(host):
            said(console.run("deploy", host.name, "-y"), 1, f"{UNTOUCHED}: badhost is not ready",
                 "its clock is 1 d 0 h behind this machine's", "timedatectl")  # fmt: skip

    def test_a_memory_that_is_too_small(self, host: RigHost, console: Console) -> None:
        told = "MemTotal: 40000 kB\nMemAvailable: 30000 kB\n"
        with host.telling("/proc/meminfo", told), untouched(host):
            said(console.run("deploy", host.name, "-y"), 1, f"{UNTOUCHED}: badhost is not ready",
                 "of memory, the host has 41.0 MB", "Take a smaller model")  # fmt: skip

    def test_a_processor_that_is_too_old(self, host: RigHost, console: Console) -> None:
        told = "model name\t: Old Iron\nflags\t\t: fpu sse sse2 ssse3 sse4_1 sse4_2 avx\n"
        with host.telling("/proc/cpuinfo", told), untouched(host):
            said(console.run("deploy", host.name, "-y"), 1, f"{UNTOUCHED}: badhost is not ready",
                 "the processor lacks avx2, fma, f16c, bmi2", "CPU type")  # fmt: skip

    @pytest.mark.parametrize("path", ["/opt", "/var/lib", "/etc"])
    def test_a_filesystem_that_is_read_only(
        self, host: RigHost, console: Console, path: str
    ) -> None:
        with host.read_only(path), untouched(host):
            said(console.run("deploy", host.name, "-y"), 1, f"{UNTOUCHED}: ", "ead-only")

    def test_an_unknown_release(self, host: RigHost, console: Console) -> None:
        with untouched(host):
            said(console.run("rollback", host.name, "builtin-00000000", "-y"), 2,
                 f"{UNTOUCHED}: Nothing is deployed on {host.name}",
                 "aiconsole deploy")  # fmt: skip

    def test_an_unknown_run(self, host: RigHost, console: Console) -> None:
        said(console.run("runs", "attach", host.name, "nosuch"), 2, "Not found on badhost",
             "there is no run nosuch on this host", "aiconsole runs list badhost")  # fmt: skip


def failures(host: RigHost, user: str) -> int:
    """How many wrong passwords of this user PAM has seen."""
    host.run("journalctl", "--sync", check=True)
    lines = host.run("journalctl", "--no-pager", "-o", "cat", check=True).stdout.splitlines()
    return sum("authentication failure" in line and f" user={user}" in line for line in lines)
