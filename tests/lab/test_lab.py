"""The lab itself: real hosts, the line to them, power, and order after every kind of kill."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from cartwheel import places
from cartwheel.errors import LabError
from cartwheel_lab import Lab, LabHost, inventory, listing, machine, procs
from cartwheel_lab.lab import STATE_VARIABLE
from tests.kit.project import CHECKOUT, Project, copied_checkout, fabfile, new_project
from tests.kit.tiers import tiered
from tests.kit.waiting import until
from tests.lab.conftest import GetHosts


@pytest.fixture
def host(bare_host: LabHost) -> LabHost:
    """The lab's own tests boot the lab's own image."""
    return bare_host


SOURCES = f"{CHECKOUT}:{CHECKOUT / 'lab'}"  # for a Python of its own

# Answers inside the host on port 80. First byte: E echo until end of input, then say how
# much came; S send as many bytes as the following number says; H hold and say nothing.
PEER = """
import contextlib, hashlib, socket, threading
def serve(c):
    with c, contextlib.suppress(OSError):
        f = c.makefile("rwb")
        kind = f.read(1)
        if kind == b"E":
            digest, size = hashlib.sha256(), 0
            while data := f.read1(65536):
                digest.update(data); size += len(data)
            f.write(f"{size} {digest.hexdigest()}".encode()); f.flush()
        elif kind == b"S":
            left = int(f.readline())
            while left:
                n = min(left, 1 << 20); c.sendall(bytes(n)); left -= n
        elif kind == b"P":
            while line := f.readline():
                f.write(line); f.flush()
