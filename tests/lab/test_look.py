"""What a monitor sees of a real host, and that its key allows nothing else, by a real sshd."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cartwheel.errors import ConnectError
from cartwheel.host.state.watchers import USER
from cartwheel.host.wire.monitors import AskMonitors, AskSshd, Sshd
from cartwheel_lab import LabHost
from tests.kit.host import await_sessions, current, get, status
from tests.kit.look import Monitor, ask
from tests.kit.project import SHOP, Project, new_project
from tests.kit.waiting import until
from tests.kit.web_servers import SERVERS
from tests.lab.conftest import GetHosts

pytestmark = pytest.mark.timeout(300)

SETTINGS = (
    SHOP
    + """
[processes.worker]
command = "python -m work"
[timers.tick]
command = "python -c 'print(1)'"
schedule = "0 3 1 1 *"
[files."open.ini"]
template = "deploy/open.ini.j2"
mode = "0644"
"""
)
WORK = "import time\nwhile True:\n    time.sleep(1)\n"
HOME = "/var/lib/cartwheel/look"
LOOK = "/usr/local/lib/cartwheel/.look"
# Of the host's files below Cartwheel's folders, what that user can read, write, list, connect to.
WALK = """
import json, os, socket, stat, sys
found = {"read": [], "written": [], "listed": [], "connected": []}
def tried(what, path, function):
    try:
        function()
        found[what].append(path)
    except OSError:
        pass
def opened(path, flags):
    os.close(os.open(path, flags | os.O_NONBLOCK, 0o600))
for path in sys.stdin.read().splitlines():
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        continue
    if stat.S_ISDIR(mode):
        tried("listed", path, lambda: os.listdir(path))
        tried("written", path, lambda: opened(path + "/look-was-here", os.O_CREAT | os.O_WRONLY))
        tried("written", path, lambda: os.chmod(path, 0o777))
    elif stat.S_ISSOCK(mode):
        tried("connected", path, lambda: socket.socket(socket.AF_UNIX).connect(path))
    elif not stat.S_ISLNK(mode):
        tried("read", path, lambda: opened(path, os.O_RDONLY))
        tried("written", path, lambda: opened(path, os.O_WRONLY | os.O_APPEND))
        tried("written", path, lambda: os.chmod(path, 0o777))
    tried("written", path, lambda: os.rename(path, path + ".moved"))
print(json.dumps(found))
"""


def prepare(project: Project) -> None:
    """With a file of configuration that all may read who get that far."""
    project.settings(SETTINGS)
    project.write("app/work.py", WORK)
    project.write("deploy/open.ini.j2", "hush = hush")


@pytest.fixture(scope="module")
def project(module_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = new_project(tmp_path_factory.mktemp("shop"))
    prepare(project)
    project.fab("setup", "-H", module_host.name)
    return project


@pytest.fixture(scope="module")
def monitor(tmp_path_factory: pytest.TempPathFactory) -> Monitor:
    return Monitor.new("shop", tmp_path_factory.mktemp("keys"))


def walk(host: LabHost) -> dict[str, list[str]]:
    """What that user can do to all files of Cartwheel's."""
    host.path("/tmp/walk.py").write_text(WALK)
    places = "/srv /run/cartwheel /var/lib/cartwheel /usr/local/lib/cartwheel /etc/systemd/system"
    script = f"find {places} > /tmp/list; su {USER} -c 'python3 -I /tmp/walk.py < /tmp/list'"
    found: dict[str, list[str]] = json.loads(host.sh(script + "; rm /tmp/walk.py /tmp/list"))
    return found


# A file of each kind that it may read in the application's folder. Of what all may read there, it
# knows no names: it can list neither that folder nor a release's.
MAY_READ = {
    "journal.jsonl",
    "disabled.json",
    "assignments/*.json",
    "releases/*/release.json",
    "releases/*/settings.json",
    "releases/*/steps.json",
    "releases/*/maintenance.html",
    "releases/*/maintenance.zh.html",
    "timers/*/*.json",
}


