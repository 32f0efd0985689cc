"""What a boot would start while the enabled slot changes."""

from __future__ import annotations

import pytest

from aiconsole.onhost.runner.runtimes import systemd
from aiconsole.onhost.wire import HostLayout


@pytest.mark.parametrize(("old", "new"), ["ab", "ba"])
def test_a_boot_finds_a_slot_to_start_at_any_moment(
    monkeypatch: pytest.MonkeyPatch, old: str, new: str
) -> None:
    enabled = {systemd.unit_of(old)}
    moments = []

    def set_enabled(unit: str, wanted: bool) -> None:
        (enabled.add if wanted else enabled.discard)(unit)
        moments.append(set(enabled))

    monkeypatch.setattr(systemd, "_enabled", lambda *units: [unit in enabled for unit in units])
    monkeypatch.setattr(systemd, "_set_enabled", set_enabled)
    systemd.SystemdRuntime(HostLayout.system()).enable(new)
    assert all(moments)
    assert enabled == {systemd.unit_of(new)}
    systemd.SystemdRuntime(HostLayout.system()).enable("")
    assert enabled == set()
