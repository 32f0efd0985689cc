"""Secrets by name: files that systemd lays out for the unit, or 0600 files of our own."""

from __future__ import annotations

import os
from pathlib import Path

from aiconsole.onhost.inferd.start_error import StartError

_MAX_BYTES = 64 * 1024


class Secret:
    """A text that shows itself only where it is asked to."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__


class Credentials:
    """The directory in which secrets lie."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    @classmethod
    def of_unit(cls, otherwise: str = "") -> Credentials:
        """Systemd's directory for this unit; `otherwise` where there is none."""
        found = os.environ.get("CREDENTIALS_DIRECTORY") or otherwise
        return cls(Path(found) if found else None)

    def read(self, name: str) -> Secret:
        """One secret, without the line end that an editor leaves.

        Raises:
            StartError: It is missing, empty, not UTF-8, or others may read its file.
        """
        if self._directory is None:
            raise _missing(name, "no directory of credentials was given")
        path = self._directory / name
        try:
            with path.open("rb") as file:
                open_to_others = _is_open(os.fstat(file.fileno()))
                data = file.read(_MAX_BYTES + 1)
            text = data.decode("utf-8").rstrip("\r\n")
        except OSError as error:
            raise _missing(name, f"{path}: {error.strerror or error}") from error
        except UnicodeDecodeError as error:
            raise _missing(name, f"{path} is not UTF-8") from error
        if open_to_others:
            raise _missing(name, f"{path} can be read by others; it needs the mode 0600")
        if not text or len(data) > _MAX_BYTES:
            raise _missing(name, f"{path} is empty or longer than {_MAX_BYTES} bytes")
        return Secret(text)


def _is_open(status: os.stat_result) -> bool:
    """Whether others may read it.

    Systemd lets its reader in by an ACL, which shows as the group's right on a file of root; on a
    file of our own the group is other people.
    """
    ours = status.st_uid == os.geteuid()
    return bool(status.st_mode & (0o077 if ours else 0o007))


def _missing(name: str, detail: str) -> StartError:
    return StartError(
        f"The credential `{name}` cannot be used", detail, "Deploy again with this credential."
    )
