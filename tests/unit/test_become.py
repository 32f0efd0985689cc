"""sudo's dialogue, corner by corner, against a program that plays sudo."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from aiconsole.errors import SudoError
from aiconsole.secret import Secret
from aiconsole.session.become import SudoPassword, explain, sudo_argv
from aiconsole.session.command import Command
from aiconsole.session.local import LocalSession

GRANT = 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"'


class User(LocalSession):
    """This machine's session as an ordinary user, so that sudo is needed."""

    @property
    def is_root(self) -> bool:
        return False


@pytest.fixture
def fake_sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file `sudo` on the PATH; tests write a script into it."""
    file = tmp_path / "bin" / "sudo"
    file.parent.mkdir()
    monkeypatch.setenv("PATH", f"{file.parent}:/usr/bin:/bin")
    return file


def play(file: Path, script: str) -> None:
    file.write_text(f'#!/bin/sh\nfor word; do case $word in "[become-"*) p=$word;; esac; done\n'
                    f"{script}\n")  # fmt: skip
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


class Asked:
    def __init__(self, *answers: str | None) -> None:
        self.answers, self.count = list(answers), 0

    async def __call__(self) -> Secret | None:
        self.count += 1
        answer = self.answers.pop(0)
        return None if answer is None else Secret(answer)


async def test_noise_before_and_after_is_told_apart(fake_sudo: Path) -> None:
    play(fake_sudo, f"echo 'sudo: unable to resolve host x' >&2; {GRANT}")
    done = await User(sudo_password=SudoPassword(Asked())).run(
        Command(("sh", "-c", "echo mine >&2; cat"), stdin=b"payload", sudo=True)
    )
    assert (done.stdout, done.stderr) == (b"payload", b"mine\n")


async def test_the_program_does_not_inherit_the_language_of_sudo(fake_sudo: Path) -> None:
    play(fake_sudo, GRANT)
    done = await User().run(Command(("sh", "-c", "echo ${LC_ALL-unset}"), sudo=True))
    assert done.stdout == b"unset\n"


async def test_the_password_is_one_line_before_the_payload(fake_sudo: Path) -> None:
    play(fake_sudo, f'printf %s "$p" >&2; read -r word; [ "$word" = open ] || exit 1; {GRANT}')
    asked = Asked("open")
    session = User(sudo_password=SudoPassword(asked))
    for _ in range(2):
        done = await session.run(Command(("cat",), stdin=b"open\nmine", sudo=True))
        assert done.stdout == b"open\nmine"
    assert asked.count == 1


async def test_a_prompt_in_pieces(fake_sudo: Path) -> None:
    play(
        fake_sudo,
        'printf %.9s "$p" >&2; sleep 0.1; printf %s "${p#?????????}" >&2; read -r word;' + GRANT,
    )
    done = await User(sudo_password=SudoPassword(Asked("open"))).run(
        Command(("echo", "ok"), sudo=True)
    )
    assert done.stdout == b"ok\n"


async def test_a_second_prompt_gets_no_second_password(fake_sudo: Path, tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    play(
        fake_sudo,
        f'printf %s "$p" >&2; read -r word; echo "$word" >>{lines}\n'
        f'printf "Sorry, try again.\\n%s" "$p" >&2; read -r word && echo "$word" >>{lines}\nexit 1',
    )
    with pytest.raises(SudoError, match="did not accept the password"):
        await User(sudo_password=SudoPassword(Asked("bad"))).run(
            Command(("cat",), stdin=b"payload", sudo=True)
        )
    assert lines.read_text() == "bad\n"


async def test_a_program_that_prints_a_prompt_gets_nothing(fake_sudo: Path) -> None:
    """Only what sudo says before the program counts; afterwards the words are the program's."""
    play(fake_sudo, GRANT)
    asked = Asked()
    script = 'echo "[become-0]" >&2; cat'
    done = await User(sudo_password=SudoPassword(asked)).run(
        Command(("sh", "-c", script), stdin=b"payload", sudo=True)
    )
    assert (done.stdout, asked.count) == (b"payload", 0)


async def test_a_password_with_a_line_break_is_refused(fake_sudo: Path) -> None:
    play(fake_sudo, 'printf %s "$p" >&2; read -r word; exit 1')
    with pytest.raises(SudoError, match="line break"):
        await User(sudo_password=SudoPassword(Asked("a\nb"))).run(Command(("true",), sudo=True))


async def test_no_sudo_at_all(fake_sudo: Path) -> None:
    with pytest.raises(SudoError, match="not installed"):
        await User().run(Command(("true",), sudo=True))


async def test_remote_text_in_the_error_is_harmless(fake_sudo: Path) -> None:
    play(fake_sudo, r"printf '\033[2Jboo\n' >&2; exit 1")
    with pytest.raises(SudoError) as caught:
        await User().run(Command(("true",), sudo=True))
    assert "\x1b" not in str(caught.value)
    assert "boo" in caught.value.detail


@pytest.mark.parametrize(
    ("noise", "reason"),
    [
        ("sudo: sorry, you must have a tty to run sudo", "requiretty"),
        ("alice is not in the sudoers file.", "alice may not use sudo"),
        ("Sorry, user alice may not run sudo on web1.", "alice may not use sudo"),
        (
            "Sorry, user alice is not allowed to execute '/bin/sh -c x' as root on web1.",
            "alice may not use sudo",
        ),
        ("env: 'sudo': No such file or directory", "not installed"),
        ("bash: line 1: exec: sudo: not found", "not installed"),
        ("sudo: 1 incorrect password attempt", "did not accept"),
        ('sudo: The "no new privileges" flag is set', "cannot work there"),
        ("sudo: /etc/sudo.conf is owned by uid 1, should be 0", "exit status 3"),
    ],
)
def test_reasons(noise: str, reason: str) -> None:
    title, hint = explain(noise, 3, "alice")
    assert reason in title
    assert hint


def test_the_command_stands_unchanged_at_the_end() -> None:
    argv = sudo_argv(("printf", "%s", "$HOME; rm"), "n0nce")
    assert argv[-3:] == ("printf", "%s", "$HOME; rm")
    assert argv[:3] == ("env", "LC_ALL=C", "sudo")
