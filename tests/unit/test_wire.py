"""The wire reads back what it wrote, and refuses everything else with the path of the fault."""

import json
from typing import Any

import pytest

from aiconsole.onhost import wire


def plan() -> wire.Plan:
    layout = wire.HostLayout.system()
    return wire.Plan(
        run_id="20261120T165700Z-3f9a2c",
        title="Deploy",
        lock="inferd",
        layout=layout,
        steps=(
            wire.FileStep("settings", "Write settings", "/etc/x", "a = 1\n", mode=0o600),
            wire.CommandStep("daemon", "Reload", ("systemctl", "daemon-reload")),
            wire.SwapStep("swap", "Swap", layout, release_id="r1", mode="held"),
        ),
    )


def through_text(value: Any) -> Any:
    return json.loads(json.dumps(wire.to_json(value)))


def test_a_plan_survives_the_wire() -> None:
    assert wire.from_json(wire.Plan, through_text(plan())) == plan()


def test_whole_numbers_are_read_where_a_float_is_expected() -> None:
    event = wire.from_json(wire.RunEvent, {"seq": 1, "at_unix_s": 3, "kind": "run-started"})
    assert event.at_unix_s == 3.0
    assert isinstance(event.at_unix_s, float)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"steps": [{"kind": "explode", "id": "a", "title": "b"}]}, "Plan.steps[0]: unknown kind"),
        ({"steps": {}}, "Plan.steps: expected a list"),
        ({"run_id": 5}, "Plan.run_id: expected str, got int"),
        ({"wire_version": True}, "Plan.wire_version: expected int, got bool"),
        ({"extra": 1}, "unknown key 'extra'"),
        ({"layout": {"runtime": "docker", "opt": "", "var": "", "run": "", "etc": ""}}, "'docker'"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(wire.WireError) as caught:
        wire.from_json(wire.Plan, through_text(plan()) | change)
    assert said in str(caught.value)


def test_a_missing_key_is_named() -> None:
    document = through_text(plan())
    del document["lock"]
    with pytest.raises(wire.WireError, match="'lock' is missing"):
        wire.from_json(wire.Plan, document)
