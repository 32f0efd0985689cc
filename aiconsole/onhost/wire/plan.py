"""A plan: what would change on a host, as data, one dataclass for each kind of step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from aiconsole.onhost.wire.layout import HostLayout

WIRE_VERSION = 1
"""Raised with every change that an older runner could misread; a runner refuses another one."""

SwapMode: TypeAlias = Literal["overlap", "held"]
"""`overlap`: both slots run at once. `held`: the old one stops first while the socket queues."""


@dataclass(frozen=True, slots=True)
class Step:
    """What every kind of step has."""

    kind: ClassVar[str] = ""
    id: str
    """Unique in its plan, a stable short name such as `layer-gateway`."""
    title: str
    """What it does, as the operator reads it: `Unpack the engine (102 MB)`."""


@dataclass(frozen=True, slots=True)
class DirectoryStep(Step):
    """A directory with its mode and owner. Undo removes it if it was created and is empty."""

    kind: ClassVar[str] = "directory"
    path: str
    mode: int = 0o755
    owner: str = ""
    """User name; empty keeps the runner's own."""


@dataclass(frozen=True, slots=True)
class FileStep(Step):
    """A small text file. Replaced atomically; undo brings back what was there."""

    kind: ClassVar[str] = "file"
    path: str
    content: str
    mode: int = 0o644
    owner: str = ""
    create_only: bool = False
    """Leave a file that is there as it is: client keys outlive releases."""


@dataclass(frozen=True, slots=True)
class SymlinkStep(Step):
    """A symbolic link, switched with rename(2)."""

    kind: ClassVar[str] = "symlink"
    path: str
    target: str


@dataclass(frozen=True, slots=True)
class UnpackStep(Step):
    """A layer: the uploaded tar.gz `upload` becomes the read-only directory `path`."""

    kind: ClassVar[str] = "unpack"
    path: str
    upload: str
    sha256: str
    unpacked_bytes: int
    """Of the tree, for the check of free space."""


@dataclass(frozen=True, slots=True)
class PlaceStep(Step):
    """A model: the uploaded file `upload` is moved to `path`, world-readable."""

    kind: ClassVar[str] = "place"
    path: str
    upload: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class UserStep(Step):
    """A system user without a shell. Undo removes it if it was created."""

    kind: ClassVar[str] = "user"
    name: str
    groups: tuple[str, ...] = ()
    """Supplementary groups to join where they exist on the host (`video` for GPUs)."""


@dataclass(frozen=True, slots=True)
class UnitStep(Step):
    """A unit file of systemd; local edits belong into drop-ins, which are left alone."""

    kind: ClassVar[str] = "unit"
    name: str
    content: str
    enable: bool = False
    start: bool = False
    """Start it if it is not active. A running unit is never restarted by this step."""
    restart_on_change: bool = False
    """Stop and start it where the content changed; a socket only where its address moves."""


@dataclass(frozen=True, slots=True)
class CredentialStep(Step):
    """A secret for the service: encrypted by systemd-creds, or a 0600 file under the keeper."""

    kind: ClassVar[str] = "credential"
    name: str
    """Name of the credential, and of the secret that travels beside the plan."""
    path: str
    owner: str = ""
    brought: bool = True
    """A value travels with the run; without one the credential has to lie there already."""


@dataclass(frozen=True, slots=True)
class RequireStep(Step):
    """Files that lie on the host already and that the service will open; changes nothing."""

    kind: ClassVar[str] = "require"
    paths: tuple[str, ...]
    reader: str = ""
    """User of the service; empty for the runner's own. One that is not there yet is nobody."""
    hidden: tuple[str, ...] = ()
    """Directories that the service's unit does not let it see."""


@dataclass(frozen=True, slots=True)
class CommandStep(Step):
    """A program to run, with its own check and undo."""

    kind: ClassVar[str] = "command"
    argv: tuple[str, ...]
    check_argv: tuple[str, ...] = ()
    """Exits with 0 where nothing is to do; empty means: always run."""
    undo_argv: tuple[str, ...] = ()
    timeout_s: float = 300.0


