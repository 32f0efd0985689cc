"""The keeper with real slots: it starts, watches, restarts, hands over and ends them."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiconsole.onhost.keeper import KeeperClient, KeeperFault, ensure_keeper
from aiconsole.onhost.keeper.process import started_at
from aiconsole.onhost.wire import HostLayout
from tests.load import load_process
from tests.unit.onhost.conftest import TOOL

Release = Callable[..., str]


def get(address: str, path: str = "/health") -> dict[str, Any]:
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request("GET", path)
        return dict(json.loads(connection.getresponse().read()))
    finally:
        connection.close()


def until(wanted: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not wanted():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def test_a_slot_serves_on_the_keepers_socket(
    keeper: KeeperClient, address: str, release: Release
) -> None:
    release()
    keeper.listen(address)
    said: list[str] = []
    keeper.start("a", 10, said.append)
    slot = keeper.slots()["a"]
    assert (slot.state, slot.release_id) == ("ready", "r1")
    assert get(address)["pid"] == slot.pid
    assert keeper.stop("a", 5) is True
    assert keeper.slots()["a"].state == "stopped"
    assert started_at(slot.pid) == ""


def test_a_release_that_fails_says_why_and_is_not_tried_again(
    keeper: KeeperClient, address: str, release: Release
) -> None:
    release(fail="tensor 'output.weight' is missing")
    keeper.listen(address)
    with pytest.raises(KeeperFault) as caught:
        keeper.start("a", 10)
    assert caught.value.code == "start-failed"
    assert "exit status 3" in caught.value.text
    assert caught.value.log[-1] == "tensor 'output.weight' is missing"
    slot = keeper.slots()["a"]
    assert (slot.state, slot.pid, slot.restarts) == ("failed", 0, 0)


def test_a_load_that_never_ends_is_killed(
    keeper: KeeperClient, address: str, release: Release
) -> None:
    release(hang=True)
    keeper.listen(address)
    said: list[str] = []
    with pytest.raises(KeeperFault, match="not ready within 1 s"):
        keeper.start("a", 1, said.append)
    assert said == ["loading the model"]
    assert keeper.slots()["a"].pid == 0


def test_a_crashed_slot_comes_back_and_no_client_is_refused(
    keeper: KeeperClient, address: str, release: Release
) -> None:
    release()
    keeper.listen(address)
    keeper.start("a", 10)
    first = keeper.slots()["a"].pid
    os.kill(first, signal.SIGKILL)
    assert get(address)["pid"] != first  # Queued by the kernel until the slot was back.
    slot = keeper.slots()["a"]
    assert (slot.state, slot.restarts) == ("ready", 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_crashed_slot_comes_back_on_a_full_disk(
    address: str, release: Release, layout: HostLayout
) -> None:
    disk = Path(layout.slot_run("a"))
    disk.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], check=True)
    try:
        release()
        keeper = ensure_keeper(layout, TOOL)
        keeper.listen(address)
        keeper.start("a", 10)
        first = keeper.slots()["a"].pid
        log = disk / "log"
        with log.open("a") as file:
            file.write("x" * (4096 - log.stat().st_size % 4096))  # No room in its last page.
        subprocess.run(["sh", "-c", f"cat /dev/zero > {disk}/filler"], check=False)
        os.kill(first, signal.SIGKILL)
        until(lambda: keeper.slots()["a"].state == "ready" and keeper.slots()["a"].pid != first)
        keeper.quit(drain_timeout_s=5)
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_log_is_bounded_again_once_the_disk_takes_it(
    keeper: KeeperClient, layout: HostLayout
) -> None:
    log, older = Path(f"{layout.slot_run('a')}/log"), Path(f"{layout.slot_run('a')}/log.1")
    older.mkdir()
    log.write_bytes(b"x" * 2_000_000)
    time.sleep(2.5)  # The keeper looks each second, and cannot.
    older.rmdir()
    until(lambda: log.stat().st_size == 0 and older.is_file())


def test_a_slot_is_not_started_beside_its_process_of_an_earlier_keeper(
    keeper: KeeperClient, address: str, release: Release, layout: HostLayout
) -> None:
    release(token_s=0.3, tokens=8)
    keeper.listen(address)
    keeper.start("a", 10)
    keeper.enable("a")
    drains = keeper.slots()["a"].pid
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request("POST", "/v1/completions", '{"prompt": "x"}')
    until(lambda: get(address, "/health")["in_flight"] >= 1)
    os.kill(keeper.status()["pid"], signal.SIGKILL)
    again = ensure_keeper(layout, TOOL)
    assert started_at(drains) != ""
    again.start("a", 10)
    assert started_at(drains) == "", "it would take the admin socket of the new one away"
    assert again.slots()["a"].state == "ready"
    assert connection.getresponse().status == 200
    connection.close()


def test_a_release_that_crashes_again_waits_longer(
    keeper: KeeperClient, address: str, release: Release, layout: HostLayout
) -> None:
    release()
    keeper.listen(address)
    keeper.start("a", 10)
    release(fail="out of memory")
    os.kill(keeper.slots()["a"].pid, signal.SIGKILL)
    until(lambda: keeper.slots()["a"].restarts == 3)
    slot = keeper.slots()["a"]
    assert "out of memory" in slot.reason
    starts = [line for line in Path(f"{layout.slot_run('a')}/log").read_text().splitlines()
              if " started with " in line]  # fmt: skip
    at = [float(line.split()[3]) for line in starts]
    assert at[1] - at[0] >= 1.0
    assert at[2] - at[1] >= 2.0


def test_a_new_keeper_takes_up_what_a_killed_one_had(
    keeper: KeeperClient, address: str, release: Release, layout: HostLayout
) -> None:
    release()
    keeper.listen(address)
    keeper.start("a", 10)
    keeper.enable("a")
    slot = keeper.slots()["a"].pid
    os.kill(keeper.status()["pid"], signal.SIGKILL)
    until(lambda: started_at(slot) == "")  # It ends with its keeper, and drains.
    assert json.loads(Path(f"{layout.slot_run('a')}/tally.json").read_text())["pid"] == slot
    again = ensure_keeper(layout, TOOL)
    until(lambda: again.slots()["a"].state == "ready")
    assert get(address)["slot"] == "a"


def test_a_keeper_that_is_told_to_end_drains_and_the_next_one_goes_on(
    keeper: KeeperClient, address: str, release: Release, layout: HostLayout
) -> None:
    release()
    keeper.listen(address)
    keeper.start("a", 10)
    keeper.enable("a")
    slot, pid = keeper.slots()["a"].pid, keeper.status()["pid"]
    os.kill(pid, signal.SIGTERM)
    until(lambda: not Path(f"{layout.run}/keeper.sock").exists())
    again = ensure_keeper(layout, TOOL)  # Waits for the end of the one before.
    assert started_at(pid) == started_at(slot) == ""
    assert json.loads(Path(f"{layout.slot_run('a')}/tally.json").read_text())["pid"] == slot
    until(lambda: again.slots()["a"].state == "ready")


def test_a_slot_that_was_not_enabled_stays_away_after_a_new_start(
    keeper: KeeperClient, address: str, release: Release, layout: HostLayout
) -> None:
    release()
    keeper.listen(address)
    keeper.start("a", 10)
    keeper.quit(5)
    again = ensure_keeper(layout, TOOL)
    until(lambda: bool(again.status()["listening"]))
    assert again.slots()["a"].state == "stopped"


def test_an_upgrade_keeps_socket_and_slots(
    keeper: KeeperClient, address: str, release: Release, tmp_path: Path
) -> None:
    release(token_s=0.01)
    keeper.listen(address)
    keeper.start("a", 10)
    keeper.enable("a")
    before = keeper.status()
    newer = tmp_path / "newer.py"
    newer.symlink_to(TOOL)
    host, _, port = address.partition(":")
    with load_process(host, int(port)) as load:
        for tool in (str(newer), TOOL, str(newer)):
            keeper.upgrade(tool)
            until(lambda tool=tool: keeper.status()["tool"] == tool)  # type: ignore[misc]
    after = keeper.status()
    assert load.report.failed == {}
    assert load.report.served > 100
    assert (after["pid"], after["slots"]) == (before["pid"], before["slots"])
    os.kill(after["slots"][0]["pid"], signal.SIGKILL)
    until(lambda: keeper.slots()["a"].restarts == 1 and keeper.slots()["a"].state == "ready")
    slot = keeper.slots()["a"].pid
    os.kill(after["pid"], signal.SIGKILL)
    until(lambda: started_at(slot) == "")  # Slots still end with their keeper.


def test_a_keeper_with_nothing_to_keep_ends(layout: HostLayout, address: str) -> None:
    Path(layout.opt).mkdir(parents=True)
    Path(layout.opt, "test-idle-end-s").write_text("0.4")
    keeper = ensure_keeper(layout, TOOL)
    keeper.listen(address)
    pid = keeper.status()["pid"]
    assert not ended_within(pid, 1.0)
    keeper.close()
    assert ended_within(pid, 15.0)
    assert not Path(f"{layout.run}/keeper.sock").exists()


def ended_within(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while started_at(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_an_upgrade_to_a_broken_tool_is_refused(keeper: KeeperClient, tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("import aiconsole.nothing\n")
    pid = keeper.status()["pid"]
    with pytest.raises(KeeperFault, match="holds no keeper"):
        keeper.upgrade(str(broken))
    assert keeper.status()["pid"] == pid


def test_a_taken_port_is_named_with_its_program(keeper: KeeperClient, address: str) -> None:
    host, _, port = address.partition(":")
    code = (
        f"import socket, sys; s = socket.create_server(({host!r}, {port}));"
        "print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout
        other.stdout.readline()
        with pytest.raises(KeeperFault) as caught:
            keeper.listen(address)
        other.communicate()
    assert caught.value.code == "port-taken"
    assert f"(pid {other.pid})" in caught.value.text
    assert "python" in caught.value.text
    keeper.listen(address)


def test_an_address_moves_without_a_refused_client(
    keeper: KeeperClient, address: str, release: Release
) -> None:
    release("a")
    release("b")
    _, _, port = address.partition(":")
    moved = f"127.0.0.2:{port}"
    keeper.listen(address)
    keeper.start("a", 10)
    keeper.listen(moved)
    assert get(address)["slot"] == "a"
    keeper.start("b", 10)
    assert get(moved)["slot"] == "b"
    assert get(address)["slot"] == "a"
    keeper.stop("a", 5)
    assert get(moved)["slot"] == "b"
    with pytest.raises(ConnectionRefusedError):
        get(address)


def test_the_socket_is_closed_only_when_nobody_accepts(
    keeper: KeeperClient, address: str, release: Release
) -> None:
    release()
    keeper.listen(address)
    keeper.start("a", 10)
    with pytest.raises(KeeperFault, match="slot a is ready"):
        keeper.close()
    keeper.stop("a", 5)
    keeper.close()
    with pytest.raises(ConnectionRefusedError):
        get(address)


def test_a_second_keeper_stays_away(keeper: KeeperClient, layout: HostLayout) -> None:
    document = json.dumps({f: getattr(layout, f) for f in ("runtime", "opt", "var", "run", "etc")})
    done = subprocess.run([sys.executable, "-I", TOOL, "keeper", document], capture_output=True)
    assert done.returncode == 1
    assert b"another keeper runs already" in done.stderr
    assert keeper.status()["pid"]


def test_nobody_else_may_ask(keeper: KeeperClient, layout: HostLayout) -> None:
    assert stat.S_IMODE(Path(layout.run).stat().st_mode) == 0o700
    assert stat.S_IMODE(Path(f"{layout.run}/keeper.sock").stat().st_mode) == 0o600
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    for path in (Path(layout.run).parent, Path(layout.run)):
        path.chmod(0o755)
    Path(f"{layout.run}/keeper.sock").chmod(0o666)
    code = (
        "import os,socket; os.setgid(65534); os.setuid(65534); s=socket.socket(socket.AF_UNIX);"
        f"s.connect({layout.run + '/keeper.sock'!r}); s.sendall(b'{{}}\\n'); print(s.recv(999))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "denied" in done.stdout


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense\n",
        b"[]\n",
        b'{"do": "fly"}\n',
        b'{"do": "start", "slot": "c"}\n',
        b'{"do": "start", "slot": 3}\n',
        b'{"do": "start", "slot": "a", "ready_timeout_s": -1}\n',
        b'{"do": "run", "lock": "../x", "argv": ["/bin/true"]}\n',
        b'{"do": "run", "lock": "x", "argv": ["/no/such"]}\n',
    ],
)
def test_nonsense_gets_a_clear_answer(
    keeper: KeeperClient, layout: HostLayout, line: bytes
) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(f"{layout.run}/keeper.sock")
        sock.sendall(line)
        answer = json.loads(sock.makefile().readline())
    assert (answer["ok"], answer["code"]) == (False, "bad-request")


def test_a_run_holds_its_lock_and_is_settled_after(keeper: KeeperClient, tmp_path: Path) -> None:
    begun, settled = tmp_path / "begun", tmp_path / "settled"
    after = ["/bin/touch", str(settled)]
    pid = keeper.run("inferd", ["/bin/sh", "-c", f"touch {begun}; exec sleep 60"], after)
    until(begun.exists)
    with pytest.raises(KeeperFault, match=f"a run holds inferd \\(pid {pid}\\)") as caught:
        keeper.run("inferd", ["/bin/true"])
    assert caught.value.code == "busy"
    keeper.cancel("inferd")
    until(settled.exists)
    until(lambda: keeper.status()["runs"] == [])
    keeper.run("inferd", ["/bin/true"])


def test_a_run_goes_on_through_an_upgrade(keeper: KeeperClient, tmp_path: Path) -> None:
    newer, settled = tmp_path / "newer.py", tmp_path / "settled"
    newer.symlink_to(TOOL)
    keeper.run("inferd", ["/bin/sleep", "60"], ["/bin/touch", str(settled)])
    keeper.upgrade(str(newer))
    until(lambda: keeper.status()["tool"] == str(newer))
    with pytest.raises(KeeperFault, match="a run holds inferd"):
        keeper.run("inferd", ["/bin/true"])
    keeper.cancel("inferd")
    until(settled.exists)


def test_a_run_outlives_its_keeper_and_keeps_its_lock(
    keeper: KeeperClient, layout: HostLayout
) -> None:
    pid = keeper.run("inferd", ["/bin/sleep", "60"])
    os.kill(keeper.status()["pid"], signal.SIGKILL)
    again = ensure_keeper(layout, TOOL)
    assert started_at(pid)
    with pytest.raises(KeeperFault, match="a run holds inferd"):
        again.run("inferd", ["/bin/true"])
    again.cancel("inferd")
    until(lambda: started_at(pid) == "")
    again.run("inferd", ["/bin/true"])


def test_a_slot_sees_nothing_of_its_callers_environment(
    keeper: KeeperClient, address: str, release: Release
) -> None:
    release()
    keeper.listen(address)
    keeper.start("a", 10)
    pid = keeper.slots()["a"].pid
    env = dict(
        entry.split("=", 1)
        for entry in Path(f"/proc/{pid}/environ").read_text().split("\0")
        if entry
    )
    assert env["LISTEN_PID"] == str(pid)
    assert set(env) <= {
        "PATH", "HOME", "LANG", "TZ", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
        "NOTIFY_SOCKET", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH",
    }  # fmt: skip
    held = sorted(int(fd.name) for fd in Path(f"/proc/{pid}/fd").iterdir())
    assert str(Path(f"/proc/{pid}/fd/3").readlink()).startswith("socket:")
    assert held[:4] == [0, 1, 2, 3]