listener = socket.create_server(("127.0.0.1", 80), backlog=512)
print("ready", flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


@contextmanager
def peer(host: LabHost) -> Iterator[None]:
    process = host.popen_in_netns([sys.executable, "-c", PEER], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield
    finally:
        process.kill()
        process.communicate()


def dial(host: LabHost, timeout: float = 20.0) -> socket.socket:
    sock = socket.create_connection((host.address, host.http_port), timeout)
    sock.settimeout(timeout)
    return sock


def ping(sock: socket.socket) -> float:
    started = time.monotonic()
    sock.sendall(b"x\n")
    answer = b""
    while not answer.endswith(b"\n"):
        answer += sock.recv(10)
        assert answer, "hung up"
    return time.monotonic() - started


def ssh(host: LabHost, user: str, command: str) -> subprocess.CompletedProcess[str]:
    argv = host.ssh_command(command, user=user)
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)


# hosts


@pytest.mark.parametrize(
    ("suite", "python", "version"),
    [
        ("bookworm", True, "Python 3.11"),
        ("trixie", True, "Python 3.13"),
        ("bullseye", True, "Python 3.9"),
        pytest.param("bookworm", False, "", marks=pytest.mark.nightly),
    ],
)
@pytest.mark.timeout(900)  # the base tree may have to be built first
def test_each_image_boots_to_a_clean_state(
    hosts: GetHosts, suite: str, python: bool, version: str
) -> None:
    host = hosts(1, suite, python)[0]
    host.reset()  # other tests of this session may have used it
    assert host.sh("systemctl is-system-running || systemctl --failed") == "running\n"
    assert f"VERSION_CODENAME={suite}" in host.sh("cat /etc/os-release")
    found = host.exec(["python3", "--version"])
    assert found.stdout.decode().startswith(version)
    assert (found.returncode == 0) is python
    assert host.sh("dpkg -l nginx python3-venv 2>/dev/null | grep -c ^ii || true") == "0\n"
    # Transient units, the shape of Cartwheel's host side, keep to their own control group.
    group = host.sh("systemd-run --quiet --pipe --wait --collect cat /proc/self/cgroup")
    assert "0::/system.slice/run-" in group


def test_users_log_in_with_the_labs_key_and_have_the_rights_they_should(hosts: GetHosts) -> None:
    host = hosts()[0]
    for user, sudo in (("root", True), ("deploy", True), ("ops", False), ("guest", False)):
        done = ssh(host, user, "id -un; sudo -n true")
        assert done.stdout == f"{user}\n", done.stderr
        assert (done.returncode == 0) is sudo
    assert ssh(host, "ops", f"echo {host.ops_password} | sudo -S id -u").stdout == "0\n"
    assert ssh(host, "guest", f"echo {host.ops_password} | sudo -S id -u").stdout == ""


def test_hosts_are_machines_of_their_own(hosts: GetHosts) -> None:
    one, two = hosts(2)
    assert one.address != two.address
    for what in ("cat /etc/machine-id", "cat /etc/ssh/ssh_host_ed25519_key.pub", "hostname"):
        assert one.sh(what) != two.sh(what)
    one.sh("systemd-run --quiet --unit=only-here sleep 300")
    assert two.exec(["systemctl", "is-active", "only-here"]).returncode != 0
    two.sh("systemctl daemon-reexec; systemctl daemon-reload")
    assert one.sh("systemctl is-active only-here") == "active\n"
    one.sh("systemctl stop only-here")


def test_the_kernel_lets_many_hosts_watch_their_files(hosts: GetHosts) -> None:
    # root's 128 inotify instances are enough for about ten hosts
    assert hosts()
    assert int(machine.WATCHERS.read_text()) >= 1024


def test_inventory_names_what_is_needed_to_log_in(lab: Lab, hosts: GetHosts) -> None:
    host = hosts()[0]
    assert inventory(CHECKOUT)[host.name] == host
    assert host.state == "on"
    assert oct(host.identity.stat().st_mode & 0o777) == "0o600"


def test_without_the_lab_its_hosts_are_reached_by_the_list(hosts: GetHosts, tmp_path: Path) -> None:
    host = hosts()[0]
    project = new_project(tmp_path / "project")
    project.write("fabfile.py", fabfile(copied_checkout(tmp_path / "copy", [])))
    assert "[CW906]" in project.fab("lab.list", code=2).err
    answer = project.fab("run", "-H", host.name, "--command", "true", code=1)
    assert f"{host.name}: shop is not deployed on this host" in answer.err


# what hosts install from


@pytest.mark.nightly
def test_apt_and_pip_work_without_a_network(host: LabHost) -> None:
    host.sh("apt-get -q update && apt-get -qy install nginx-light python3-venv", timeout=120)
    assert host.sh("systemctl is-active nginx") == "active\n"
    with closing(dial(host)) as web:
        web.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert web.recv(12) == b"HTTP/1.1 200"
    host.sh("python3 -m venv /tmp/v && /tmp/v/bin/pip install -q six", timeout=120)
    assert host.sh("/tmp/v/bin/python -c 'import six; print(six.__name__)'") == "six\n"
    missing = host.exec(["/tmp/v/bin/pip", "install", "-q", "cartwheel-lab-has-no-such-package"])
    assert missing.returncode != 0
    assert b"No matching distribution" in missing.stderr
    host.network(services=False)
    gone = host.exec(["/tmp/v/bin/pip", "download", "--retries=0", "-qd", "/tmp/d", "six"])
    assert gone.returncode != 0


def test_a_wheel_in_the_labs_folder_is_served_first(lab: Lab, hosts: GetHosts) -> None:
    host = hosts()[0]
    wheel = lab.wheels / "only_in_the_lab-1.0-py3-none-any.whl"
    wheel.write_bytes(b"bytes")
    try:
        page = host.sh("curl -fsS http://127.0.0.1:3141/simple/Only.In_the-lab/")
        assert wheel.name in page
        body = host.sh(f"curl -fsS http://127.0.0.1:3141/simple/only-in-the-lab/{wheel.name}")
        assert body == "bytes"
    finally:
        wheel.unlink()


# the line


def test_the_line_carries_bytes_unharmed_both_ways_and_half_closes(host: LabHost) -> None:
    with peer(host):
        payload = os.urandom(5_000_000)
        with closing(dial(host)) as sock:
            sock.sendall(b"E" + payload)
            sock.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: sock.recv(1000), b""))
        assert answer.decode() == f"5000000 {hashlib.sha256(payload).hexdigest()}"
        with closing(dial(host)) as sock:
            sock.sendall(b"S20000000\n")
            assert sum(len(d) for d in iter(lambda: sock.recv(1 << 20), b"")) == 20_000_000


