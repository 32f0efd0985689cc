"""The commands that change the service on hosts."""

from __future__ import annotations

from typing import ClassVar

from aiconsole.control.options import DeployOptions, RestartOptions
from aiconsole.errors import RefusedError
from aiconsole.models.find import find_model
from aiconsole.tui.commands import service_options
from aiconsole.tui.commands.command import Command, Takes
from aiconsole.tui.commands.console import Choices, Console, Verb, ViewName
from aiconsole.tui.commands.options import read_options

_ON_HOSTS: frozenset[ViewName] = frozenset({"fleet", "host"})


class Operate(Command):
    """What operations have in common: they need hosts, and a console that may change them."""

    verb: ClassVar[Verb]
    views = _ON_HOSTS
    changes_hosts = True
    takes: ClassVar[Takes] = "hosts"

    def refusal(self, console: Console) -> str:
        """Read-only, no host, or a host that is busy from here."""
        return self.refusal_always(console) or refusal_on(console, console.targets)

    def run(self, console: Console, words: tuple[str, ...]) -> None:
        """Begin it on the named hosts, or on the marked ones."""
        named, values = read_options(words, self.options)
        hosts = known_hosts(console, named) or console.targets
        begin(console, self.verb, hosts, RestartOptions(**values))


def refusal_on(console: Console, hosts: tuple[str, ...]) -> str:
    """Why nothing can be changed on these hosts now."""
    if not console.host_names:
        return "the fleet is empty: add a host with `aiconsole hosts add NAME USER@ADDRESS`"
    if not hosts:
        return "no host is chosen"
    for host in hosts:
        if title := console.busy_with(host):
            return f"{title} is still going on; press v to watch it"
    return ""


def begin(console: Console, verb: Verb, hosts: tuple[str, ...], choices: Choices) -> None:
    """Begin an operation, or say why not.

    Raises:
        RefusedError: No host is chosen, or one is busy.
    """
    if reason := refusal_on(console, hosts):
        raise RefusedError(f"Cannot {verb} now", reason)
    console.begin(verb, hosts, choices)


def known_hosts(console: Console, words: tuple[str, ...]) -> tuple[str, ...]:
    """The hosts of the fleet that the words choose: names, globs, `@group`, `tag=value`.

    Raises:
        RefusedError: One of them chooses nothing.
    """
    for word in words:
        plain = not (set("*?[=") & set(word) or word.startswith("@"))
        if plain and word not in console.host_names:
            raise RefusedError(
                "No such host", f"{word} is not in the fleet", "Tab completes the names of hosts"
            )
    return console.select(words) if words else ()


class Deploy(Operate):
    """Deploy the service to the marked hosts, or to this one: plan, question, live progress."""

    name, label, keys, verb = "deploy", "deploy", ("d",), "deploy"
    options = service_options.DEPLOY

    def run(self, console: Console, words: tuple[str, ...]) -> None:
        """Begin it on the named hosts, or on the marked ones."""
        named, values = read_options(words, self.options)
        hosts = known_hosts(console, named) or console.targets
        model, name = find_model(values.get("model"), values.get("model_name", ""))
        values |= {"model": model, "model_name": name}
        begin(console, self.verb, hosts, DeployOptions(**values))


class Restart(Operate):
    """Restart the service without losing a request."""

    name, label, keys, verb = "restart", "restart", ("r",), "restart"
    options = service_options.SWAP


class Stop(Operate):
    """Drain and stop the service; nobody is served until it is started again."""

    name, label, keys, verb = "stop", "stop", ("s",), "stop"
    options = service_options.STOP


class Start(Operate):
    """Start the service again after a stop."""

    name, label, keys, verb = "start", "start", ("S",), "start"
    options = service_options.START


class Rollback(Operate):
    """Serve with the release before this one, or with the one that is named."""

    name, label, keys, verb = "rollback", "roll back", ("b",), "rollback"
    takes = "host-release"
    options = service_options.SWAP

    def run(self, console: Console, words: tuple[str, ...]) -> None:
        """Take `[HOST] [RELEASE]`: a word that is no host is a release."""
        given, values = read_options(words, self.options)
        named = tuple(word for word in given if word in console.host_names)
        releases = [word for word in given if word not in console.host_names]
        if len(releases) > 1:
            raise RefusedError(
                "One release at a time", f"got {', '.join(releases)}", f"type {self.usage}"
            )
        release_id = releases[0] if releases else ""
        choices = RestartOptions(release_id=release_id, **values)
        begin(console, self.verb, named or console.targets, choices)