def assert_reads_only(host: LabHost, app: str = "shop") -> None:
    found = walk(host)
    assert found["written"] == []
    assert found["connected"] == []
    root = Path("/srv", app)
    inside = [Path(one) for one in found["read"] if root in Path(one).parents]
    unknown = [
        one for one in inside if not any(one.relative_to(root).match(may) for may in MAY_READ)
    ]
    assert unknown == []
    kinds = {may for may in MAY_READ if any(one.relative_to(root).match(may) for one in inside)}
    assert {"journal.jsonl", "releases/*/release.json"} <= kinds
    listed = {one for one in found["listed"] if one.startswith(f"{root}/") or one == str(root)}
    may_list = {f"{root}/timers", f"{root}/assignments", f"{root}/timers/tick"}
    assert listed - may_list <= {f"{root}/stopped", f"{root}/locks", f"{root}/acme-webroot"}
    assert f"/var/lib/cartwheel/{app}.json" not in found["read"]


class TestStory:
    """One host, from its first monitor to the last; each test goes on where the last one ended."""

    def test_a_monitor_is_let_in(
        self, module_host: LabHost, project: Project, monitor: Monitor
    ) -> None:
        first = monitor.allow(module_host)
        assert (first.user, first.version, first.problems) == (USER, "1.0.0", ())
        assert monitor.allow(module_host).changed == (), "the second time nothing changes"
        found = monitor.look(module_host)
        (app,) = found.apps
        assert (app.app, app.release, app.problem, app.front) == ("shop", "", "", None)

    def test_the_truth_is_told_after_a_deploy(
        self, module_host: LabHost, project: Project, monitor: Monitor
    ) -> None:
        before = monitor.look(module_host).cursor
        project.fab("deploy", "-H", module_host.name)
        get(module_host)
        status(module_host, "/no-such-page")
        found = monitor.look(module_host, f"since {before}")
        assert found.unread == {}
        (app,) = found.apps
        assert app.release == current(module_host, "shop")
        assert app.release.startswith(app.version.replace("+", "."))
        assert (app.front, app.locked, app.pending, app.problem) == ("", False, False, "")
        assert [(one.process, one.active, one.restarts) for one in app.processes] == [
            ("web", "active", 0),
            ("worker", "active", 0),
        ]
        assert [(one.name, one.result, one.due) for one in app.timers] == [("tick", "", None)]
        assert [(one.kind, one.result) for one in app.entries] == [("deploy", "confirmed")]
        first = monitor.app(module_host)
        assert (first.entries, [one.result for one in first.past]) == ((), ["confirmed"])
        live = first.live
        assert live is not None and live.release == app.release
        assert (live.version, live.packages["shop"]) == (app.version, app.version)
        assert live.packages.keys() >= {"gunicorn", "shop"} and live.python and live.who
        assert live.settings.keys() >= {"app.name"}, "noted after the journal's entry"
        assert (list(live.files), list(live.processes), list(live.timers)) == (
            ["open.ini"],
            ["worker"],
            ["tick"],
        )
        assert "0 3 1 1 *" in live.timers["tick"]
        later = monitor.look(module_host, f"since {monitor.look(module_host).cursor}")
        assert later.apps[0].entries == ()
        assert later.apps[0].requests is not None
        before_get = later.cursor
        get(module_host)
        requests = monitor.look(module_host, f"since {before_get}").apps[0].requests
        assert requests is not None
        assert (requests.count, requests.failed) == (1, 0)

    def test_its_user_reads_what_it_needs_and_nothing_else(
        self, module_host: LabHost, project: Project, monitor: Monitor
    ) -> None:
        assert_reads_only(module_host)
        assert "hush" in module_host.sh("cat /srv/shop/releases/*/files/open.ini")

    def test_nothing_else_is_done_for_its_key(
        self, module_host: LabHost, project: Project, monitor: Monitor, tmp_path: Path
    ) -> None:
        for attempt in attempts(module_host, monitor, tmp_path):
            attempt.assert_refused(module_host)

    def test_what_sshd_allows_the_key(
        self, module_host: LabHost, project: Project, monitor: Monitor, tmp_path: Path
    ) -> None:
        """In its own words; and neither variables nor a socket get anywhere."""
        done = monitor.run(module_host, "hello", options=("-vv", "-A", "-o", "LogLevel=DEBUG2"))
        (options,) = {one for one in done.stderr.splitlines() if "key options:" in one}
        assert options.split("key options:")[1].split() in (["command"], ["command", "restrict"])
        variables = (
            "LD_PRELOAD=/tmp/x.so PYTHONPATH=/tmp PYTHONINSPECT=1 SSH_ORIGINAL_COMMAND=id LC_ALL=x"
        )
        told = monitor.run(module_host, "hello", options=("-o", f"SetEnv={variables}"))
        assert set(json.loads(told.stdout)) == {"protocol", "version", "time"}
        assert told.stderr == ""
        # The socket of the bus is one that everybody on the host may use.
        way = f"{tmp_path}/s:/run/dbus/system_bus_socket"
        with running(monitor.ssh(module_host, "-N", "-L", way)):
            until((tmp_path / "s").exists, 10)
            talk = ["python3", "-c", TALK, f"{tmp_path}/s"]
            said = subprocess.run(talk, capture_output=True, text=True, timeout=20, check=True)
        assert said.stdout == "b''\n"

    def test_the_last_one_leaves_nothing(
        self, module_host: LabHost, project: Project, monitor: Monitor
    ) -> None:
        assert monitor.forbid(module_host).left == ()
        assert not monitor.is_let_in(module_host)
        assert_nothing_left(module_host)
        assert monitor.forbid(module_host).removed == (), "the second time there is nothing"