def test_many_connections_leave_no_descriptors_behind(host: LabHost) -> None:
    known = json.loads((host.lab / "lab.json").read_text())["hosts"][host.name]
    descriptors = Path(f"/proc/{known['forwarder'][0]}/fd")
    with peer(host):
        before = len(list(descriptors.iterdir()))

        def one(number: int) -> bytes:
            with closing(dial(host)) as sock:
                if number % 3 == 0:  # leaves without a word
                    option = struct.pack("ii", 1, 0)
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
                    return b"1 "
                sock.sendall(b"Ex")
                sock.shutdown(socket.SHUT_WR)
                return sock.recv(2)

        with ThreadPoolExecutor(20) as pool:
            assert set(pool.map(one, range(300))) == {b"1 "}
        until(lambda: host.line()["connections"] == 0)
        # (Our own question to its control socket is one too, for a moment.)
        until(lambda: len(list(descriptors.iterdir())) <= before)


def test_delay_is_a_round_trip_and_throttle_a_rate(host: LabHost) -> None:
    with peer(host), closing(dial(host)) as sock:
        sock.sendall(b"P")
        assert min(ping(sock) for _ in range(5)) < 0.04
        host.network(delay_ms=100)
        took = sorted(ping(sock) for _ in range(5))
        assert took[0] >= 0.1
        assert took[2] < 0.14
        started = time.monotonic()
        with closing(dial(host)) as other:  # two round trips: to open, and to ask
            other.sendall(b"P")
            ping(other)
        assert 0.2 <= time.monotonic() - started < 0.35
        host.network(delay_ms=0, bytes_per_second=1_000_000)
        started = time.monotonic()
        with closing(dial(host)) as other:
            other.sendall(b"S500000\n")
            assert sum(len(d) for d in iter(lambda: other.recv(1 << 20), b"")) == 500_000
        assert 0.4 < time.monotonic() - started < 2


def test_a_cut_host_keeps_its_address(host: LabHost) -> None:
    """Another lab must not take it while nobody listens there."""
    host.cut()
    with closing(socket.socket()) as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            thief.bind((host.address, host.port))
    host.restore()
    assert subprocess.run(host.ssh_command("true"), check=False).returncode == 0


def test_cut_resets_and_refuses_until_restored(host: LabHost) -> None:
    with peer(host):
        with closing(dial(host)) as sock:
            sock.sendall(b"P")
            ping(sock)
            host.cut()
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
        with pytest.raises(ConnectionRefusedError):
            dial(host)
        host.restore()
        with closing(dial(host)) as sock:
            sock.sendall(b"P")
            ping(sock)
            host.reset_connections()
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
        with closing(dial(host)) as sock:
            sock.sendall(b"P")
            ping(sock)


def test_black_hole_acknowledges_nothing_and_heals(host: LabHost) -> None:
    with peer(host), closing(dial(host)) as patient, closing(dial(host)) as hasty:
        for sock in (patient, hasty):
            sock.sendall(b"P")
            ping(sock)
        hasty.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 600)
        host.black_hole()
        with pytest.raises(TimeoutError):
            dial(host, timeout=0.5)
        hasty.sendall(b"lost\n")
        with pytest.raises(OSError) as caught:  # the kernel's own verdict on a dead line
            hasty.recv(1)
        assert caught.value.errno == 110  # ETIMEDOUT
        patient.sendall(b"x\n")
        patient.settimeout(0.5)
        with pytest.raises(TimeoutError):
            patient.recv(1)
        host.restore()
        patient.settimeout(20)
        assert patient.recv(2) == b"x\n"