@dataclass(frozen=True, slots=True)
class SmokePrompt:
    """A question that a new release must answer well before it serves anybody."""

    prompt: str
    expect: str = ""
    """Text that the answer must hold; empty is any."""
    matches: str = ""
    """Regular expression that must be found in the answer; empty is any."""
    max_tokens: int = 64
    chat: bool = True
    """Asked as a chat; False has the prompt continued."""
    timeout_s: float = 60.0


@dataclass(frozen=True, slots=True)
class SwapStep(Step):
    """Make `release_id` the one that serves, in the idle slot, without losing a request.

    Links the idle slot, starts it, waits until it is ready, has it answer a real completion,
    then drains the old slot. Undo serves with the old slot again.
    """

    kind: ClassVar[str] = "swap"
    layout: HostLayout
    release_id: str
    """Empty with `stop_all`."""
    mode: SwapMode = "overlap"
    force: bool = False
    """Swap even where this release serves already: a restart."""
    ready_timeout_s: float = 600.0
    drain_timeout_s: float = 60.0
    max_tokens: int = 8
    """Length of the completion that proves the new slot."""
    expected_stall_s: float = 0.0
    """For `held`: what was announced to the operator, from the last load."""
    address: str = ""
    """`host:port` that clients use; the runner's own probe measures the swap there."""
    smoke: tuple[SmokePrompt, ...] = ()
    """What the new slot must answer before clients reach it alone."""
    force_after: tuple[str, ...] = ()
    """Ids of steps that a running daemon does not feel: where this run has done one, it swaps."""


@dataclass(frozen=True, slots=True)
class StopStep(Step):
    """Drain and stop every slot and close the socket. Undo starts them again."""

    kind: ClassVar[str] = "stop"
    layout: HostLayout
    drain_timeout_s: float = 60.0


@dataclass(frozen=True, slots=True)
class HealthStep(Step):
    """A real completion from the slot that serves; changes nothing."""

    kind: ClassVar[str] = "health"
    layout: HostLayout
    timeout_s: float = 60.0
    max_tokens: int = 8


@dataclass(frozen=True, slots=True)
class WatchStep(Step):
    """Look at the slot that a swap of this run has brought; a failure takes the swap back.

    Changes nothing. Where this run swapped nothing there is nothing to watch.
    """

    kind: ClassVar[str] = "watch"
    layout: HostLayout
    seconds: float = 10.0
    swap: str = "swap"
    """Id of the swap's step."""
    max_failed_ratio: float = 0.1
    """Share of the new slot's requests that may fail."""
    min_requests: int = 20
    """Fewer requests say nothing about that share."""


LOOKS_ONLY = (HealthStep, WatchStep, RequireStep)
"""Kinds of step that change nothing on a host."""


@dataclass(frozen=True, slots=True)
class PruneStep(Step):
    """Remove layers, releases, models and uploads that nothing of `keep` refers to."""

    kind: ClassVar[str] = "prune"
    layout: HostLayout
    keep_releases: int = 5
    """The newest ones stay, and always what a slot points to."""


STEP_KINDS: dict[str, type[Step]] = {
    cls.kind: cls
    for cls in (DirectoryStep, FileStep, SymlinkStep, UnpackStep, PlaceStep, UserStep, UnitStep,
                CredentialStep, RequireStep, CommandStep, SwapStep, StopStep, HealthStep,
                WatchStep, PruneStep)
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """What would change on a host, as data."""

    run_id: str
    """Unique: time in UTC and a random part, `20261120T165700Z-3f9a2c`."""
    title: str
    """`Deploy builtin-3f9a2c81 to web1`."""
    lock: str
    """Name of what the run holds alone on the host: the unit is `aiconsole-run-<lock>`."""
    layout: HostLayout
    steps: tuple[Step, ...]
    operator: str = ""
    """`user@machine` of the console that started it, shown to whom finds the lock held."""
    wire_version: int = WIRE_VERSION
