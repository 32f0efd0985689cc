"""An operator's settings: read, checked before anything changes, and merged into a release."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tomllib

from aiconsole.control.agree import (
    refuse_audit_path,
    refuse_disagreement,
    refuse_open_door,
    refuse_unknown,
)
from aiconsole.control.options import DeployOptions
from aiconsole.control.release import ModelChoice, Release, ServiceChoice, settings_of
from aiconsole.control.service_settings import (
    ServiceSettings,
    check_settings,
    kept_settings,
    read_file,
)
from aiconsole.control.settings_toml import merge
from aiconsole.errors import SettingsError
from aiconsole.onhost.wire import HostLayout, HostStatus, ServiceState, SmokePrompt

LAYOUT = HostLayout.system()
TEXT = """\
# What Ann wants.
[engine]
kind = "remote"  # somebody else computes
slots = 32

[[engine.remotes]]
name = "one"
url = "https://one.example/v1"
credential = "one"

[limits]
queue = 9
drain_timeout_s = 20

[tls]
certificate_file = "/etc/tls/c.pem"
key_file = "/etc/tls/k.pem"

[[smoke]]
prompt = "Who are you?"
expect = "one"

[watch]
seconds = 3
"""


def release(settings: ServiceSettings, model: ModelChoice | None = None) -> Release:
    return Release(
        layout=LAYOUT,
        layers=("a" * 64,),
        model=model or ModelChoice("far", "", 0, 0),
        service=ServiceChoice(drain_timeout_s=20.0),
        launch="print()\n",
        settings=settings,
    )


async def test_what_a_file_says_is_known_to_the_deploy() -> None:
    settings = await check_settings("ann.toml", TEXT)
    assert (settings.engine, settings.tls, settings.needs_model) == ("remote", True, False)
    assert settings.credentials == ("one",)
    assert settings.files == ("/etc/tls/c.pem", "/etc/tls/k.pem")
    assert settings.own.prompts == (SmokePrompt("Who are you?", expect="one"),)
    assert settings.own.watch.seconds == 3.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[limits]\nqueue = -1\n", "ann.toml:2: limits.queue: "),
        ("[limits]\nqueu = 1\n", "ann.toml:2: limits.queu: not a known key"),
        ("[limits\n", "ann.toml: "),
        ('[model]\npath = "/m"\n', "ann.toml:2: --model says which model is served"),
        ('\n[auth]\nkeys_file = "/k"\n', "ann.toml:3: client keys lie where"),
        ('[[smoke]]\nprompt = "a"\n[[smoke]]\nprompt = 5\n', "ann.toml:4: smoke.1.prompt: "),
        ('[[smoke]]\nprompt = "a"\nmatches = "("\n', "ann.toml:3: smoke.0.matches: "),
        ("[watch]\nlong = 5\n", "ann.toml:2: watch.long: not a known key"),
        ("limits = 5\n", "ann.toml:1: limits: "),
        ("model = 5\n", "ann.toml:1: model: "),
        ('[engine]\nkind = "remote"\n', "[[engine.remotes]] is needed"),
    ],
)
async def test_a_bad_file_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        await check_settings("ann.toml", text)
    assert said in caught.value.detail


def test_no_settings_are_none_or_an_empty_file(tmp_path: Path) -> None:
    file = tmp_path / "ann.toml"
    file.write_text("\n \n")
    assert read_file(file) == read_file(Path("none")) == ""
    with pytest.raises(SettingsError, match="no such file"):
        read_file(tmp_path / "missing.toml")
    file.write_bytes(b"\xff")
    with pytest.raises(SettingsError, match="not UTF-8"):
        read_file(file)


async def test_the_release_merges_them_and_keeps_comments() -> None:
    settings = await check_settings("ann.toml", TEXT)
    told = release(settings).settings_toml()
    assert "# What Ann wants." in told
    assert "# somebody else computes" in told
    tree = tomllib.loads(told)
    assert tree["model"] == {"name": "far"}
    assert tree["engine"]["slots"] == 32
    assert tree["limits"] == {"queue": 9, "drain_timeout_s": 20.0}
    assert tree["auth"] == {"required": False, "keys_file": LAYOUT.keys_file}
    assert not {"smoke", "watch"} & tree.keys()


@pytest.mark.parametrize(
    "text",
    [
        "",
        'model.aliases = ["b"]\nengine.slots = 3\n',
        '[[engine.remotes]]\nname = "a"\n[model]\naliases = []\n[[engine.remotes]]\nname = "b"\n',
        'limits = {queue = 5}\n[[smoke]]\nprompt = "x"\n',
        "[auth.jwt]\nissuer = 'x'\n[[engine.remotes]]\nname='a'\n[engine.command]\nargv=['x']\n",
    ],
)
def test_every_layout_of_a_file_can_be_merged(text: str) -> None:
    decided: dict[str, dict[str, Any]] = {
        "model": {"name": "m", "path": "/m"},
        "engine": {"slots": 8},
        "auth": {"x": True},
    }
    tree = tomllib.loads(merge(text, decided))
    wanted = tomllib.loads(text)
    wanted.pop("smoke", None)
    for table, values in decided.items():
        wanted.setdefault(table, {}).update(values)
    assert tree == wanted


async def test_settings_are_content_and_are_read_back() -> None:
    settings = await check_settings("ann.toml", TEXT)
    with_them, without = release(settings), release(ServiceSettings())
    assert with_them.id != without.id
    assert replace(with_them, settings=await check_settings("bob.toml", TEXT)).id == with_them.id
    document = json.loads(with_them.release_json())
    assert (document["settings"]["engine"], document["settings"]["tls"]) == ("remote", True)
    assert document["model"]["path"] == ""
    state = ServiceState(release_id=with_them.id, wanted="running")
    kept = settings_of(HostStatus(LAYOUT, state, (), (document,), ()), with_them.id)
    assert kept == settings
    assert kept.own.prompts == settings.own.prompts
    assert "settings" not in json.loads(without.release_json())
    assert kept_settings({"settings": {"text": "[[["}}).text == "[[["
    assert kept_settings({"settings": 5}) == ServiceSettings()


def test_what_the_file_says_comes_before_what_was_kept() -> None:
    chosen = settings("[engine]\nslots = 0\n")
    told = replace(release(chosen), service=ServiceChoice(slots=8, context_tokens=512))
    engine = tomllib.loads(told.settings_toml())["engine"]
    assert engine == {"slots": 0, "kind": "llama", "context_tokens": 512}


def settings(text: str) -> ServiceSettings:
    return ServiceSettings(text, tree=tomllib.loads(text))


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("[engine]\nslots = 4\n", DeployOptions(slots=8), "engine.slots is 4 in the settings"),
        ('[model]\nname = "a"\n', DeployOptions(model_name="b"), "--model-name says b"),
        ("[limits]\ndrain_timeout_s = 5\n", DeployOptions(drain_timeout_s=9.0), "--drain says 9"),
        ('[engine]\nkind = "remote"\n', DeployOptions(model=Path("m.gguf")), "takes no model file"),
        (
            '[engine]\nkind = "command"\n[engine.command]\nargv = ["vllm", "serve"]\n',
            DeployOptions(model=Path("m.gguf")),
            "{model} is not in its argv",
        ),
    ],
)
def test_an_option_and_the_settings_do_not_contradict(
    text: str, options: DeployOptions, said: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        refuse_disagreement(settings(text), options)
    assert said in caught.value.detail
    refuse_disagreement(settings(text), DeployOptions())


def test_nobody_is_let_in_without_a_key_from_outside() -> None:
    open_door = settings("[auth]\nrequired = false\n")
    refuse_open_door(open_door, "127.0.0.1:1")
    with pytest.raises(SettingsError, match="needs client keys"):
        refuse_open_door(open_door, "0.0.0.0:1")


def test_a_secret_that_nothing_asks_for_is_a_mistyped_name() -> None:
    known = ServiceSettings("x", ("one",))
    refuse_unknown(known, {"one"})
    with pytest.raises(SettingsError) as caught:
        refuse_unknown(known, {"two"})
    assert "they name: one" in caught.value.detail


@pytest.mark.parametrize("path", ["/var/log/a b%i/x", "/x.log", "x.log", "/var/log/../x.log"])
def test_an_audit_goes_where_a_unit_can_be_told_of(path: str) -> None:
    refuse_audit_path(settings('[audit]\npath = "/var/log/aiconsole/a.jsonl"\n'), LAYOUT)
    odd = settings(f'[audit]\npath = "{path}"\n')
    refuse_audit_path(odd, HostLayout.of_user("/home/ann"))
    with pytest.raises(SettingsError, match="cannot be written"):
        refuse_audit_path(odd, LAYOUT)
