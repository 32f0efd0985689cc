"""The shapes that cross the line between console and host; all that both wings share.

Everything here is JSON on the wire: a plan and the uploads go out, a check report, the events of
a run and the host's status come back. Standard library only, Python 3.10 or newer.
"""

from aiconsole.onhost.wire.codec import WireError, from_json, to_json
from aiconsole.onhost.wire.events import (
    ChangeKind,
    CheckReport,
    EventKind,
    RunEvent,
    RunOutcome,
    RunSummary,
    StepCheck,
    SwapTally,
    Upload,
)
from aiconsole.onhost.wire.layout import HostLayout, RuntimeName, SlotName
from aiconsole.onhost.wire.plan import (
    STEP_KINDS,
    WIRE_VERSION,
    CommandStep,
    CredentialStep,
    DirectoryStep,
    FileStep,
    HealthStep,
    PlaceStep,
    Plan,
    PruneStep,
    Step,
    StopStep,
    SwapMode,
    SwapStep,
    SymlinkStep,
    UnitStep,
    UnpackStep,
    UserStep,
)
from aiconsole.onhost.wire.service import HostStatus, ServiceState, SlotStatus

__all__ = [
    "STEP_KINDS",
    "WIRE_VERSION",
    "ChangeKind",
    "CheckReport",
    "CommandStep",
    "CredentialStep",
    "DirectoryStep",
    "EventKind",
    "FileStep",
    "HealthStep",
    "HostLayout",
    "HostStatus",
    "PlaceStep",
    "Plan",
    "PruneStep",
    "RunEvent",
    "RunOutcome",
    "RunSummary",
    "RuntimeName",
    "ServiceState",
    "SlotName",
    "SlotStatus",
    "Step",
    "StepCheck",
    "StopStep",
    "SwapMode",
    "SwapStep",
    "SwapTally",
    "SymlinkStep",
    "UnitStep",
    "UnpackStep",
    "Upload",
    "UserStep",
    "WireError",
    "from_json",
    "to_json",
]
