"""What a file would become, as a unified diff that fits on a screen."""

from __future__ import annotations

_MOST_LINES = 200
_MOST_CHARACTERS = 16_000


def unified(path: str, before: bytes, after: bytes) -> str:
    """The diff of two texts, cut with a line that says how much was left out."""
    # Imported here: most checks find nothing changed, and the import costs more than they do.
    import difflib

    lines = list(
        difflib.unified_diff(
            _lines(before),
            _lines(after),
            f"{path} (now)" if before else "/dev/null",
            f"{path} (planned)",
            lineterm="",
        )
    )
    shown: list[str] = []
    size = 0
    for line in lines:
        size += len(line) + 1
        if len(shown) == _MOST_LINES or size > _MOST_CHARACTERS:
            shown.append(f"... {len(lines) - len(shown)} more lines")
            break
        shown.append(line)
    return "\n".join(shown)


def _lines(content: bytes) -> list[str]:
    return content.decode("utf-8", "replace").splitlines()
