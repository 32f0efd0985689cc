"""Hosts by hand: `python -m tests.rig up 3`, `shell web1`, `list`, `down`."""

from __future__ import annotations

import argparse
import os
import sys

from tests.rig.execute import RigError
from tests.rig.place import ROOT, all_rigs, kept_mark
from tests.rig.rig import Rig, open_rig, ssh_config
from tests.rig.tree import tree

DEFAULT_NAME = "hand"


def _rig_name() -> str:
    return os.environ.get("AICONSOLE_RIG") or DEFAULT_NAME


def _show(rig: Rig) -> None:
    home = ROOT / rig.name
    for host in rig.hosts:
        print(ssh_config(host))
    print(f"# rig {rig.name}; hosts: " + " ".join(f"{h.name}={h.address}" for h in rig.hosts))
    print(f"# key of root on every host: {rig.key_path}")
    print(f"# the lines above: {home}/ssh_config   their host keys: {home}/known_hosts")
    for host in rig.hosts[:1]:
        print(f"# log in:    ssh -F {home}/ssh_config {host.name}")
        print(f"# or inside, without ssh:  python -m tests.rig shell {host.name}")
        print(f"# aiconsole: aiconsole hosts add {host.name} root@{host.address}")
    print("# take away: python -m tests.rig down" + _said())


def _said() -> str:
    given = os.environ.get("AICONSOLE_RIG")
    return f"   (with AICONSOLE_RIG={given})" if given else ""


def _up(count: int | None, names: list[str]) -> None:
    rig = open_rig(_rig_name(), keep=True)
    with rig:
        if names:
            rig.boot(*names)
        if count or not names:
            rig.fresh(count or 1)
        _show(rig)


def _there() -> Rig:
    if _rig_name() not in all_rigs():
        raise RigError(f"there is no rig {_rig_name()}; boot one: python -m tests.rig up")
    return open_rig(_rig_name(), keep=True)


def _down(names: list[str]) -> None:
    with _there() as rig:
        rig.destroy(*[rig.host(name) for name in names])
        if not names:
            kept_mark(rig.name).unlink()


def _list() -> None:
    for name in all_rigs():
        hosts = sorted(path.parent.name for path in (ROOT / name).glob("hosts/*/host.json"))
        state = "kept" if kept_mark(name).exists() else "of a running or killed process"
        print(f"{name}: {' '.join(hosts) or 'no hosts'} ({state}); {ROOT / name}/ssh_config")


def _shell(name: str) -> None:
    with _there() as rig:
        argv = rig.host(name).enter("/bin/bash", "--login")
    os.execvp(argv[0], argv)


def main() -> int:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.rig",
        description="Real Debian hosts on this machine. Run it as root. AICONSOLE_RIG names the rig"
        f" (default: {DEFAULT_NAME}); rigs of different names do not disturb one another.",
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    up = verbs.add_parser("up", help="boot hosts that stay until `down`")
    up.add_argument("count", nargs="?", type=int, help="how many, named web1, web2, ...")
    up.add_argument("--name", action="append", default=[], help="boot one of this name (repeat)")
    down = verbs.add_parser("down", help="take away the named hosts, or the whole rig")
    down.add_argument("names", nargs="*")
    verbs.add_parser("list", help="all rigs on this machine")
    verbs.add_parser("show", help="ssh_config and addresses of the rig's hosts")
    verbs.add_parser("tree", help="build the tree that hosts stand on, if it is not there yet")
    shell = verbs.add_parser("shell", help="a root shell inside a host, without ssh")
    shell.add_argument("name")
    chosen = parser.parse_args()
    try:
        if chosen.verb == "up":
            _up(chosen.count, chosen.name)
        elif chosen.verb == "down":
            _down(chosen.names)
        elif chosen.verb == "list":
            _list()
        elif chosen.verb == "tree":
            print(f"the rig's tree: {tree()}")
        elif chosen.verb == "show":
            with _there() as rig:
                _show(rig)
        else:
            _shell(chosen.name)
    except RigError as error:
        print(f"rig: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
