"""What a deploy refuses before it asks any host, and which model it comes to."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tomllib

from aiconsole.control.bring import Brought
from aiconsole.control.choose_model import choose_model
from aiconsole.control.deploy import deploy_host
from aiconsole.control.options import DeployOptions
from aiconsole.control.release import ModelChoice, ServiceChoice
from aiconsole.control.service_settings import ServiceSettings
from aiconsole.errors import AiconsoleError, SettingsError
from aiconsole.fleet.host import Host
from aiconsole.question import ask_nobody

OWN_FILE = ModelChoice("mine", "c" * 64, 10, 20)
BUILTIN = ModelChoice("builtin", "b" * 64, 10, 20, builtin=True)
FAR = ModelChoice("far", "", 0, 0)


async def refusal(options: DeployOptions) -> AiconsoleError:
    """How a deploy ends that must not get as far as to a host."""
    nobody: Any = None
    events = deploy_host(
        nobody, Host("web1", "10.0.0.1"), options, Brought(options.credentials), ask_nobody
    )
    with pytest.raises(AiconsoleError) as caught:
        await anext(events)
    return caught.value


async def test_bad_settings_and_secrets_reach_no_host(tmp_path: Path) -> None:
    file, key = tmp_path / "ann.toml", tmp_path / "key"
    file.write_text("[limits]\nqueue = -1\n")
    error = await refusal(DeployOptions(settings=file))
    assert f"{file}:2: limits.queue: " in error.detail
    assert error.hint.endswith("nothing was changed")
    key.write_text("sesame")
    file.write_text("[engine]\nslots = 2\n")
    error = await refusal(DeployOptions(settings=file, credentials=(f"one={key}",)))
    assert error.title == "The settings ask for no credential one"
    error = await refusal(DeployOptions(settings=file, slots=3))
    assert error.title == "The settings and --slots disagree"


def settings(text: str) -> ServiceSettings:
    return ServiceSettings(text, tree=tomllib.loads(text))


REMOTE = '[engine]\nkind = "remote"\n[[engine.remotes]]\nname = "a"\nurl = "http://a"\n'
COMMAND = '[engine]\nkind = "command"\n[engine.command]\nargv = ["vllm", "{port}"]\n'


async def chosen(
    text: str, served: ModelChoice | None = None, **options: Any
) -> tuple[ModelChoice, Path | None]:
    seen: Any = SimpleNamespace(
        line=SimpleNamespace(host=SimpleNamespace(name="web1")),
        facts=SimpleNamespace(memory_total_bytes=1 << 34),
    )
    return await choose_model(
        DeployOptions(**options), settings(text), seen, ServiceChoice(), served, lambda _: None
    )


@pytest.mark.parametrize(
    ("text", "served", "name"),
    [
        (REMOTE + 'model = "gpt"\n', None, "gpt"),
        (REMOTE + 'model = "gpt"\n[model]\nname = "ours"\n', FAR, "ours"),
        (REMOTE + 'model = "gpt"\n', FAR, "far"),
        (REMOTE + 'model = "gpt"\n', OWN_FILE, "gpt"),
        (COMMAND + 'model_name = "llama"\n', None, "llama"),
    ],
)
async def test_an_engine_elsewhere_needs_a_name_and_no_file(
    text: str, served: ModelChoice | None, name: str
) -> None:
    assert await chosen(text, served) == (ModelChoice(name, "", 0, 0), None)


async def test_a_model_without_a_name_is_refused() -> None:
    with pytest.raises(SettingsError) as caught:
        await chosen(REMOTE, OWN_FILE)
    assert "--model-name" in caught.value.hint
    model, _ = await chosen(REMOTE, model_name="ours")
    assert model.name == "ours"


async def test_a_command_that_names_the_file_gets_it() -> None:
    text = COMMAND.replace("{port}", "{model}")
    assert await chosen(text, OWN_FILE) == (OWN_FILE, None)
    for served in (None, BUILTIN, FAR):
        model, path = await chosen(text, served)
        assert (model.builtin, bool(model.sha256), path is not None) == (True, True, True)


async def test_the_file_gives_the_name_where_it_says_one() -> None:
    model, _ = await chosen('[model]\nname = "ours"\n', OWN_FILE)
    assert (model.name, model.sha256) == ("ours", OWN_FILE.sha256)
    more, _ = await chosen("[engine]\nslots = 64\ncontext_tokens = 512\n")
    less, _ = await chosen("[engine]\nslots = 1\ncontext_tokens = 512\n")
    assert more.memory_bytes > less.memory_bytes
