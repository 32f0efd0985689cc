"""What bare `aiconsole` runs: the screen; nothing of Textual is loaded before it is wanted."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

from aiconsole.cli.mistake import tell_mistake
from aiconsole.errors import SettingsError
from aiconsole.question import Ask

if TYPE_CHECKING:
    from aiconsole.services import Services

MIN_INTERVAL_S = 0.5


def open_screen(
    *,
    interval_s: float = 2.0,
    readonly: bool = False,
    ascii_only: bool = False,
    theme: str = "",
    host: str = "",
    services: Callable[[Ask], AbstractAsyncContextManager[Services]] | None = None,
) -> int:
    """Run the screen until the operator quits; returns the exit code.

    Args:
        interval_s: How often readings are shown.
        readonly: Turn off everything that changes a host.
        ascii_only: Draw with ASCII only; also chosen where the locale knows no UTF-8.
        theme: `dark`, `light`, `terminal` or one of Textual's; empty takes what fits.
        host: Open this host's screen at once.
        services: How the services are opened, where the caller has its own way.

    Raises:
        SettingsError: There is no such theme.
    """
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        print("aiconsole: the screen needs a terminal; try `aiconsole status --json`",
              file=sys.stderr)  # fmt: skip
        return 2
    from aiconsole.tui.app import ConsoleApp
    from aiconsole.tui.present.charset import speaks_unicode
    from aiconsole.tui.theme import theme_names

    if theme and theme not in theme_names():
        raise SettingsError(f"There is no theme {theme}", f"there are {', '.join(theme_names())}")
    app = ConsoleApp(
        services or _open_services,
        interval_s=max(MIN_INTERVAL_S, interval_s),
        readonly=readonly,
        ascii_only=ascii_only or not speaks_unicode(os.environ),
        theme_name=theme,
        first_host=host,
    )
    app.run(mouse="SSH_CONNECTION" not in os.environ)
    if app.broken_by is not None:
        tell_mistake(app.broken_by, as_json=False)
        return SettingsError.exit_code
    return app.return_code or 0


@asynccontextmanager
async def _open_services(ask: Ask) -> AsyncGenerator[Services, None]:
    # Imported after the first frame: asyncssh and its company take longer than the screen.
    from aiconsole.services import open_services

    async with open_services(ask) as services:
        yield services
