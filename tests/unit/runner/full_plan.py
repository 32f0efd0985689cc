"""A plan with every kind of step that works in a temporary directory, on a host with a history."""

from __future__ import annotations

from pathlib import Path

from aiconsole.onhost.wire import (
    CommandStep,
    CredentialStep,
    DirectoryStep,
    FileStep,
    PlaceStep,
    Plan,
    SymlinkStep,
    UnpackStep,
)
from tests.unit.runner.place import Place, tar_gz

SECRETS = {"api-key": "swordfish-7"}
LAYER = tar_gz(
    ("pkg/__init__.py", b"A = 1\n"), ("pkg/deep/b.py", b"B = 2\n"), ("pkg/link.py", "deep/b.py")
)
MODEL = b"GGUF" + bytes(range(256)) * 64


def lay_history(place: Place) -> None:
    """What an earlier deploy and an operator left."""
    for old in ("old-release", "opt-in-use"):
        (place.root / "opt" / old).mkdir()
    (place.root / "opt/slot-a").symlink_to("old-release")
    (place.root / "etc/settings.toml").write_text("answer = 41\n")
    (place.root / "etc/settings.toml").chmod(0o640)
    (place.root / "etc/old.cred").write_text("old secret")
    (place.root / "etc/old.cred").chmod(0o600)


def full_plan(place: Place, run_id: str = "") -> Plan:
    """Creates and changes one object of each kind."""
    root = place.root
    layer, layer_sha = place.upload(LAYER)
    model, model_sha = place.upload(MODEL)
    done = root / "var/command-ran"
    return place.plan(
        DirectoryStep("dir", "Directory", str(root / "opt/releases/new"), 0o750),
        DirectoryStep("dir-mode", "Its mode", str(root / "opt/opt-in-use"), 0o700),
        FileStep("file-new", "New file", str(root / "opt/releases/new/release.json"), "{}\n"),
        FileStep("file-old", "Old file", str(root / "etc/settings.toml"), "answer = 42\n", 0o600),
        SymlinkStep("link-new", "New link", str(root / "opt/slot-b"), "releases/new"),
        SymlinkStep("link-old", "Old link", str(root / "opt/slot-a"), "releases/new"),
        UnpackStep("layer", "Layer", place.layout.layer(layer_sha), layer, layer_sha, 12),
        PlaceStep(
            "model", "Model", place.layout.model(model_sha), model, model_sha, len(MODEL)
        ),
        CredentialStep("cred-new", "New secret", "api-key", str(root / "etc/new.cred")),
        CredentialStep("cred-old", "Old secret", "api-key", str(root / "etc/old.cred")),
        CommandStep(
            "command", "Command", ("touch", str(done)), ("test", "-e", str(done)),
            ("rm", str(done)),
        ),
        run_id=run_id,
    )  # fmt: skip


def uploads_of(plan: Plan) -> list[Path]:
    """The uploads that its steps take."""
    return [Path(s.upload) for s in plan.steps if isinstance(s, (UnpackStep, PlaceStep))]
