"""Each kind of step alone: what check says of good and bad places."""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from aiconsole.onhost.runner.steps.kind import StepError
from aiconsole.onhost.runner.steps.ownership import ids_for
from aiconsole.onhost.wire import (
    CommandStep,
    CredentialStep,
    DirectoryStep,
    FileStep,
    PlaceStep,
    RequireStep,
    StepCheck,
    SymlinkStep,
    UnpackStep,
    UserStep,
)
from tests.unit.runner.place import Place, kinds, outcome, tar_gz

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def test_the_check_of_a_file_is_a_unified_diff(place: Place) -> None:
    path = place.root / "etc/settings.toml"
    path.write_text("one\ntwo\nthree\n")
    [check] = place.check(FileStep("f", "F", str(path), "one\n2\nthree\n"))
    assert (check.change, check.problem) == ("change", "")
    assert check.diff.splitlines() == [
        f"--- {path} (now)", f"+++ {path} (planned)", "@@ -1,3 +1,3 @@",
        " one", "-two", "+2", " three",
    ]  # fmt: skip
    assert path.read_text() == "one\ntwo\nthree\n"


def test_a_long_diff_is_cut_and_says_so(place: Place) -> None:
    text = "".join(f"line {n}\n" for n in range(1_000))
    [check] = place.check(FileStep("f", "F", str(place.root / "etc/f"), text))
    lines = check.diff.splitlines()
    assert len(lines) == 201
    assert lines[-1] == "... 803 more lines"


def test_the_content_of_a_private_file_is_not_shown(place: Place) -> None:
    [check] = place.check(FileStep("f", "F", str(place.root / "etc/f"), "sesame", 0o600))
    assert (check.change, check.diff) == ("create", "")


def test_a_file_of_another_mode_is_a_change(place: Place) -> None:
    path = place.root / "etc/f"
    path.write_text("x")
    path.chmod(0o666)
    [check] = place.check(FileStep("f", "F", str(path), "x"))
    assert check == StepCheck("f", "change", note="mode 0666 -> 0644")


def test_a_file_that_is_only_created_stays_as_it_is(place: Place) -> None:
    path = place.root / "etc/keys.json"
    path.write_text("mine")
    step = FileStep("f", "F", str(path), "yours", create_only=True)
    assert place.check(step)[0].change == "none"
    path.unlink()
    assert place.check(step)[0].change == "create"


@root_only
def test_files_and_directories_get_their_owner_and_give_it_back(place: Place) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    path, directory = place.root / "etc/f", place.root / "opt/d"
    path.write_text("x")
    directory.mkdir()
    steps = (
        FileStep("f", "F", str(path), "x", 0o600, "nobody"),
        DirectoryStep("d", "D", str(directory), 0o700, "nobody"),
    )
    note = "mode 0644 -> 0600, owner root -> nobody"
    assert place.check(*steps)[0].note == note
    before = place.snapshot()
    assert outcome(place.run(place.plan(*steps))) == "done"
    assert {path.stat().st_uid, directory.stat().st_uid} == {nobody}
    path.chmod(0o644)
    os.chown(path, 0, 0)
    os.chown(directory, 0, 0)
    directory.chmod(0o755)
    boom = CommandStep("boom", "Boom", ("false",))
    assert outcome(place.run(place.plan(*steps, boom))) == "undone"
    assert place.snapshot() == before


def test_a_user_that_an_earlier_step_makes_is_no_problem(place: Place) -> None:
    user = UserStep("u", "U", "aiconsole-none")
    file = FileStep("f", "F", str(place.root / "etc/f"), "x", 0o600, "aiconsole-none")
    assert place.check(user, file)[1] == StepCheck("f", "create", note="1 bytes")
    assert "no user aiconsole-none" in place.check(file)[0].problem
    with pytest.raises(StepError, match="no user aiconsole-none"):
        ids_for("aiconsole-none")


def test_a_file_in_a_directory_that_an_earlier_step_makes(place: Place) -> None:
    file = FileStep("f", "F", str(place.root / "opt/new/deep/f"), "x")
    directory = DirectoryStep("d", "D", str(place.root / "opt/new/deep"))
    assert [c.problem for c in place.check(directory, file)] == ["", ""]
    assert "does not exist" in place.check(file)[0].problem


@pytest.mark.parametrize("kind", [FileStep, SymlinkStep, DirectoryStep])
def test_something_else_in_the_place_is_a_problem(place: Place, kind: type) -> None:
    path = place.root / "etc/x"
    if kind is FileStep:
        path.mkdir()
    else:
        path.write_text("x")
    arguments = () if kind is DirectoryStep else ("x",)
    assert str(path) in place.check(kind("s", "S", str(path), *arguments))[0].problem


def test_a_problem_found_at_work_undoes_the_run(place: Place) -> None:
    (place.root / "etc/x").mkdir()
    events = place.run(
        place.plan(
            FileStep("ok", "Ok", str(place.root / "etc/ok"), "x"),
            FileStep("bad", "Bad", str(place.root / "etc/x"), "x"),
        )
    )
    assert outcome(events) == "undone"
    assert kinds(events)[3:] == [
        "step-failed bad", "undo-started", "step-undone ok", "run-finished",
    ]  # fmt: skip


