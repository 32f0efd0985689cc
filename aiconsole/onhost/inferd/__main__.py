"""Entry point: `python -m aiconsole.onhost.inferd`, or launch.py of a release."""

from __future__ import annotations

import argparse
import asyncio
import logging
import resource
import socket
import sys
from pathlib import Path

import uvloop

from aiconsole.onhost.inferd import settings as settings_file
from aiconsole.onhost.inferd.credentials import Credentials
from aiconsole.onhost.inferd.daemon import EXIT_CONFIG, EXIT_FAILED, Daemon, Place
from aiconsole.onhost.inferd.network import sockets
from aiconsole.onhost.inferd.notify import Notifier
from aiconsole.onhost.inferd.start_error import StartError

_MANY_FILES = 65536


def main(argv: list[str] | None = None) -> int:
    """Run the daemon until it is told to stop; the exit status."""
    options = _parser().parse_args(argv)
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s"
    )
    # Hostile clients must not fill the log: what they send is answered, and counted.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    notifier = Notifier()
    _allow_many_connections()
    try:
        settings = settings_file.load(options.settings)
        place = Place(
            options.slot, options.release_id, options.run_dir, _socket(options.listen),
            Credentials.of_unit(options.credentials),
            options.settings,
        )  # fmt: skip
        place.run_dir.mkdir(parents=True, exist_ok=True)
    except StartError as error:
        return _refused(error, notifier)
    except OSError as error:
        return _refused(StartError("The run directory cannot be made", str(error)), notifier)
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(_live(settings, place, notifier))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _allow_many_connections() -> None:
    """Each connection is a file; the usual soft limit of 1024 is far below what is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MANY_FILES if hard == resource.RLIM_INFINITY else min(hard, _MANY_FILES)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _live(settings: settings_file.Settings, place: Place, notifier: Notifier) -> int:
    try:
        return await Daemon(settings, place, notifier).run()
    except StartError as error:
        return _refused(error, notifier)


def _refused(error: StartError, notifier: Notifier) -> int:
    notifier.status(f"failed: {error}")
    logging.getLogger("inferd").error("%s%s", error, f" - {error.hint}" if error.hint else "")
    return EXIT_CONFIG if error.permanent else EXIT_FAILED


def _socket(listen: str) -> socket.socket:
    handed = sockets.handed_over()
    if handed is not None:
        return handed
    if not listen:
        raise StartError(
            "There is nothing to listen on", "no socket was handed over and --listen is not given",
            "Start it by its service, or add --listen 127.0.0.1:8000.", permanent=True,
        )  # fmt: skip
    return sockets.listen_on(listen)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="inferd", description="Serve one model over HTTP.")
    parser.add_argument("--settings", type=Path, required=True, help="settings.toml of the release")
    parser.add_argument("--release-id", default="by-hand")
    parser.add_argument("--slot", default="a", choices=("a", "b"))
    parser.add_argument("--run-dir", type=Path, required=True, help="directory of the admin socket")
    parser.add_argument("--listen", default="", help="host:port, where no socket is handed over")
    parser.add_argument(
        "--credentials", default="", help="directory of 0600 files, where systemd lays out none"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
