"""Starts inferd from a release: lies beside release.json and settings.toml as launch.py.

Standard library only; the layers bring everything else. The slot through which it was called is
resolved once, so that pointing the slot at another release changes nothing for this process.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> int:
    """Put the release's layers on the path and run the daemon."""
    release = Path(__file__).resolve().parent
    try:
        told = json.loads((release / "release.json").read_text(encoding="utf-8"))
        layers, release_id = [str(layer) for layer in told["layers"]], str(told["id"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"inferd: {release}/release.json cannot be used: {error!r}", file=sys.stderr)
        return 78
    missing = [layer for layer in layers if not Path(layer).is_dir()]
    if missing:
        print(f"inferd: layer {missing[0]} is missing; deploy again", file=sys.stderr)
        return 78
    here = str(release)
    sys.path[:] = layers + [entry for entry in sys.path if entry not in ("", here)]
    from aiconsole.onhost.inferd.__main__ import main as run

    settings = str(release / "settings.toml")
    return run(["--settings", settings, "--release-id", release_id, *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