def test_a_link_where_a_file_belongs_is_replaced_and_brought_back(place: Place) -> None:
    target, link = place.root / "etc/target", place.root / "etc/f"
    target.write_text("mine")
    link.symlink_to("target")
    step = FileStep("f", "F", str(link), "yours")
    assert outcome(place.run(place.plan(step, CommandStep("b", "B", ("false",))))) == "undone"
    assert (str(link.readlink()), target.read_text()) == ("target", "mine")
    assert outcome(place.run(place.plan(step))) == "done"
    assert (link.is_symlink(), link.read_text(), target.read_text()) == (False, "yours", "mine")


def test_directories_made_on_the_way_go_with_the_undo_but_not_what_others_put_there(
    place: Place,
) -> None:
    deep = place.root / "opt/a/b/c"
    steps = (
        DirectoryStep("d", "D", str(deep)),
        CommandStep("other", "Other", ("touch", str(deep.parent / "theirs"))),
        CommandStep("boom", "Boom", ("false",)),
    )
    assert outcome(place.run(place.plan(*steps))) == "undone"
    assert sorted(p.name for p in (place.root / "opt/a").rglob("*")) == ["b", "theirs"]


def test_a_layer_is_unpacked_once_read_only_and_its_upload_dropped(place: Place) -> None:
    upload, digest = place.upload(tar_gz(("pkg/a.py", b"A")))
    step = UnpackStep("l", "L", place.layout.layer(digest), upload, digest, 1)
    assert outcome(place.run(place.plan(step))) == "done"
    tree = Path(step.path)
    assert (tree / "pkg/a.py").read_bytes() == b"A"
    assert {oct(p.stat().st_mode & 0o777) for p in (tree, tree / "pkg")} == {"0o555"}
    assert not Path(upload).exists()
    assert place.check(step)[0].change == "none"


def test_a_missing_upload_is_named_by_its_digest(place: Place) -> None:
    digest = "a" * 64
    layer = UnpackStep("l", "L", place.layout.layer(digest), place.layout.upload(digest), digest, 1)
    model = PlaceStep("m", "M", place.layout.model(digest), place.layout.upload(digest), digest, 5)
    assert [c.missing_upload for c in place.check(layer, model)] == [digest, digest]
    Path(model.upload).write_bytes(b"12345")
    assert [c.missing_upload for c in place.check(layer, model)] == ["", ""]
    assert outcome(place.run(place.plan(layer))) == "undone"


def test_a_layer_or_model_without_its_directory_is_a_problem(place: Place) -> None:
    (place.root / "opt/layers").rmdir()
    (place.root / "var/models").rmdir()
    digest = "a" * 64
    layer = UnpackStep("l", "L", place.layout.layer(digest), place.layout.upload(digest), digest, 1)
    model = PlaceStep("m", "M", place.layout.model(digest), place.layout.upload(digest), digest, 5)
    problems = [check.problem for check in place.check(layer, model)]
    assert problems == [
        f"the directory {place.root}/opt/layers does not exist",
        f"the directory {place.root}/var/models does not exist",
    ]
    made = [DirectoryStep(f"d{n}", "D", str(place.root / d)) for n, d in
            enumerate(("opt/layers", "var/models"))]  # fmt: skip
    assert [check.problem for check in place.check(*made, layer, model)] == [""] * 4


@root_only
def test_a_model_crosses_to_another_filesystem_and_back(place: Place) -> None:
    models = place.root / "var/models"
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(models)], check=True)
    try:
        upload, digest = place.upload(b"GGUF model")
        step = PlaceStep("m", "M", place.layout.model(digest), upload, digest, 10)
        boom = CommandStep("boom", "Boom", ("false",))
        assert outcome(place.run(place.plan(step))) == "done"
        assert Path(step.path).read_bytes() == b"GGUF model"
        assert [p.name for p in models.iterdir()] == [f"{digest}.gguf"]
        Path(step.path).unlink()
        place.upload(b"GGUF model")
        assert outcome(place.run(place.plan(step, boom))) == "undone"
        assert not list(models.iterdir())
        wrong, _ = place.upload(b"GGUF modem")
        assert outcome(place.run(place.plan(replace(step, upload=wrong)))) == "undone"
        assert not list(models.iterdir())
    finally:
        subprocess.run(["umount", str(models)], check=True)


def test_a_layer_that_is_not_what_was_announced_is_refused_and_its_upload_removed(
    place: Place,
) -> None:
    upload, _ = place.upload(tar_gz(("a", b"A")))
    wrong = "b" * 64
    before = place.snapshot()
    events = place.run(
        place.plan(UnpackStep("l", "L", place.layout.layer(wrong), upload, wrong, 1))
    )
    failed = next(e for e in events if e.kind == "step-failed")
    assert failed.data["code"] == "digest-mismatch"
    del before[f"var/uploads/{Path(upload).name}"]
    assert place.snapshot() == before


