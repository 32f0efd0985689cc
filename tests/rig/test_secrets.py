"""No secret of a whole story is found anywhere: in no process, no file, no journal, no output."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import asyncssh
import pytest

from aiconsole.control.carry_out import Job, carry_out
from aiconsole.control.events import Result
from aiconsole.control.inspection import open_line
from aiconsole.control.plan import make_plan
from aiconsole.fleet.host import Host
from aiconsole.onhost.wire import CommandStep, CredentialStep, DirectoryStep, Step, UnitStep
from aiconsole.question import ask_nobody
from aiconsole.secret import Secret
from aiconsole.session.host_keys import HostKeys
from aiconsole.session.pool import Pool
from tests.fixtures import tiny_gguf
from tests.rig.console import Console
from tests.rig.host import RigHost
from tests.rig.rig import Rig
from tests.rig.terminal import Terminal, on_terminal
from tests.rig.watcher import Watcher, watching

PASSPHRASE = "opens-the-key-5512"
SUDO_PASSWORD = "becomes-root-7731"
WRONG_PASSWORD = "was-mistyped-9024"
WRONG_CLIENT_KEY = "ak-00000000-guessed-by-somebody-3377"
CREDENTIAL = "token-of-the-registry-1188"
CACHE_PASSWORD = "opens-the-cache-6620"
TYPED_PASSWORD = "typed-for-the-cache-4471"

PLACES = ("/opt", "/var", "/etc", "/run", "/tmp", "/root", "/home", "/dev/shm", "/usr/local")

UNIT = """\
[Unit]
Description=Reads a credential

[Service]
Type=oneshot
LoadCredentialEncrypted=registry:/etc/aiconsole/registry.cred
ExecStart=/bin/sh -c 'sha256sum <"$CREDENTIALS_DIRECTORY/registry" >/run/registry.sha256'
"""


@dataclass
class Story:
    """What was typed, printed and seen."""

    host: RigHost
    console: Console
    key: Path
    watcher: Watcher
    screens: list[str] = field(default_factory=list)
    client_key: str = ""

    @property
    def secrets(self) -> list[str]:
        return [
            PASSPHRASE, SUDO_PASSWORD, WRONG_PASSWORD, WRONG_CLIENT_KEY, CREDENTIAL,
            CACHE_PASSWORD, TYPED_PASSWORD, self.client_key or "no key was made",
        ]  # fmt: skip

    def tell(
        self, *argv: str, credential: str = "", sudo_password: str = "", yes: bool = False
    ) -> tuple[int, str]:
        """Run a command on a terminal; type what it asks for."""
        command = self.console.argv(*argv)
        with on_terminal(command, self.console.environment()) as terminal:
            if credential:
                answer(terminal, "The secret of the credential", credential)
            answer(terminal, f"Passphrase of the key {self.key}", PASSPHRASE)
            if sudo_password:
                answer(terminal, "for sudo", sudo_password)
            if yes:
                terminal.wait_for("[y/N] ")
                terminal.type("y")
            exit_code = terminal.end()
        self.screens.append(terminal.screen)
        return exit_code, terminal.screen

    def ask(self, client_key: str) -> int:
        """Ask for a completion; returns the status of the answer."""
        request = urllib.request.Request(
            f"http://{self.host.address}:8480/v1/completions",
            data=b'{"model": "builtin", "prompt": "The server", "max_tokens": 4}',
            headers={"Authorization": f"Bearer {client_key}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                status: int = response.status
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        return status


def answer(terminal: Terminal, question: str, text: str) -> None:
    terminal.wait_for(question)
    terminal.wait_for("password: ")
    terminal.type(text)


@pytest.fixture(scope="module")
def story(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    (host,) = rig.boot("secrets")
    try:
        with watching() as watcher:
            yield Story(
                host, Console(tmp_path_factory.mktemp("home")), login(host, tmp_path_factory),
                watcher,
            )  # fmt: skip
    finally:
        rig.destroy(host)


def login(host: RigHost, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user who needs a passphrase to log in and a password for sudo."""
    key = tmp_path_factory.mktemp("keys") / "id_ed25519"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-f", str(key), "-N", ""],
        check=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    asyncssh.read_private_key(key).write_private_key(key, passphrase=PASSPHRASE)
    host.add_user("sally", password=SUDO_PASSWORD, sudo="password", key=False)
    public = key.with_suffix(".pub").read_text()
    host.write("/home/sally/.ssh/authorized_keys", public, 0o600)
    host.run("chown", "-R", "sally:sally", "/home/sally/.ssh", check=True)
    host.run("chmod", "700", "/home/sally/.ssh", check=True)
    return key


