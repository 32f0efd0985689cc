"""What a layer must fit: the host's processor, Python and C library."""

from __future__ import annotations

from dataclasses import dataclass

from aiconsole.errors import BundleError

ARCHITECTURES = ("x86_64", "aarch64")
OLDEST_PYTHON = (3, 10)
_GLIBC_MINORS = (17, 28, *range(31, 41))
"""The glibc 2.x versions that uv knows as manylinux platforms."""


@dataclass(frozen=True, slots=True)
class Platform:
    """One kind of host, as far as Python wheels tell hosts apart."""

    architecture: str
    """As `uname -m` says it: x86_64 or aarch64."""
    python: str
    """Major and minor version of the host's interpreter: `3.11`."""
    glibc: str
    """Version of the host's C library, `2.36`; empty where it has another one (musl)."""

    def __str__(self) -> str:
        library = f"glibc {self.glibc}" if self.glibc else "a C library that is not glibc"
        return f"{self.architecture}, Python {self.python}, {library}"

    @property
    def wheel_platform(self) -> str:
        """The newest platform of uv whose wheels run on such a host.

        Raises:
            BundleError: There are no wheels for such a host.
        """
        if self.architecture not in ARCHITECTURES:
            raise self._unsupported(f"the processor must be {' or '.join(ARCHITECTURES)}")
        if _numbers(self.python) < OLDEST_PYTHON:
            raise self._unsupported("Python must be 3.10 or newer")
        major, minor = _numbers(self.glibc)
        known = [known for known in _GLIBC_MINORS if known <= minor]
        if major != 2 or not known:
            raise self._unsupported("the C library must be glibc 2.17 or newer")
        return f"{self.architecture}-manylinux_2_{known[-1]}"

    def _unsupported(self, need: str) -> BundleError:
        return BundleError("No packages exist for such a host", f"{self}: {need}")


def _numbers(version: str) -> tuple[int, int]:
    """Major and minor version; (0, 0) where the text is none."""
    parts = version.split(".")
    if len(parts) < 2 or not (parts[0].isdigit() and parts[1].isdigit()):
        return (0, 0)
    return (int(parts[0]), int(parts[1]))