def test_more_than_the_disk_holds_is_a_problem_of_the_check(place: Place) -> None:
    digest, huge = "a" * 64, 10**15
    step = PlaceStep(
        "m", "M", place.layout.model(digest), place.layout.upload(digest), digest, huge
    )
    assert "free, 1e+03 TB are needed" in place.check(step)[0].problem


def test_steps_that_fit_alone_but_not_together_are_refused_together(place: Place) -> None:
    free = os.statvfs(place.root)
    most = (free.f_bfree if os.geteuid() == 0 else free.f_bavail) * free.f_frsize
    steps = [
        UnpackStep(
            f"l{n}", "L", place.layout.layer(str(n) * 64), "/none/x", str(n) * 64, int(most * 0.6)
        )
        for n in range(2)
    ]
    problems = [check.problem for check in place.check(*steps)]
    assert problems[0] == ""
    assert "the plan needs" in problems[1]


def test_a_model_moves_into_its_place_and_back(place: Place) -> None:
    upload, digest = place.upload(b"GGUF model")
    step = PlaceStep("m", "M", place.layout.model(digest), upload, digest, 10)
    before = place.snapshot()
    boom = CommandStep("boom", "Boom", ("false",))
    assert outcome(place.run(place.plan(step, boom))) == "undone"
    assert Path(upload).read_bytes() == b"GGUF model"
    assert before.keys() == place.snapshot().keys()
    assert outcome(place.run(place.plan(step))) == "done"
    assert oct(Path(step.path).stat().st_mode & 0o777) == "0o444"
    assert not Path(upload).exists()
    assert place.check(step)[0].change == "none"


def test_a_credential_is_kept_until_another_value_comes(place: Place) -> None:
    path = place.root / "etc/key"
    step = CredentialStep("c", "C", "key", str(path))
    assert place.check(step)[0].change == "create"
    assert outcome(place.run(place.plan(step), {"key": "one"})) == "done"
    assert (path.read_text(), oct(path.stat().st_mode & 0o777)) == ("one", "0o600")
    assert place.check(step)[0].change == "unknown", "a look before the run has no secret"
    assert place.check(replace(step, brought=False))[0].change == "none"
    assert outcome(place.run(place.plan(step), {"key": "one"})) == "unchanged"
    assert outcome(place.run(place.plan(step))) == "unchanged"
    assert outcome(place.run(place.plan(step), {"key": "two"})) == "done"
    assert path.read_text() == "two"


def test_a_credential_without_its_secret_fails(place: Place) -> None:
    events = place.run(place.plan(CredentialStep("c", "C", "key", str(place.root / "etc/key"))))
    assert "did not travel" in next(e.text for e in events if e.kind == "step-failed")


def test_a_credential_that_nobody_brings_has_to_lie_there(place: Place) -> None:
    step = CredentialStep("c", "C", "key", str(place.root / "etc/key"), brought=False)
    problem = place.check(step)[0].problem
    assert "--credential key=FILE" in problem
    Path(step.path).write_text("one")
    assert place.check(step)[0] == StepCheck("c", "none")


def test_files_that_the_service_will_open_are_looked_at(place: Place) -> None:
    there, sealed = place.root / "etc/cert.pem", place.root / "etc/key.pem"
    there.write_text("PEM")
    assert place.check(RequireStep("f", "F", (str(there),)))[0] == StepCheck("f", "none")
    sealed.write_text("PEM")
    sealed.chmod(0o600)
    hidden = (str(place.root / "etc"),)
    for step, said in (
        (RequireStep("f", "F", ("etc/key.pem",)), "is not an absolute path"),
        (RequireStep("f", "F", (str(place.root / "etc/none"),)), "No such file"),
        (RequireStep("f", "F", (str(place.root / "etc"),)), "is not a regular file"),
        (RequireStep("f", "F", (str(there),), hidden=hidden), "which the service cannot see"),
        (RequireStep("f", "F", (str(sealed),), reader="nobody"), "cannot be read by the user"),
        (RequireStep("f", "F", (str(sealed),), reader="no-such-user"), "cannot be read by"),
    ):
        assert said in place.check(step)[0].problem, step
    before = place.snapshot()
    assert outcome(place.run(place.plan(step))) == "undone"
    assert place.snapshot() == before


def test_a_command_runs_only_where_its_check_says_so(place: Place) -> None:
    flag = place.root / "etc/flag"
    step = CommandStep("c", "C", ("touch", str(flag)), ("test", "-e", str(flag)))
    assert place.check(step)[0] == StepCheck("c", "act", note=f"touch {flag}")
    assert outcome(place.run(place.plan(step))) == "done"
    assert place.check(step)[0].change == "none"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("false",), "false exited with 1"),
        (("no-such-program",), "no-such-program exited with 127"),
        (("sleep", "60"), "sleep did not end within 0.2 s"),
        (("sh", "-c", "kill -9 $$"), "exited with 137"),
    ],
)
def test_a_command_that_fails_says_how(place: Place, argv: tuple[str, ...], said: str) -> None:
    events = place.run(place.plan(CommandStep("c", "C", argv, timeout_s=0.2)))
    assert said in next(e.text for e in events if e.kind == "step-failed")