# power


def test_power_cut_kills_all_falls_silent_and_keeps_the_disk(host: LabHost) -> None:
    init = host.init
    host.sh("echo kept > /root/kept; systemd-run --quiet --unit=gone sleep 1000")
    boot = host.sh("cat /proc/sys/kernel/random/boot_id; cat /etc/machine-id")
    with closing(socket.create_connection((host.address, host.port), 5)) as open_before:
        assert open_before.recv(4) == b"SSH-"
        open_before.recv(1000)
        host.power_cut()
        assert not init.alive
        assert procs.marked(f"{Lab(host.lab).key}/nspawn/{host.name}") == {}
        with pytest.raises(LabError, match="off"):
            host.exec(["true"])
        open_before.settimeout(0.3)
        with pytest.raises(TimeoutError):  # no FIN, no RST: the machine is off
            open_before.recv(1)
        started = time.monotonic()
        host.boot()
        assert time.monotonic() - started < 10
        open_before.settimeout(5)
        with pytest.raises(ConnectionResetError):
            open_before.recv(1)
    assert host.sh("cat /root/kept") == "kept\n"
    assert host.exec(["systemctl", "is-active", "gone"]).returncode != 0
    assert host.sh("cat /etc/machine-id") in boot
    assert ssh(host, "deploy", "true").returncode == 0
    assert host.sh("journalctl --list-boots --no-pager | grep -cE '^ *-?[0-9]+ '").strip() == "2"


def test_reset_gives_a_fresh_disk_with_the_same_address_and_keys(host: LabHost) -> None:
    host.sh("echo dirt > /root/dirt")
    key = host.sh("cat /etc/ssh/ssh_host_ed25519_key.pub")
    host.reset()
    assert host.exec(["test", "-e", "/root/dirt"]).returncode == 1
    assert host.sh("cat /etc/ssh/ssh_host_ed25519_key.pub") == key
    assert ssh(host, "root", "true").returncode == 0


@pytest.mark.nightly
def test_reset_to_a_saved_disk(lab: Lab, host: LabHost) -> None:
    """Again and again, in memory or not; without the word a disk is fresh as ever."""
    (in_memory,) = lab.up(1, disk_mb=300)
    try:
        for one in (host, in_memory):
            one.reset()
            with pytest.raises(LabError, match="was saved"):
                lab.reset([one.name], saved=True)
            one.sh("echo saved > /srv/there; rm -r /usr/share/doc; ln /srv/there /srv/again")
            lab.save_disks([one.name])
            for _ in range(2):
                one.sh("echo later > /srv/there; touch /srv/later; mkdir /usr/share/doc")
                lab.reset([one.name], saved=True)
                assert one.sh("cat /srv/there; ls /srv") == "saved\nagain\nthere\n"
                assert one.sh("stat -c %h /srv/there") == "2\n"
                assert one.exec(["test", "-e", "/usr/share/doc"]).returncode
                assert ssh(one, "root", "true").returncode == 0
            one.reset()
            assert one.sh("ls /srv") == ""
    finally:
        lab.down([in_memory.name])


# order


def evidence(lab: Lab) -> dict[str, object]:
    """Everything a lab could leave on this machine."""
    under = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    groups = [folder for folder, _below, _files in os.walk("/sys/fs/cgroup")]  # others come and go
    return {
        "processes": procs.marked(f"{lab.key}/"),
        "mounts": [point for point in under if point.startswith(str(lab.state))],
        "groups": [folder for folder in groups if folder.endswith(f"/cartwheel-lab/{lab.key}")],
        "sockets": [str(p) for p in Path("/run").glob(f"cartwheel-lab/{lab.runtime.name}")],
        "nspawn": [str(p) for p in Path("/run/systemd/nspawn").glob(f"*/*{lab.key}*")],
        "files": sorted(p.name for p in lab.state.iterdir() if p.name != "lock"),
    }