class TestOthers:
    """Two monitors, marks, runs and faults: what a look says of them."""

    @pytest.fixture(scope="class")
    def served(self, module_host: LabHost, project: Project, monitor: Monitor) -> Iterator[LabHost]:
        project.fab("deploy", "-H", module_host.name)
        monitor.allow(module_host)
        yield module_host
        await_sessions(module_host)

    @pytest.mark.nightly
    def test_marks_of_people(self, served: LabHost, project: Project, monitor: Monitor) -> None:
        name = served.name
        project.fab("maintenance.on", "-H", name)
        assert monitor.app(served).closed
        assert monitor.app(served).front == "", "the health is answered all the same"
        assert_reads_only_but_pages(served)
        project.fab("maintenance.off", "-H", name)
        project.fab("lock.hold", "--message", "a test", "-H", name)
        found = monitor.app(served)
        assert (found.closed, found.frozen) == (False, True)
        assert monitor.allow(served).changed == (), "a freeze is not about monitors"
        project.fab("lock.release", "-H", name)
        project.fab("timer.pause", "--name", "tick", "-H", name)
        assert monitor.app(served).timers[0].paused
        project.fab("timer.resume", "--name", "tick", "-H", name)
        project.fab("process.stop", "--name", "worker", "-H", name)
        assert [one.process for one in monitor.app(served).processes] == ["web"]
        project.fab("process.start", "--name", "worker", "-H", name)
        project.fab("stop", "-H", name)
        found = monitor.app(served)
        assert (found.stopped, found.processes, found.timers, found.front) == (True, (), (), None)
        project.fab("start", "-H", name)
        found = monitor.app(served)
        assert (found.stopped, found.front, len(found.processes)) == (False, "", 2)

    @pytest.mark.nightly
    def test_a_run_of_a_timer(self, served: LabHost, project: Project, monitor: Monitor) -> None:
        project.fab("timer.run", "--name", "tick", "-H", served.name)
        until(lambda: monitor.app(served).timers[0].result == "done", 20)
        found = monitor.app(served).timers[0]
        assert (found.name, found.number, found.due) == ("tick", 1, None)
        assert found.began is not None

    @pytest.mark.nightly
    def test_faults(self, served: LabHost, project: Project, monitor: Monitor) -> None:
        unit = served.sh("systemctl list-units --plain --no-legend 'cartwheel-shop.worker*'")
        served.sh(f"systemctl kill -s KILL {unit.split()[0]}; systemctl stop {unit.split()[0]}")
        worker = monitor.app(served).processes[1]
        assert worker.process == "worker"
        assert worker.active in ("inactive", "failed")
        served.sh(f"systemctl start {unit.split()[0]}")
        served.sh("systemctl stop nginx")
        assert monitor.app(served).front == "nothing listens on port 80"
        served.sh("systemctl start nginx")
        until(lambda: monitor.app(served).front == "", 10)
        # A socket that does not answer: every process of it is stopped.
        web = served.sh("systemctl list-units --plain --no-legend 'cartwheel-shop.web*'").split()[0]
        served.sh(f"systemctl kill -s STOP {web}")
        assert monitor.app(served).front == "/healthz did not answer within 3 s"
        served.sh(f"systemctl kill -s CONT {web}")
        until(lambda: monitor.app(served).front == "", 20)
        served.sh("mv /usr/bin/systemctl /usr/bin/systemctl.away")
        try:
            found = monitor.look(served)
            assert "units" in found.unread
            assert found.apps[0].front == ""
        finally:
            served.sh("mv /usr/bin/systemctl.away /usr/bin/systemctl")

    @pytest.mark.nightly
    def test_a_deploy_that_fails(self, served: LabHost, project: Project, monitor: Monitor) -> None:
        before = monitor.look(served)
        project.write("app/app.py", "raise RuntimeError('broken')\n")
        run = project.begin("deploy", "-H", served.name)
        try:
            until(lambda: monitor.app(served).locked, 60)
        finally:
            assert run.wait(120) != 0
        project.app("good again")
        until(lambda: not monitor.app(served).locked, 30)
        found = monitor.look(served, f"since {before.cursor}").apps[0]
        assert found.release == before.apps[0].release
        assert [(one.kind, one.result) for one in found.entries] in (
            [("deploy", "failed")],
            [],  # it was refused before anything was done
        )

    @pytest.mark.nightly
    def test_a_deploy_afterwards(self, served: LabHost, project: Project, monitor: Monitor) -> None:
        before = monitor.look(served)
        project.app("another text")
        project.settings(SETTINGS)
        run = project.begin("deploy", "-H", served.name)
        seen = set()
        while run.poll() is None:
            look = monitor.look(served)
            assert look.apps[0].problem == ""
            seen.add(look.apps[0].locked)
        assert run.wait(60) == 0
        assert True in seen
        found = monitor.look(served, f"since {before.cursor}").apps[0]
        assert found.release != before.apps[0].release
        assert [(one.kind, one.result) for one in found.entries] == [("deploy", "confirmed")]
        assert_reads_only(served)

    @pytest.mark.nightly
    def test_two_monitors(
        self, served: LabHost, project: Project, monitor: Monitor, tmp_path: Path
    ) -> None:
        other = Monitor.new("other", tmp_path)
        served.sh(f"echo '# a comment of root' >> {HOME}/.ssh/authorized_keys")
        other.allow(served)
        assert other.is_let_in(served)
        assert monitor.is_let_in(served)
        assert set(ask(served, "shop", AskMonitors()).keys) == {"shop", "other"}
        again = Monitor.new("other", tmp_path / "new")
        again.allow(served)
        assert again.is_let_in(served)
        assert not other.is_let_in(served), "its key was replaced"
        with running(again.ssh(served, "-N", "-M", "-S", str(tmp_path / "kept"))) as kept:
            until((tmp_path / "kept").exists, 10)
            assert again.forbid(served).left == ("shop",)
            assert kept.wait(20) != 0, "who is logged in is put out"
        assert not again.is_let_in(served)
        assert monitor.is_let_in(served)
        assert "# a comment of root" in served.sh(f"cat {HOME}/.ssh/authorized_keys")

    @pytest.mark.nightly
    def test_only_a_later_look_replaces_one(self, served: LabHost, monitor: Monitor) -> None:
        assert monitor.allow(served, version="1.1.0").version == "1.1.0"
        earlier = monitor.allow(served, version="1.0.9")
        assert (earlier.version, earlier.changed) == ("1.1.0", ())
        assert monitor.look(served, "hello").version == "1.1.0"
        assert len(served.sh(f"ls {LOOK}").split()) == 2

    @pytest.mark.nightly
    def test_where_it_may_come_from(self, served: LabHost, monitor: Monitor) -> None:
        monitor.allow(served, sources="192.0.2.7 2001:db8::/32")
        assert not monitor.is_let_in(served)
        monitor.allow(served, sources="192.0.2.7 127.0.0.0/8 10.0.0.0/8")
        assert monitor.is_let_in(served)
        monitor.allow(served)

    @pytest.mark.nightly
    @pytest.mark.parametrize(
        ("line", "says"),
        [
            ("AllowUsers root", "AllowUsers"),
            ("AllowGroups root sudo", "AllowGroups"),
            (f"DenyUsers {USER}", "DenyUsers"),
            ("PubkeyAuthentication no", "PubkeyAuthentication"),
            ("AuthorizedKeysFile /etc/ssh/keys/%u", "AuthorizedKeysFile"),
            (f"Match User {USER}\\n  ForceCommand /bin/false", "ForceCommand"),
        ],
    )
    def test_sshd_refuses_the_key(
        self, served: LabHost, monitor: Monitor, line: str, says: str
    ) -> None:
        """By that user's settings alone: the operator still logs in."""
        where = "/etc/ssh/sshd_config.d/look.conf"
        rule = (
            line if line.startswith(("Match", "Allow", "Deny")) else f"Match User {USER}\\n  {line}"
        )
        served.sh(f"printf '{rule}\\n' > {where}; systemctl reload ssh")
        try:
            found = until(lambda: refused_by_sshd(served), 20)
            assert found is not None
            assert not monitor.is_let_in(served)
            assert [one for one in found.reasons if one.startswith(says)]
            assert any(one.lower().startswith(says.lower()) for one in found.settings)
        finally:
            served.sh(f"rm {where}; systemctl reload ssh")
        until(lambda: monitor.is_let_in(served), 10)
        assert refused_by_sshd(served) is None

    @pytest.mark.nightly
    def test_two_apps_and_uninstall(
        self, served: LabHost, monitor: Monitor, project: Project, tmp_path: Path
    ) -> None:
        second = new_project(tmp_path)
        second.settings(SHOP.replace('name = "shop"', 'name = "blog"') + "[web]\nlisten = 8081\n")
        second.fab("setup", "-H", served.name)
        second.fab("deploy", "-H", served.name)
        found = monitor.look(served)
        assert [(one.app, one.front, one.problem) for one in found.apps] == [
            ("blog", "", ""),
            ("shop", "", ""),
        ]
        assert_reads_only(served, "blog")
        project.fab("uninstall", "--yes", "-H", served.name)
        assert [one.app for one in monitor.look(served).apps] == ["blog"]
        second.fab("uninstall", "--yes", "-H", served.name)
        assert_nothing_left(served)


