"""A lab's record, its lock, and processes by evidence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cartwheel import places
from cartwheel.errors import LabError
from cartwheel.inventory.lab import lab_hosts
from cartwheel.ssh.target import LabHost
from cartwheel_lab import Lab, inventory, listing, procs, record

ROOT = Path(__file__).resolve().parents[3]


def save(path: Path, what: record.Record) -> None:
    record.save(path, what, uid=os.getuid(), gid=os.getgid())


def test_a_record_reads_back_as_it_was(tmp_path: Path) -> None:
    host = record.HostRecord("lab1", "bookworm", True, "/base", number=7, ports={"ssh": 2022})
    host.init, host.state = (10, 20), "on"
    known = record.Record({"lab1": host}, "secret", depot=(1, 2))
    path = tmp_path / "lab.json"
    save(path, known)
    assert record.load(path) == known
    assert path.stat().st_mode & 0o777 == 0o600
    assert record.load(tmp_path / "none.json") == record.Record()
    path.write_text("{")
    with pytest.raises(LabError, match=r"cannot read.*CW903"):
        record.load(path)


def test_inventory_of_a_lab_that_never_was(tmp_path: Path) -> None:
    assert inventory(tmp_path, state=tmp_path / "none") == {}


def test_what_a_lab_lists_the_engine_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = tmp_path / 'a "lab" \x7f\\ Straße'
    lab.mkdir()
    host = record.HostRecord("lab1", "trixie", False, "/base", number=7, ports={"ssh": 2022})
    host.interpreter = "/tap"
    save(lab / "lab.json", record.Record({"lab1": host}))
    hosts = inventory(tmp_path, state=lab)
    places.lab_hosts(lab).write_text(listing.text(hosts.values()))
    monkeypatch.setenv("CARTWHEEL_LAB_STATE", str(lab))
    key, known = lab / "id_ed25519", lab / "known_hosts"
    listed = LabHost("127.0.1.7", 2022, "root", key, known, "/tap")
    assert lab_hosts(tmp_path) == {"lab1": listed}


def test_a_recorded_host_whose_process_is_gone_is_off(tmp_path: Path) -> None:
    host = record.HostRecord("lab1", "trixie", False, "/base", number=7, ports={"ssh": 2022})
    host.state, host.init = "on", (os.getpid(), 1)  # the pid lives, but it is another process
    save(tmp_path / "lab.json", record.Record({"lab1": host}))
    seen = inventory(tmp_path, state=tmp_path)["lab1"]
    assert (seen.state, seen.address, seen.port) == ("off", "127.0.1.7", 2022)
    assert seen.ssh_command("ls")[-2:] == ["root@127.0.1.7", "ls"]
    with pytest.raises(LabError, match=r"the host is off .CW905."):
        seen.exec(["true"])
    with pytest.raises(LabError, match="no forwarder"):
        seen.cut()


def test_where_a_lab_lives_depends_on_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CARTWHEEL_LAB_STATE", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    one, two = Lab.open(tmp_path / "one"), Lab.open(tmp_path / "two")
    assert one.state != two.state
    assert one.key != two.key
    assert one.state.is_relative_to(tmp_path)
    monkeypatch.setenv("CARTWHEEL_LAB_STATE", str(tmp_path / "given"))
    assert Lab.open(tmp_path / "one").state == tmp_path / "given"


def test_the_lock_excludes_and_a_killed_holder_frees_it(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from cartwheel_lab import record\n"
        "with record.locked(Path(sys.argv[1]), lambda s: None):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    path = tmp_path / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'lab'}"},
    )
    got = threading.Event()

    def take() -> None:
        with record.locked(path, lambda _seconds: None):
            got.set()

    thread = threading.Thread(target=take)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        thread.start()
        assert not got.wait(0.4)
    finally:
        holder.kill()
        holder.communicate()
    assert got.wait(5)
    thread.join()


def test_processes_are_found_by_their_mark_and_ended(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "print('hello', flush=True); import time; time.sleep(100)"]
    key = f"test{os.getpid()}"
    process = procs.spawn(argv, mark=f"{key}/role/x", environment={}, log=tmp_path / "log")
    try:
        # The mark is in its environment once it has become the program.
        deadline = time.monotonic() + 10
        while not procs.marked(f"{key}/") and time.monotonic() < deadline:
            time.sleep(0.01)
        assert procs.marked(f"{key}/") == {process: f"{key}/role/x"}
        assert procs.marked(f"{key}/other") == {}
        assert os.getsid(process.pid) == process.pid
        assert not procs.Process(process.pid, process.start + 1).alive
        stranger = procs.Process(process.pid, process.start - 1)
        assert procs.end([stranger]) == []  # another process had this pid: not ours to kill
        assert process.alive
    finally:
        assert procs.end([process]) == []
    assert not process.alive
    assert procs.marked(f"{key}/") == {}


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen(["sleep", "100"])
    process = procs.identify(child.pid)
    assert process is not None
    assert process.alive
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert Path(f"/proc/{child.pid}").exists()
    assert not process.alive
    child.wait()