def test_the_story(story: Story, tmp_path: Path) -> None:
    host = story.host
    fingerprint = subprocess.run(
        ["ssh-keygen", "-l", "-f", "-"],
        input=host.host_public_key, capture_output=True, text=True, check=True,
    ).stdout.split()[1]  # fmt: skip
    code, screen = story.tell(
        "hosts", "add", host.name, f"sally@{host.address}", "-i", str(story.key),
        "--accept-fingerprint", fingerprint,
    )  # fmt: skip
    assert code == 0, screen
    deploy = ["deploy", host.name, "--listen", "0.0.0.0:8480"]
    code, screen = story.tell(*deploy, sudo_password=WRONG_PASSWORD)
    assert (code, "did not accept the password" in screen) == (2, True), screen
    code, screen = story.tell(*deploy, sudo_password=SUDO_PASSWORD, yes=True)
    assert code == 0, screen
    shown = re.findall(r"client key, shown this once: (\S+)", screen)
    assert len(shown) == 1, screen
    [story.client_key] = shown
    # The one place where it may stand.
    assert story.screens[-1].count(story.client_key) == 1
    story.screens[-1] = screen.replace(story.client_key, "")
    assert story.ask(story.client_key) == 200
    assert story.ask(WRONG_CLIENT_KEY) == 401
    brings_a_secret_for_the_service(story, tmp_path)
    fails(story, tmp_path)


def brings_a_secret_for_the_service(story: Story, tmp_path: Path) -> None:
    """Settings that name a secret: refused without it, then from a file, then typed anew."""
    host, settings, secret = story.host, tmp_path / "service.toml", tmp_path / "cache.txt"
    settings.write_text('[cache]\nredis_password = "cache"\n')
    secret.write_text(CACHE_PASSWORD + "\n")
    deploy = ["deploy", host.name, "--watch", "1", "-y", "--settings", str(settings)]
    code, screen = story.tell(*deploy, sudo_password=SUDO_PASSWORD)
    assert (code, "--credential cache=FILE" in screen) == (1, True), screen
    code, screen = story.tell(
        *deploy, "--credential", f"cache={secret}", sudo_password=SUDO_PASSWORD
    )
    assert code == 0, screen
    assert secret_of_the_service(story) == sha256(CACHE_PASSWORD.encode()).hexdigest()
    code, screen = story.tell(
        *deploy[:-2], "--credential", "cache=-", credential=TYPED_PASSWORD,
        sudo_password=SUDO_PASSWORD,
    )  # fmt: skip
    assert code == 0, screen
    assert secret_of_the_service(story) == sha256(TYPED_PASSWORD.encode()).hexdigest()
    mode = host.run("stat", "-c", "%a %U", "/etc/aiconsole/credentials/cache.cred").stdout
    assert mode == "600 root\n"
    unit = f"aiconsole-inferd@{serving_slot(story)}"
    host.run("systemctl", "reload", unit, check=True)
    said = "settings read again: nothing to apply"
    host.run("sh", "-c", f"for i in $(seq 100); do journalctl -q --no-pager -u {unit} | "
             f"grep -q '{said}' && exit; sleep 0.1; done; exit 1", check=True)  # fmt: skip
    assert story.ask(story.client_key) == 200


def serving_slot(story: Story) -> str:
    state = json.loads(story.host.read("/var/lib/aiconsole/inferd.json"))
    return str(state["slot"])


def laid_out(story: Story) -> str:
    """Where systemd shows the secret to the service alone."""
    return f"/run/credentials/aiconsole-inferd@{serving_slot(story)}.service/cache"


def secret_of_the_service(story: Story) -> str:
    """Digest of what the service's user reads there."""
    argv = ("runuser", "-u", "aiconsole", "--", "sha256sum", laid_out(story))
    return story.host.run(*argv, check=True).stdout.split()[0]