def nspawns(lab: Lab) -> list[procs.Process]:
    """The lab's processes that run outside of any host and boot one."""
    own = Path("/proc/self/ns/pid").readlink()
    return [
        process
        for process, mark in procs.marked(f"{lab.key}/nspawn/").items()
        if Path(f"/proc/{process.pid}/ns/pid").readlink() == own
    ]


NOTHING: dict[str, object] = {
    "processes": {},
    "mounts": [],
    "groups": [],
    "sockets": [],
    "nspawn": [],
    "files": [],
}

KILLED = """
import os, signal, sys
from pathlib import Path
from cartwheel_lab import Lab
seen = 0
def step(name):
    global seen
    print(name, flush=True)
    if seen == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    seen += 1
lab = Lab(Path(sys.argv[1]), step=step)
getattr(lab, sys.argv[2])()
"""


def killed_at(state: Path, what: str, number: int) -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(state), what, str(number)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": SOURCES},
        timeout=60,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode, done.stdout.split("\n")[:-1]


@pytest.fixture
def other(lab: Lab, tmp_path: Path) -> Iterator[Lab]:
    """A lab beside the session's."""
    other = Lab(tmp_path / "other")
    yield other
    other.down()


ENDED = """
import time
from pathlib import Path

def test_waits(lab):
    lab.up(1)
    Path(__file__).with_name(f"up in {lab.key}").touch()
    time.sleep(200)
"""


ENDS = list(itertools.product([signal.SIGTERM, signal.SIGINT], [0, 2]))


