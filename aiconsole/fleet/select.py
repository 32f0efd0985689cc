"""Choosing hosts by name, glob, `@group` and `tag=value`."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from aiconsole.errors import UnknownHostError
from aiconsole.fleet.host import Host
from aiconsole.fleet.inventory import Inventory

_GLOB_SIGNS = frozenset("*?[")


def select_hosts(inventory: Inventory, selectors: Sequence[str]) -> tuple[Host, ...]:
    """Return the hosts that any selector names, each once, in the order of the selectors.

    Raises:
        UnknownHostError: A selector names nothing; the hint has the nearest name.
    """
    chosen: dict[str, Host] = {}
    for selector in selectors:
        for host in _select(inventory, selector):
            chosen.setdefault(host.name, host)
    return tuple(chosen.values())


def _select(inventory: Inventory, selector: str) -> tuple[Host, ...]:
    if selector.startswith("@"):
        found = tuple(host for host in inventory.hosts if selector[1:] in host.groups)
    elif "=" in selector:
        tag, _, value = selector.partition("=")
        found = tuple(host for host in inventory.hosts if host.tags.get(tag) == value)
    elif _GLOB_SIGNS & set(selector):
        found = tuple(host for host in inventory.hosts if fnmatchcase(host.name, selector))
    else:
        return (inventory.get(selector),)
    if not found:
        raise UnknownHostError(
            f"No host of the fleet fits {selector}", _what_there_is(inventory, selector),
            "aiconsole hosts list shows names, groups and tags.",
        )  # fmt: skip
    return found


def _what_there_is(inventory: Inventory, selector: str) -> str:
    if selector.startswith("@"):
        groups = sorted({group for host in inventory.hosts for group in host.groups})
        return f"groups: {', '.join(groups) or 'none'}"
    if "=" in selector:
        tags = sorted(
            {f"{tag}={value}" for host in inventory.hosts for tag, value in host.tags.items()}
        )
        return f"tags: {', '.join(tags) or 'none'}"
    return f"hosts: {', '.join(host.name for host in inventory.hosts)}"