def assert_reads_only_but_pages(host: LabHost) -> None:
    """While the site is closed: also what its visitors are shown, and by whom it was closed."""
    found = walk(host)
    assert found["written"] == found["connected"] == []
    inside = [one for one in found["read"] if "/maintenance/" in one]
    assert inside
    assert not [one for one in found["listed"] if one.endswith("/maintenance")]


def refused_by_sshd(host: LabHost) -> Sshd | None:
    """What sshd says once it has read its settings again: it may drop a login meanwhile."""
    try:
        found = ask(host, "shop", AskSshd("10.0.0.7"))
    except ConnectError:
        return None
    assert found.problem == ""
    return found if found.reasons else None


@contextmanager
def running(argv: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A client that stays, until the end of the block."""
    client = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    try:
        yield client
    finally:
        client.kill()
        client.wait(10)


def assert_nothing_left(host: LabHost) -> None:
    """Neither the user nor a file nor an entry in a list."""
    gone = f"! getent passwd {USER} && ! getent group {USER} && ! ls -d {HOME} {LOOK} 2>/dev/null"
    host.sh(gone)
    lists = (
        "import os; print([p for top in ('/srv', '/var/lib') for d, f, n in os.walk(top)"
        " for p in [d, *(os.path.join(d, one) for one in n)]"
        " if not os.path.islink(p) and any('posix_acl' in x for x in os.listxattr(p))"
        " and '/var/lib/systemd' not in p and '/var/log' not in p])"
    )
    assert host.sh(f'python3 -c "{lists}"').strip() == "[]"


# -- what else may be tried with the key


class Attempt:
    """A command of OpenSSH's client. `says`: what is in its output where it is refused."""

    def __init__(self, monitor: Monitor, argv: list[str], *, given: str = "") -> None:
        self._argv = argv
        self._given = given
        self._monitor = monitor

    def assert_refused(self, host: LabHost) -> None:
        done = subprocess.run(
            self._argv, input=self._given, capture_output=True, text=True, timeout=30, check=False
        )
        shown = f"{self._argv}: {done}"
        assert done.returncode != 0, shown
        assert "uid=" not in done.stdout + done.stderr, shown
        assert "root:" not in done.stdout, shown
        assert host.sh("ls /tmp/planted* /var/tmp/planted* 2>/dev/null || true") == "", shown
        assert not Path("/tmp/planted").exists(), shown


REFUSED = (
    *(
        "id",
        "sh",
        "/bin/sh -i",
        "bash -c id",
        "python3",
        "sudo -n id",
        "su -c id",
        "cat /etc/passwd",
    ),
    *("state;touch /tmp/planted", "state; id", "state && id", "state | sh", "state `id`"),
    *("$(touch /tmp/planted)", "state $(id)", "state\nid", "state\n", "since $(id)", "since ;id"),
    *("since 1/1/shop:1:1:1;id", "since 1/1/../../../etc/passwd:1:1:1", "hello --help", "HELLO"),
    *("systemctl stop nginx", "fab", "cartwheel", "recover", "internal-sftp", "rsync --server . ."),
    *("-c id", "--help", "state" * 20_000, "since 1/1" + "/a:1:1:1" * 5_000, "\x1b[2J", "st\xe4te"),
)


def attempts(host: LabHost, monitor: Monitor, folder: Path) -> Iterator[Attempt]:
    ssh, given = monitor.ssh, "id; touch /tmp/planted\n"
    # One login, many words.
    kept = ("-S", str(folder / "kept"))
    with running(ssh(host, "-N", "-M", *kept)):
        until((folder / "kept").exists, 10)
        for word in REFUSED:
            yield Attempt(monitor, [*ssh(host, *kept), word])
        yield Attempt(monitor, ssh(host, *kept), given=given)
    yield Attempt(monitor, ssh(host), given=given)
    yield Attempt(monitor, ssh(host, "-tt"), given=given)
    yield Attempt(monitor, [*ssh(host, "-tt"), "sh"], given=given)
    yield Attempt(monitor, [*ssh(host, "-s"), "sftp"], given=given)
    # Ways through: by TCP, to a socket, back to us, a network device.
    yield Attempt(monitor, ssh(host, "-W", "127.0.0.1:80"), given="GET / HTTP/1.0\r\n\r\n")
    yield Attempt(monitor, ssh(host, "-W", "127.0.0.1:22"))
    back = ("-N", "-o", "ExitOnForwardFailure=yes")
    yield Attempt(monitor, ssh(host, *back, "-R", "0:127.0.0.1:80"))
    yield Attempt(monitor, ssh(host, *back, "-R", "/tmp/planted:127.0.0.1:80"))
    yield Attempt(monitor, ssh(host, *back, "-w", "0:0"))
    # Copies.
    secret = folder / "secret"
    secret.write_text("x")
    words = ssh(host)[1:-1]
    there = f"{USER}@{host.address}:"
    for program in (["scp", "-O"], ["scp", "-s"]):
        yield Attempt(monitor, [*program, *words, str(secret), f"{there}/tmp/planted"])
        yield Attempt(monitor, [*program, *words, f"{there}/etc/passwd", str(folder / "got")])
    batch = f"put {secret} /tmp/planted\nget /etc/passwd {folder}/got\n"
    yield Attempt(monitor, ["sftp", *words, "-b", "-", there.rstrip(":")], given=batch)
    # As somebody else.
    for user in ("root", "shop", "ops"):
        yield Attempt(monitor, [*ssh(host, user=user), "id"])


TALK = """
import socket, sys
s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect(sys.argv[1])
s.sendall(b"\\0AUTH EXTERNAL\\r\\n")
try:
    print(s.recv(100))
except ConnectionError:
    print(b"")
"""


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("suite", "name"), [("bullseye", "nginx"), ("trixie", "nginx"), ("bookworm", "apache")]
)
def test_other_systems(
    hosts: GetHosts, suite: str, name: str, monitor: Monitor, tmp_path: Path
) -> None:
    server = SERVERS[name]
    host = hosts(suite=suite, packages=server.packages)[0]
    host.reset()
    project = new_project(tmp_path / "shop")
    prepare(project)
    project.settings(SETTINGS + server.web)
    project.fab("setup", "-H", host.name)
    monitor.allow(host)
    project.fab("deploy", "-H", host.name)
    found = monitor.look(host)
    assert found.unread == {}
    (app,) = found.apps
    assert (app.front, app.problem, len(app.processes)) == ("", "", 2)
    get(host)
    requests = monitor.look(host, f"since {found.cursor}").apps[0].requests
    assert requests is not None
    log = host.sh(f"tail -n 5 {server.logs}/shop.access.log")
    assert (requests.count, requests.failed, requests.times[0]) == (1, 0, 1), log
    assert_reads_only(host)
    for attempt in attempts(host, monitor, tmp_path):
        attempt.assert_refused(host)
    project.fab("uninstall", "--yes", "-H", host.name)
    assert_nothing_left(host)