@pytest.mark.parametrize("how", tiered(ENDS, nightly=set(ENDS) - {(signal.SIGTERM, 0)}), ids=str)
def test_tests_that_are_ended_leave_nothing(
    hosts: GetHosts, tmp_path: Path, how: tuple[signal.Signals, int]
) -> None:
    """By `timeout`, a CI that gives up, or Ctrl-C: all processes of the group hear it."""
    number, workers = how
    hosts()  # the base tree is there
    path = tmp_path / "test_ended.py"
    path.write_text(ENDED)
    plugins = ("-p", "tests.conftest", "-p", "tests.lab.conftest")
    argv = [sys.executable, "-m", "pytest", *plugins, "-n", str(workers), str(path)]
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "PYTHONPATH": SOURCES}
    state = tmp_path / "cartwheel" / "lab-tests"
    process = subprocess.Popen(
        [*argv, "--rootdir", str(tmp_path)],
        cwd=tmp_path,
        env=environment,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        until = time.monotonic() + 90
        while not (up := list(tmp_path.glob("up in *"))):
            assert process.poll() is None and time.monotonic() < until, process.communicate()[0]
            time.sleep(0.1)
        os.killpg(process.pid, number)
        said, _ = process.communicate(timeout=60)
        key = up[0].name.removeprefix("up in ")
        left = [*procs.marked(f"{key}/").values(), *(state.iterdir())]
        mounted = str(tmp_path) in Path("/proc/mounts").read_text()
    finally:
        process.kill()
        process.wait()
        for folder in state.glob("*/lab"):
            Lab(folder).down()
    assert left == [], said
    assert not mounted, said


def test_down_leaves_nothing(other: Lab) -> None:
    host = other.up()[0]
    assert evidence(other) != NOTHING
    with closing(socket.create_connection((host.address, host.port), 5)):
        assert other.down() == [host.name]
    assert evidence(other) == NOTHING
    assert other.hosts() == []
    with pytest.raises(OSError):
        socket.create_connection((host.address, host.port), 1)


EACH_STEP = tiered(["one step", "each step"], nightly={"each step"})


def numbers(which: str) -> Iterable[int]:
    """Of the steps that a command is killed at."""
    return range(100) if which == "each step" else [6]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("which", EACH_STEP)
def test_killed_in_up_down_puts_it_in_order(hosts: GetHosts, other: Lab, which: str) -> None:
    hosts()  # the base tree is there: what is killed is the making of a host
    for number in numbers(which):
        code, steps = killed_at(other.state, "up", number)
        other.down()
        assert evidence(other) == NOTHING, f"killed at {steps[-1]}"
        if code == 0:
            break
    assert number >= (12 if which == "each step" else 6), steps


@pytest.mark.nightly
@pytest.mark.timeout(600)
@pytest.mark.parametrize("which", EACH_STEP)
def test_killed_in_up_up_goes_on(hosts: GetHosts, other: Lab, which: str) -> None:
    hosts()
    for number in numbers(which):
        code, steps = killed_at(other.state, "up", number)
        host = other.up()[0]
        assert ssh(host, "deploy", "true").returncode == 0, f"killed at {steps[-1]}"
        marks = [mark.partition("/")[2] for mark in procs.marked(f"{other.key}/").values()]
        assert set(marks) == {"depot", f"forwarder/{host.name}", f"nspawn/{host.name}"}, steps[-1]
        assert (marks.count("depot"), marks.count(f"forwarder/{host.name}")) == (2, 1), steps[-1]
        assert len(nspawns(other)) == 1, steps[-1]
        assert places.lab_hosts(other.state).read_text() == listing.text([host]), steps[-1]
        other.down()
        assert evidence(other) == NOTHING
        if code == 0:
            return


@pytest.mark.nightly
@pytest.mark.timeout(600)
@pytest.mark.parametrize("which", EACH_STEP)
def test_killed_in_down_the_next_one_finishes(hosts: GetHosts, other: Lab, which: str) -> None:
    hosts()
    for number in numbers(which):
        other.up()
        code, steps = killed_at(other.state, "down", number)
        other.down()
        assert evidence(other) == NOTHING, f"killed at {steps[-1]}"
        if code == 0:
            return


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_a_killed_base_build_leaves_only_a_temporary(lab: Lab, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from cartwheel_lab import base, machine\n"
        "base.ensure(Path(sys.argv[1]), 'bookworm', python=True, mirror=machine.mirror(),"
        " emit=lambda e: print(e.state, e.detail, flush=True))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": SOURCES},
    )
    folder = tmp_path / "lab" / "base"
    try:
        until(lambda: len(list(folder.glob("*.unfinished/usr/bin/*"))) > 3, 60)
    finally:
        process.kill()
        process.communicate()
    where = str(tmp_path)
    until(lambda: where not in commands(), 10)
    assert where not in Path("/proc/mounts").read_text()
    assert [p.suffix for p in folder.iterdir() if p.is_dir()] == [".unfinished"]


def commands() -> str:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        if path.parent.name == str(os.getpid()):
            continue
        try:
            found.append(path.read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return "\n".join(found)


def test_a_host_that_died_is_noticed_and_booted_again(other: Lab) -> None:
    host = other.up()[0]
    os.kill(host.init.pid, signal.SIGKILL)
    until(lambda: other.hosts()[0].state == "off")
    assert other.up()[0].name == host.name
    assert ssh(other.hosts()[0], "root", "true").returncode == 0


@pytest.mark.nightly
def test_two_labs_do_not_meet(lab: Lab, hosts: GetHosts, other: Lab) -> None:
    ours = hosts()[0]
    theirs = other.up()[0]
    assert ours.address != theirs.address
    assert ours.identity.read_text() != theirs.identity.read_text()
    other.down()
    assert ssh(ours, "root", "hostname").stdout == f"{ours.name}\n"


@pytest.mark.nightly
def test_two_commands_at_once_take_turns(other: Lab) -> None:
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(Lab(other.state).add) for _ in range(2)]
        names = sorted(future.result()[0].name for future in futures)
    assert names == ["lab1", "lab2"]
    assert len({host.address for host in other.hosts()}) == 2


