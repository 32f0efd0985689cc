"""One operation that was begun here: its title, and how far it is on each host."""

from __future__ import annotations

from dataclasses import dataclass, field

from aiconsole.control.events import Event
from aiconsole.errors import AiconsoleError
from aiconsole.tui.present.progress import HostProgress

TITLES = {
    "deploy": "Deploy", "restart": "Restart", "rollback": "Roll back", "stop": "Stop",
    "start": "Start", "attach": "Watch a run",
}  # fmt: skip


@dataclass(slots=True)
class Operation:
    """State that the events of an operation leave behind; the screen only draws it."""

    number: int
    verb: str
    host_names: tuple[str, ...]
    begun_unix_s: float
    hosts: dict[str, HostProgress] = field(default_factory=dict)
    run_title: str = ""
    """What a run is called that was begun elsewhere."""
    ended: bool = False
    error: AiconsoleError | None = None
    """Why it ended by surprise, beside the results of its hosts."""

    def __post_init__(self) -> None:
        for name in self.host_names:
            self.hosts.setdefault(name, HostProgress(name))

    @property
    def title(self) -> str:
        """`Deploy to web1, web2`."""
        if self.run_title:
            return self.run_title
        names = ", ".join(self.host_names[:3])
        more = f" and {len(self.host_names) - 3} more" if len(self.host_names) > 3 else ""
        link = {"deploy": " to ", "attach": " on "}.get(self.verb, " ")
        return f"{TITLES[self.verb]}{link}{names}{more}"

    def is_run(self, host: str, run_id: str) -> bool:
        """True where this run of the host goes on here, or is known to its end."""
        progress = self.hosts.get(host)
        if progress is None or not run_id or progress.run_id != run_id:
            return False
        known = progress.result is not None and progress.result.outcome != "unknown"
        return known or not self.ended

    def take(self, event: Event, now_s: float) -> None:
        """Fold one event into the state of its host."""
        before = self.hosts.get(event.host, HostProgress(event.host))
        self.hosts[event.host] = before.after(event, now_s)

    def end(self, error: AiconsoleError | None) -> None:
        """Nothing more will be told."""
        self.ended = True
        self.error = error
