"""What a slot did: counted while it runs, left behind as tally.json when it ends."""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from aiconsole.onhost.inferd.verify import Verdict

DaemonState: TypeAlias = Literal["starting", "loading", "ready", "draining", "stopped", "failed"]


@dataclass(slots=True)
class Tally:
    """The document of `/admin/status`."""

    slot: str
    release_id: str
    state: DaemonState = "starting"
    instance: str = field(default_factory=lambda: uuid.uuid4().hex)
    """New at each start: tells this process from the one before it."""
    load_s: float = 0.0
    """From start to ready."""
    in_flight: int = 0
    """Requests on the public socket that are being answered."""
    served: int = 0
    """Finished requests on the public socket; looks at health and metrics are not counted."""
    failed: int = 0
    """Of the public socket: ended 5xx, or broken off by the daemon."""
    reason: str = ""
    model_verified: Verdict = "not-asked"
    engine_restarts: int = 0
    engine_fault: str = ""
    """Why the engine was started again the last time."""
    reload: dict[str, Any] = field(default_factory=dict)
    """What became of the last SIGHUP: `at_unix_s`, `applied`, `needs_swap`, `fault`."""

    def as_json(self) -> dict[str, Any]:
        """The document."""
        return {
            "slot": self.slot,
            "release_id": self.release_id,
            "state": self.state,
            "pid": os.getpid(),
            "instance": self.instance,
            "load_s": round(self.load_s, 3),
            "in_flight": self.in_flight,
            "served": self.served,
            "failed": self.failed,
            "reason": self.reason,
            "model_verified": self.model_verified,
            "engine_restarts": self.engine_restarts,
            "engine_fault": self.engine_fault,
            "reload": self.reload,
        }

    def write(self, path: Path) -> None:
        """Leave the document behind, whole or not at all."""
        draft = path.with_name(path.name + ".part")
        with draft.open("w", encoding="utf-8") as file:
            json.dump(self.as_json(), file)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
