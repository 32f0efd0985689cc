"""Takes the pictures: drives the console's own keys on hosts of the test rig, or on this machine.

Nothing is made up: the hosts are booted, deployed to, asked for completions, and one is killed.
Where the rig cannot run (no root, no packages) the pictures show this machine alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

from textual.pilot import Pilot

from aiconsole.fleet.host import LOCALHOST
from aiconsole.tui.app import ConsoleApp
from aiconsole.tui.screens.modals.question import QuestionModal
from screenshots.picture import take
from tests.rig.execute import RigError
from tests.rig.rig import Rig, open_rig

FOLDER = Path(__file__).parent
SIZE = (120, 36)
URL = "http://127.0.0.1:8480"
HOSTS = ("web1", "web2", "web3")


def main() -> None:
    """Take all pictures, in directories of their own, and leave nothing running."""
    with tempfile.TemporaryDirectory(prefix="aiconsole-screenshots-") as home:
        os.environ.update(HOME=home, LANG="C.UTF-8", TERM="xterm-256color", COLORTERM="truecolor")
        for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
            os.environ[name] = f"{home}/{name.lower()}"
        try:
            rig = open_rig("pictures")
        except RigError as error:
            print(f"no rig here, this machine alone is shown: {error}")
            asyncio.run(_on_this_machine())
        else:
            with rig:
                asyncio.run(_on_rig(rig))
    print("\n".join(str(path) for path in sorted(FOLDER.glob("*.svg"))))


async def _on_rig(rig: Rig) -> None:
    hosts = dict(zip(HOSTS, rig.boot(*HOSTS), strict=True))
    _write_fleet({name: host.address for name, host in hosts.items()}, str(rig.key_path))
    async with _console() as (app, pilot):
        await _trust_hosts(app, pilot)
        await _until(pilot, lambda: _all_up(app, HOSTS), "all hosts up")
        await _deploy(app, pilot, "web1")
        await pilot.press("q")
        await _deploy(app, pilot, "web2", picture=False)
        async with _load(app, "web1", 6), _load(app, "web2", 2):
            await asyncio.sleep(45)
            rig.destroy(hosts["web3"])
            await _until(pilot, lambda: _reach(app, "web3") == "unreachable", "web3 dead")
            await pilot.press("q", "g")
            await _picture(app, pilot, "fleet")
            await pilot.press("enter")
            await _picture(app, pilot, "host")
            await pilot.press("1")
            await _picture(app, pilot, "latency")
            await pilot.press("escape", "r")
            await _answer(app, pilot)
            await _until(pilot, lambda: not app.state.working, "the restart")
            await _picture(app, pilot, "restart")
        await pilot.press("question_mark")
        await _picture(app, pilot, "help")


async def _on_this_machine() -> None:
    async with _console() as (app, pilot):
        await _until(pilot, lambda: _all_up(app, (LOCALHOST,)), "this machine")
        await _deploy(app, pilot, LOCALHOST)
        async with _load(app, LOCALHOST, 2):
            await asyncio.sleep(30)
            await pilot.press("q")
            await _picture(app, pilot, "fleet")
            await pilot.press("enter")
            await _picture(app, pilot, "host")
        await pilot.press("s")
        await _answer(app, pilot)
        await _until(pilot, lambda: not app.state.working, "the stop")


@contextlib.asynccontextmanager
async def _console() -> AsyncIterator[tuple[ConsoleApp, Pilot[None]]]:
    from aiconsole.services import open_services

    app = ConsoleApp(open_services, theme_name="dark", interval_s=1.0)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        yield app, pilot


async def _deploy(app: ConsoleApp, pilot: Pilot[None], name: str, picture: bool = True) -> None:
    app.run_typed(f"deploy {name}")
    await _until(pilot, lambda: isinstance(app.screen, QuestionModal), "the plan")
    if picture:
        await _picture(app, pilot, "plan")
    await pilot.press("y")
    await _until(pilot, lambda: not app.state.working, f"the deploy to {name}")
    if picture:
        await _picture(app, pilot, "deploy")


async def _answer(app: ConsoleApp, pilot: Pilot[None]) -> None:
    await _until(pilot, lambda: isinstance(app.screen, QuestionModal), "the question")
    await pilot.press("y")


async def _trust_hosts(app: ConsoleApp, pilot: Pilot[None]) -> None:
    for name in HOSTS:
        await _until(pilot, partial(_is_refused, app, name), "an unknown key")
        app.run_typed(f"trust {name}")
        await _answer(app, pilot)
        await _until(pilot, lambda: not isinstance(app.screen, QuestionModal), "the answer")


@contextlib.asynccontextmanager
async def _load(app: ConsoleApp, name: str, clients: int) -> AsyncIterator[None]:
    """Clients on the host itself, for as long as the pictures need them."""
    from aiconsole.session.command import Command

    services = app.bridge.services
    session = await services.pool.session(services.inventory.get(name))
    script = (FOLDER / "load.py").read_bytes()
    command = Command(("python3", "-", URL, str(clients), "90"), script, timeout_s=180)
    asking = asyncio.create_task(session.run(command))
    try:
        yield
    finally:
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking


async def _picture(app: ConsoleApp, pilot: Pilot[None], name: str) -> None:
    app.clear_notifications()
    await pilot.pause(1.2)
    take(app, name, FOLDER)


async def _until(pilot: Pilot[None], condition: Callable[[], bool], what: str) -> None:
    for _ in range(1800):
        if condition():
            return
        await pilot.pause(0.1)
    take(pilot.app, "failed", Path(tempfile.gettempdir()))  # type: ignore[arg-type]
    sys.exit(f"waited three minutes for {what}")


def _reach(app: ConsoleApp, name: str) -> str:
    view = app.state.snapshot.host(name)
    return view.sample.reach if view is not None else ""


def _is_refused(app: ConsoleApp, name: str) -> bool:
    return _reach(app, name) == "refused"


def _all_up(app: ConsoleApp, names: tuple[str, ...]) -> bool:
    return all(_reach(app, name) == "up" for name in names)


def _write_fleet(addresses: dict[str, str], key: str) -> None:
    from aiconsole.paths import hosts_file

    tables = (
        f'[hosts.{name}]\naddress = "{address}"\nuser = "root"\nidentity_files = ["{key}"]\n'
        for name, address in addresses.items()
    )
    hosts_file().write_text("\n".join(tables))


if __name__ == "__main__":
    main()