def fails(story: Story, tmp_path: Path) -> None:
    """A run that fails on the host and is undone, with all that a debugging operator turns on."""
    story.console.variables = {"AICONSOLE_DEBUG": "1", "PYTHONASYNCIODEBUG": "1"}
    model = tiny_gguf.write(tmp_path / "odd.gguf", architecture="unheard-of")
    code, screen = story.tell(
        "deploy", story.host.name, "--model", str(model), "-y", sudo_password=SUDO_PASSWORD
    )
    assert (code, "failed, and taken back" in screen) == (2, True), screen
    story.console.variables = {}
    assert story.ask(story.client_key) == 200, "the service before it is back"


async def carried_out(story: Story, tmp_path: Path, steps: list[Step]) -> Result:
    known = tmp_path / "known_hosts"
    known.write_text(story.host.known_hosts_line + "\n")
    pool = Pool(ask_nobody, HostKeys(known))
    host = Host("secrets", story.host.address, "root", identity_files=(str(story.host.key_path),))
    try:
        _, line = await open_line(pool, host)
        job = Job(
            line, make_plan("Bring a credential", line.layout, steps), "Bring it?",
            secrets={"registry": Secret(CREDENTIAL)}, yes=True,
        )  # fmt: skip
        async with aclosing(carry_out(job, ask_nobody)) as events:
            seen = [event async for event in events]
    finally:
        await pool.close()
    story.screens.append(repr(seen))
    assert isinstance(seen[-1], Result)
    return seen[-1]


CREDENTIAL_STEPS: list[Step] = [
    DirectoryStep("etc", "Directory", "/etc/aiconsole"),
    CredentialStep("registry", "The registry's token", "registry", "/etc/aiconsole/registry.cred"),
    UnitStep("unit", "Its reader", "registry.service", UNIT),
    CommandStep("read", "Read it", ("systemctl", "start", "registry.service")),
]


async def test_a_credential_reaches_its_unit_alone(story: Story, tmp_path: Path) -> None:
    result = await carried_out(story, tmp_path, CREDENTIAL_STEPS)
    assert result.outcome == "done", result
    digest = story.host.read("/run/registry.sha256").split()[0]
    assert digest == sha256(CREDENTIAL.encode()).hexdigest()
    mode = story.host.run("stat", "-c", "%a %U", "/etc/aiconsole/registry.cred").stdout
    assert mode == "600 root\n"


async def test_a_run_with_a_credential_that_fails(story: Story, tmp_path: Path) -> None:
    story.host.run("rm", "/etc/aiconsole/registry.cred", check=True)
    broken = CommandStep("break", "Fail", ("sh", "-c", "echo broken >&2; exit 3"))
    result = await carried_out(story, tmp_path, [*CREDENTIAL_STEPS, broken])
    assert result.outcome == "undone", result
    assert not story.host.exists("/etc/aiconsole/registry.cred")


def test_no_process_showed_a_secret(story: Story) -> None:
    assert story.watcher.shows("[become-"), "sudo was seen"
    assert story.watcher.shows(f"HOME={story.console.home}"), "the console was seen"
    assert story.watcher.shows("--slot a"), "the service was seen"
    assert story.watcher.leaks(story.secrets) == []


def test_no_file_of_the_host_holds_a_secret(story: Story) -> None:
    patterns = "\n".join(story.secrets)
    argv = ["grep", "-rlaF", "-D", "skip", "-f", "-", "--", *PLACES]
    found = story.host.run(*argv, input=patterns).stdout
    assert found.split() == [laid_out(story)], "in memory, for the service alone"
    status = story.host.run("stat", "-f", "-c", "%T", laid_out(story)).stdout.strip()
    assert status in ("ramfs", "tmpfs")
    known = story.host.run(*argv, input="Bring a credential").stdout
    assert "plan.json" in known, "the search finds what is there"


def test_no_line_of_the_journal_holds_a_secret(story: Story) -> None:
    story.host.run("journalctl", "--sync", check=True)
    journal = story.host.run("journalctl", "-o", "export", "--no-pager", check=True).stdout
    assert "aiconsole-run-inferd" in journal
    assert [secret for secret in story.secrets if secret in journal] == []


def test_nothing_on_the_console_holds_a_secret(story: Story) -> None:
    printed = "\n".join(story.screens)
    assert [secret for secret in story.secrets if secret in printed] == []
    patterns = "\n".join(story.secrets)
    home = [str(story.console.home), str(Path(story.console.environment()["XDG_CACHE_HOME"]) /
                                         "aiconsole")]  # fmt: skip
    done = subprocess.run(
        ["grep", "-rlaF", "-f", "-", "--", *home],
        input=patterns, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("", 1)
