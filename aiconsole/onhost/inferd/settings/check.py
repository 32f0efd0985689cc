"""Checks an operator's settings where no daemon runs: on the console, before anything changes.

Run as a process of its own: the console shares no code with the daemon, and still the very same
checks decide. It needs pydantic and nothing else of what the daemon needs.

One JSON document on stdin: `name` and `text` of the file, `foreign` (tables in it that are not the
daemon's), and `decided` (`{table: {key: value}}` that the console puts in). One on stdout: either
`fault`, or `credentials` (names) and `files` (`[key, path]` of what must lie on the host).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from aiconsole.onhost.inferd.settings.file import Settings, check, parse
from aiconsole.onhost.inferd.start_error import StartError


def main() -> int:
    """Answer the document on stdin; the exit status is 0 whatever was found."""
    request = json.load(sys.stdin)
    print(json.dumps(_answer(request)))
    return 0


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    name, text = str(request["name"]), str(request["text"])
    try:
        settings = check(name, text, _whole(name, text, request))
    except StartError as error:
        return {"fault": error.detail}
    return {"credentials": sorted(set(_credentials(settings))), "files": list(_files(settings))}


def _whole(name: str, text: str, request: dict[str, Any]) -> dict[str, Any]:
    """What the daemon will read: the operator's file with what the console decides."""
    tree = parse(name, text)
    for table in request["foreign"]:
        tree.pop(table, None)
    for table, values in request["decided"].items():
        there = tree.setdefault(table, {})
        if isinstance(there, dict):
            there.update(values)
    return tree


def _credentials(settings: Settings) -> Iterator[str]:
    """Names of the secrets that the daemon will ask for."""
    for remote in settings.engine.remotes:
        if remote.credential:
            yield remote.credential
    if settings.cache.redis_password:
        yield settings.cache.redis_password
    if settings.auth.jwt is not None and settings.auth.jwt.secret:
        yield settings.auth.jwt.secret


def _files(settings: Settings) -> Iterator[tuple[str, str]]:
    """Key and path of each file that the daemon will open on its host."""
    found = [("engine.binary", settings.engine.binary)]
    found += [("engine.remotes.ca_file", remote.ca_file) for remote in settings.engine.remotes]
    if settings.tls is not None:
        found.append(("tls.certificate_file", settings.tls.certificate_file))
        found.append(("tls.key_file", settings.tls.key_file))
    if settings.auth.jwt is not None:
        found.append(("auth.jwt.key_file", settings.auth.jwt.key_file))
        found.append(("auth.jwt.jwks_file", settings.auth.jwt.jwks_file))
    command = settings.engine.command
    if command is not None and command.argv[0].startswith("/"):
        found.append(("engine.command.argv", command.argv[0]))
    yield from (pair for pair in found if pair[1])


if __name__ == "__main__":
    sys.exit(main())
