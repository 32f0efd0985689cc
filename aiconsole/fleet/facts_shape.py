"""The shape of what is known about a host."""

from __future__ import annotations

from dataclasses import dataclass

CPU_FLAGS = ("avx2", "fma", "f16c", "bmi2")
"""Instructions that the engine's x86-64 build uses."""


@dataclass(frozen=True, slots=True)
class Space:
    """The filesystem under one directory (or under its nearest existing parent)."""

    path: str
    total_bytes: int
    free_bytes: int
    free_inodes: int | None
    """None where the filesystem has no fixed number of them."""
    mount: str
    read_only: bool
    noexec: bool


@dataclass(frozen=True, slots=True)
class Listener:
    """One listening TCP socket."""

    address: str
    port: int
    program: str
    """Empty where it belongs to another user, so that its name is not visible."""


@dataclass(frozen=True, slots=True)
class Facts:
    """A host as it was at one moment; everything it says about itself is plain text."""

    hostname: str
    os_id: str
    """`debian`, `ubuntu`, ...; empty where the host does not say."""
    os_version: str
    os_pretty_name: str
    kernel: str
    architecture: str
    """As `uname -m` says it: `x86_64`, `aarch64`."""
    glibc: str
    """`2.36`; empty where libc is another one."""
    python_path: str
    """Empty where there is no python3."""
    python_version: tuple[int, int, int] | None
    cpu_count: int
    cpu_model: str
    cpu_flags: tuple[str, ...]
    """Those of `CPU_FLAGS` that the processor has."""
    memory_total_bytes: int
    memory_available_bytes: int
    memory_limit_bytes: int | None
    """Smallest limit of the cgroups around the login; None where there is none."""
    systemd_version: int | None
    """None where systemd does not run the host."""
    uid: int
    user: str
    home: str
    has_sudo: bool
    """True where the program is there; whether it lets the user pass is another question."""
    spaces: tuple[Space, ...]
    """For /, /opt, /var, what aiconsole has in them, /tmp and the home directory."""
    listeners: tuple[Listener, ...]
    has_libgomp: bool
    nvidia_driver: str
    """Version of the kernel's driver; empty where there is none."""
    has_nvidia_device: bool
    uptime_s: float
    clock_unix_s: float
    clock_offset_s: float
    """How far the host's clock is ahead of this machine's."""
    clock_error_s: float
    """The part of the round trip that nobody can assign: the offset is true to half of it."""
    has_systemd_creds: bool = False
    """Whether secrets can rest encrypted there."""

    @property
    def has_systemd(self) -> bool:
        """True where systemd runs the host."""
        return self.systemd_version is not None

    @property
    def missing_cpu_flags(self) -> tuple[str, ...]:
        """Those of `CPU_FLAGS` that an x86-64 processor lacks; other architectures need none."""
        if self.architecture != "x86_64":
            return ()
        return tuple(flag for flag in CPU_FLAGS if flag not in self.cpu_flags)

    @property
    def usable_memory_bytes(self) -> int:
        """Available memory within the cgroup's limit."""
        limit = self.memory_limit_bytes
        return self.memory_available_bytes if limit is None else min(
            limit, self.memory_available_bytes
        )  # fmt: skip

    def space_at(self, path: str) -> Space | None:
        """Return the filesystem under a path, by the longest directory that was looked at."""
        inside = [
            space
            for space in self.spaces
            if path == space.path or path.startswith(space.path.rstrip("/") + "/")
        ]
        return max(inside, key=lambda space: len(space.path), default=None)

    def listener_on(self, port: int) -> Listener | None:
        """Return who listens on a port."""
        return next((one for one in self.listeners if one.port == port), None)
