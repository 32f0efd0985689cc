"""Where things lie on a host, and the names that both wings give them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

RuntimeName: TypeAlias = Literal["systemd", "keeper"]
SlotName: TypeAlias = Literal["a", "b"]


@dataclass(frozen=True, slots=True)
class HostLayout:
    """The directories of one installation on a host, all absolute."""

    runtime: RuntimeName
    opt: str
    """Layers, releases, slots and tools."""
    var: str
    """Models, uploads, runs, ledger and state."""
    run: str
    """Sockets and pid files; gone after a reboot."""
    etc: str
    """Settings that outlive releases: client keys and credentials."""

    @classmethod
    def system(cls) -> HostLayout:
        """The tree of a root installation under systemd."""
        return cls("systemd", "/opt/aiconsole", "/var/lib/aiconsole", "/run/aiconsole",
                   "/etc/aiconsole")  # fmt: skip

    @classmethod
    def of_user(cls, home: str) -> HostLayout:
        """The tree of an ordinary user, or of a host without systemd."""
        base = f"{home}/.local/share/aiconsole/host"
        return cls("keeper", base, f"{base}/var", f"{base}/run", f"{base}/etc")

    def layer(self, sha256: str) -> str:
        """Directory of an unpacked layer."""
        return f"{self.opt}/layers/{sha256}"

    def release(self, release_id: str) -> str:
        """Directory of a release."""
        return f"{self.opt}/releases/{release_id}"

    def slot(self, slot: str) -> str:
        """Symbolic link from a slot to its release."""
        return f"{self.opt}/slots/{slot}"

    def slot_run(self, slot: str) -> str:
        """Directory of a slot's admin socket (`admin.sock`) and last tally (`tally.json`)."""
        return f"{self.run}/slot-{slot}"

    def model(self, sha256: str) -> str:
        """A model file, named by its digest."""
        return f"{self.var}/models/{sha256}.gguf"

    def upload(self, sha256: str) -> str:
        """An uploaded and verified file that no step has used yet (`.part` while it arrives)."""
        return f"{self.var}/uploads/{sha256}"

    def run_dir(self, run_id: str) -> str:
        """Directory of a run: plan.json, journal.jsonl, secrets/ while it needs them."""
        return f"{self.var}/runs/{run_id}"

    @property
    def state_file(self) -> str:
        """`ServiceState` as JSON, world-readable: what is deployed and which slot serves."""
        return f"{self.var}/inferd.json"

    @property
    def ledger(self) -> str:
        """One JSON line for each finished run that changed the service."""
        return f"{self.var}/ledger.jsonl"

    @property
    def keys_file(self) -> str:
        """Hashed client keys, 0600, owned by the service's user."""
        return f"{self.etc}/client-keys.json"

    @property
    def credentials(self) -> str:
        """Directory of the service's secrets, each in a file of its name."""
        return f"{self.etc}/credentials"

    def credential(self, name: str) -> str:
        """A secret of the service: encrypted where systemd can, else a 0600 file."""
        return f"{self.credentials}/{name}"
