"""Calls the tool as the console does, on this machine or inside a host of the rig, without SSH."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Sequence
from typing import Any

from aiconsole.bundle.packed_tool import build_tool, tool_argv
from aiconsole.onhost.wire import HostLayout, Plan, to_json

Lines = list[dict[str, Any]]


class Caller:
    """One installation's tool."""

    def __init__(
        self,
        layout: HostLayout,
        enter: Callable[..., Sequence[str]] = lambda *argv: argv,
        python: str = "/usr/bin/python3",
    ) -> None:
        self.layout = layout
        self.layout_json = json.dumps(to_json(layout))
        self._enter = enter
        self._python = python

    def open(self, verb: str, *args: str) -> Talk:
        """Start a verb."""
        argv = tool_argv(build_tool(), self.layout, verb, *args, python=self._python)
        return Talk(self._enter(*argv))

    def call(self, verb: str, *args: str, stdin: bytes = b"") -> Lines:
        """Run a verb to its end."""
        with self.open(verb, *args) as talk:
            talk.send(stdin)
            return talk.rest()

    def one(self, verb: str, *args: str, stdin: bytes = b"") -> dict[str, Any]:
        """Run a verb that answers with one line."""
        [line] = self.call(verb, *args, stdin=stdin)
        return line

    def check(self, plan: Plan) -> dict[str, Any]:
        """Check a plan."""
        return self.one("check", stdin=json.dumps(to_json(plan)).encode() + b"\n")

    def start(self, plan: Plan, **secrets: str) -> Lines:
        """Start a plan and follow it to its end; without beats."""
        with self.begin(plan, **secrets) as talk:
            return [line for line in talk.rest() if "beat" not in line]

    def begin(self, plan: Plan, **secrets: str) -> Talk:
        """Start a plan and keep the conversation open."""
        talk = self.open("start")
        request = {"plan": to_json(plan), "secrets": secrets}
        talk.send(json.dumps(request).encode() + b"\n", whole=False)
        return talk

    def follow(self, run_id: str, seq: int = 0) -> Lines:
        """Follow a run to its end; without beats."""
        lines = self.call("follow", run_id, str(seq), self.layout_json)
        return [line for line in lines if "beat" not in line]


class Talk:
    """A verb at work."""

    def __init__(self, argv: Sequence[str]) -> None:
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._in, self._out = self.process.stdin, self.process.stdout
        self.answer = self._out.readline()
        """`HAVE` or `NEED`."""
        if self.answer == b"NEED\n":
            self._in.write(build_tool().content)
            self._in.flush()

    def send(self, data: bytes, whole: bool = True) -> None:
        """Send bytes; `whole` closes stdin after them. A reader that went away is seen later."""
        try:
            self._in.write(data)
            self._in.flush()
            if whole:
                self._in.close()
        except BrokenPipeError:
            return

    def read(self) -> dict[str, Any]:
        """The next line; empty at the end."""
        line = self._out.readline()
        return dict(json.loads(line)) if line else {}

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first line that is wanted."""
        while line := self.read():
            if wanted(line):
                return line
        raise AssertionError("the verb ended before it said what was expected")

    def rest(self) -> Lines:
        """All lines to the end."""
        lines = []
        while line := self.read():
            lines.append(line)
        self.process.wait()
        return lines

    def kill(self) -> None:
        """End the connection at one stroke."""
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, *_: object) -> None:
        watchdog = threading.Timer(30, self.process.kill)
        watchdog.start()
        for stream in (self._in, self._out):
            try:
                stream.close()
            except BrokenPipeError:
                continue
        self.process.wait()
        watchdog.cancel()


def outcome_of(lines: Lines) -> str:
    """How the run ended."""
    return str(lines[-1].get("outcome", lines[-1]))


def fault_of(lines: Lines) -> dict[str, Any]:
    """The fault that ended the verb."""
    return dict(lines[-1].get("fault", {}))
