"""The root: what it lists, what it imports, and what it says when aiconsole itself is wrong."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from importlib import import_module

import pytest
import typer

from aiconsole.cli import app, mistake
from aiconsole.errors import PreflightError
from aiconsole.secret import Secret

SECRET = "correct horse battery"


@pytest.mark.parametrize("name", app.COMMANDS)
def test_the_list_says_what_the_command_says(name: str) -> None:
    entry = app.COMMANDS[name]
    module, attribute = entry.target.split(":")
    found = getattr(import_module(module), attribute)
    text = found.info.help if isinstance(found, typer.Typer) else inspect.getdoc(found)
    assert text
    assert entry.help == " ".join(text.split("\n\n")[0].split())


def loaded(*argv: str) -> set[str]:
    """The modules that a command has loaded at its end."""
    code = (
        "import atexit, json, sys\n"
        "atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))\n"
        f"sys.argv[1:] = {list(argv)!r}\n"
        "from aiconsole.cli.app import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_the_root_imports_no_command(option: str) -> None:
    modules = {entry.target.split(":")[0] for entry in app.COMMANDS.values()}
    assert loaded(option) & {*modules, "asyncssh", "pydantic", "httpx"} == set()


def test_what_contacts_nobody_does_without_ssh(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert "asyncssh" not in loaded("hosts", "list")


def wrong(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run main over a command that fails with this."""

    def command(*_: object, **__: object) -> None:
        password = SECRET
        raise error from ValueError(f"{password} is not it")

    monkeypatch.setattr(typer.main, "get_command", lambda _: type("C", (), {"main": command})())
    app.main()


@pytest.mark.parametrize("debug", ["", "1"])
def test_a_mistake_is_one_line_without_values(
    debug: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(mistake.DEBUG, debug)
    with pytest.raises(SystemExit) as exit_:
        wrong(RuntimeError(f"the password {SECRET}", Secret(SECRET)), monkeypatch)
    out, err = capsys.readouterr()
    assert (exit_.value.code, out) == (2, "")
    assert "aiconsole: This is a mistake of aiconsole itself" in err
    assert "RuntimeError at test_app.py:" in err
    assert SECRET not in err
    assert ("test_app.py" in err and "raise error from" in err) is bool(debug)
    assert ("ValueError" in err) is bool(debug), "what was behind it is told too"
    assert (f"{mistake.DEBUG}=1" in err) is not bool(debug)


def test_a_mistake_as_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["aiconsole", "status", "--json"])
    with pytest.raises(SystemExit):
        wrong(RuntimeError(SECRET), monkeypatch)
    [line] = capsys.readouterr().out.splitlines()
    assert json.loads(line)["title"] == "This is a mistake of aiconsole itself"
    assert SECRET not in line


def test_an_error_has_three_parts_and_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        wrong(PreflightError("web1 is not ready", "no room\x1b[2J", "Free space"), monkeypatch)
    assert exit_.value.code == 1
    assert capsys.readouterr().err == (
        "aiconsole: web1 is not ready\n  no room\\x1b[2J\n  → Free space\n"
    )


def test_ctrl_c_is_no_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(typer.main, "get_command", lambda _: type("C", (), {"main": command})())
    with pytest.raises(SystemExit) as exit_:
        app.main()
    assert exit_.value.code == app.INTERRUPTED
    assert capsys.readouterr().err == ""
