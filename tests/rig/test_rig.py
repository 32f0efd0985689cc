"""The rig shows that it is what tests take it for: hosts are real, faults bite and heal."""

def test_up(rig_host):
    assert rig_host.run("systemctl", "is-system-running").stdout == "running\n"