@pytest.mark.nightly
def test_the_words_do_what_they_say(hosts: GetHosts, other: Lab, tmp_path: Path) -> None:
    hosts()

    def fab(*words: str, code: int = 0, given: str = "") -> str:
        env = {STATE_VARIABLE: str(other.state), "XDG_STATE_HOME": str(tmp_path / "state")}
        done = Project(CHECKOUT, env).fab(*words, code=code, given=given)
        return done.out + done.err

    assert "no lab hosts" in fab("lab.list")
    assert "the hosts are named lab1,lab2" in fab("lab.up", "-H", "lab2,lab3", code=2)
    assert "lab2" in fab("lab.up", "-H", "lab1,lab2")
    assert [line.split()[:2] for line in fab("lab.list").strip().splitlines()[1:]] == [
        ["lab1", "on"],
        ["lab2", "on"],
    ]
    assert "lab1\n" in fab("lab.ssh", "-H", "lab1", "--user", "deploy", given="hostname\n")
    assert "link up, 50 ms" in fab("lab.network", "-H", "lab1", "--delay-ms", "50")
    assert "link black-hole" in fab("lab.network", "-H", "lab1", "--black-hole")
    assert "link up" in fab("lab.network", "-H", "lab1", "--restore")
    fab("lab.power-cut", "-H", "lab1,lab2")
    assert fab("lab.list").count(" off ") == 2
    fab("lab.boot", "-H", "lab1")
    fab("lab.reset", "-H", "lab2")
    assert fab("lab.list").count(" on ") == 2
    assert "number of at least 0" in fab("lab.network", "-H", "lab1", "--delay-ms=-1", code=2)
    assert "there are: lab1, lab2" in fab("lab.boot", "-H", "lab3", code=2)
    assert "no suite" in fab("lab.up", "--suite", "potato", code=2)
    fab("lab.down", "-H", "lab1")
    fab("lab.down")
    assert evidence(other) == NOTHING


def test_unknown_names_and_suites_are_refused_clearly(lab: Lab, hosts: GetHosts) -> None:
    hosts()
    with pytest.raises(LabError, match=r"no lab host nobody; there are: lab1.*CW904"):
        lab.boot(["nobody"])
    with pytest.raises(LabError, match="no suite 'potato'"):
        lab.up(1, "potato")


def test_under_sudo_the_person_can_use_what_root_made(
    hosts: GetHosts, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts()
    monkeypatch.setenv("SUDO_UID", "65534")
    theirs = Lab(tmp_path / "person" / "lab", cache=lab.cache)
    try:
        host = theirs.up()[0]
        own = (theirs.state / "lab.json", places.lab_hosts(theirs.state))
        for path in (theirs.state.parent, theirs.state, host.identity, host.known_hosts, *own):
            assert path.stat().st_uid == 65534, path
        assert host.path("/etc/passwd").stat().st_uid == 0
    finally:
        theirs.down()


def test_a_line_to_a_host_that_is_off_stays_silent(host: LabHost) -> None:
    host.power_cut()
    host.restore()
    with pytest.raises(TimeoutError):
        socket.create_connection((host.address, host.port), 0.3)
    host.boot()


def test_without_root_it_says_so(lab: Lab, tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from pathlib import Path; from cartwheel.errors import LabError\n"
        "from cartwheel_lab import Lab; lab = Lab(Path(sys.argv[1])); os.setuid(65534)\n"
        "try: lab.up()\nexcept LabError as e: print(e, e.hint)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "x")],
        env={**os.environ, "PYTHONPATH": SOURCES},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ("the lab needs root [CW901] Run the same command again with sudo.\n"), (
        done.stderr
    )
    assert STATE_VARIABLE in os.environ  # what lets `fab` in a subprocess find this lab
    assert threading.active_count() < 50
