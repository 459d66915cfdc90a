"""Power cuts that lose unsynced data: every disk that one may leave, and `recover` on each.

A command is recorded once; `disk` computes the states that a file system may keep of it. Each such
disk is put on the host, as after a boot, and the installed `recover` runs on it.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from cartwheel.errors import LabError
from cartwheel_lab import LabHost
from cartwheel_lab.faults import disk, harness, recorder
from cartwheel_lab.faults.disk import Content, Enter, History, State
from cartwheel_lab.faults.recorder import Recorder
from cartwheel_lab.faults.shelf import Scope, Shelf
from tests.kit.faulting import Shore
from tests.kit.host import await_sessions

Scenario = Literal["first", "redeploy", "rollback", "upgrade", "recover"]
SCENARIOS: tuple[Scenario, ...] = ("first", "redeploy", "rollback", "upgrade", "recover")
"""`upgrade` is a redeploy by a newer Cartwheel, which also installs the new host side. `recover`
is the way back at a boot from an unconfirmed switch, during which the power fails again."""

_PENDING = "/srv/shop/pending.json"
_STATES = "/opt/lab-states"
_CONFIRMED = "to the operator: result confirm"
_BOOT_SECONDS = 120.0
# Rewritten while the release exists; a release is complete without them, or with older ones.
_MOVING = ("/http.sock", "/.http.sock.spare", "/steps.json", "/settings.json", "/assigned.json")

SCOPE = Scope(
    folders=(
        "/srv/shop",
        "/usr/local/lib/cartwheel",
        "/var/lib/cartwheel",
        "/etc/nginx/conf.d",
        "/etc/nginx/sites-enabled",
        "/etc/systemd/system",
        "/etc/logrotate.d",
    ),
    trees=re.compile(
        r"(/srv/shop/releases/[^/]+/(\.gone-)?venv"
        r"|/usr/local/lib/cartwheel/\.(pip|uv)/[^/]+"
        r"|/usr/local/lib/cartwheel/shop/.*/__pycache__)(?=/|$)"
    ),
    ignored=re.compile(
        r"^/srv/shop/(shared|cache/pip)(/|$)"
        r"|^/etc/(systemd/system|logrotate\.d)/(?!\.?cartwheel|multi-user\.target\.wants)"
        r"|^/etc/systemd/system/multi-user\.target\.wants/(?!cartwheel)"
    ),
    mounts=("/srv",),  # as if it were a separate disk, so that no syncfs covers both
)


@dataclass(frozen=True)
class Recording:
    """A successful command. `old` served before (or nothing: ""), `new` afterwards. `decided` is
    the place of the confirming unlink in the history, `answered` the number of operations that
    were done when the operator got the confirmation."""

    scenario: Scenario
    history: History
    shelf: Shelf
    old: str
    new: str
    decided: int
    answered: int

    def serves(self, spans: Sequence[tuple[int, int]]) -> set[str]:
        """The releases that may serve after a power cut at any of these moments."""
        allowed = {self.old, self.new}
        for first, last in spans:
            if first <= self.decided:
                allowed &= {self.old}
            if last >= self.answered:
                allowed &= {self.new}
        return allowed


@dataclass
class Found:
    """One disk, and the result of trying it."""

    number: int
    spans: tuple[tuple[int, int], ...]
    violations: list[str] = field(default_factory=list)
    seconds: float = 0.0
    deployed: bool = False

    def __str__(self) -> str:
        return f"disk {self.number} (cut at {self.spans}): {'; '.join(self.violations) or 'ok'}"


@dataclass
class Durability:
    """The disks of one recorded command, tried one after the other on its host."""

    shore: Shore
    recording: Recording
    disks: list[tuple[State, tuple[tuple[int, int], ...]]] = field(default_factory=list)
    tried: int = 0

    def __post_init__(self) -> None:
        found = list(disk.cuts(self.recording.history))
        self.tried = len(found)
        self.disks = disk.distinct(iter(found))
        self._known = self._whole_releases()

    def _whole_releases(self) -> dict[str, set[Content]]:
        """The allowed content of each file of a complete release: as before, or as after."""
        history = self.recording.history
        known: dict[str, set[Content]] = {}
        before = History(history.born, history.names, ())
        for state in (disk.all_written(before), disk.all_written(history)):
            for path, content in state.items():
                if re.match(r"/srv/shop/releases/[^.][^/]+/", path):
                    known.setdefault(path, set()).add(content)
        return known

    def survive(self, number: int, *, deploy: bool = False) -> Found:
        """Boot with this disk and judge it; `deploy` adds a plain deploy of the same source."""
        state, spans = self.disks[number]
        found = Found(number, spans, deployed=deploy)
        began = time.monotonic()
        try:
            said = boot_with(self.shore, self.recording.shelf, state)
            if said["code"]:
                found.violations.append(f"recover: exit {said['code']}: {said['out'][-400:]}")
            seen = look(self.shore)
            found.violations += judge(seen, self.recording.serves(spans))
            self._judge_files(found, seen)
            if deploy:
                self.shore.fab("deploy")
                await_sessions(self.shore.host)
                found.violations += judge(look(self.shore), None)
        except (AssertionError, LabError) as error:
            found.violations.append(f"{type(error).__name__}: {str(error)[:1200]}")
        found.seconds = time.monotonic() - began
        return found

    def forbidden(self, number: int) -> list[str]:
        """Violations on a disk that show without a boot, so without a host."""
        state, spans = self.disks[number]
        answered = any(last >= self.recording.answered for _first, last in spans)
        return list(self._forbidden(state, answered))

    def _forbidden(self, state: State, answered: bool) -> Iterator[str]:
        if answered and _PENDING in state:
            yield "pending after the operator was told that it is confirmed"
        for path in (_PENDING, "/var/lib/cartwheel/shop.json"):
            if path in state and (state[path].torn or not state[path].data):
                yield f"{path} is torn"
        complete = {
            path.split("/")[4]
            for path, content in state.items()
            if re.fullmatch(r"/srv/shop/releases/[^.][^/]+/release\.json", path)
            and content.data
            and not content.torn
        }
        yield from self._not_whole(state, complete)
        for name in ("current", "fallback", "previous"):
            link = state.get(f"/srv/shop/{name}")
            if link is not None and link.data.removeprefix("releases/") not in complete:
                yield f"{name} points to {link.data}, which is not complete"
        host_side = "/usr/local/lib/cartwheel/shop/"
        version = state[host_side + "current"].data if host_side + "current" in state else ""
        torn = [path for path in state if path.startswith(host_side + version) and state[path].torn]
        if torn or f"{host_side}{version}/cartwheel/host/recover.py" not in state:
            yield f"the host side {version!r} is not complete: {torn[:3]}"

    def restore(self) -> None:
        """Bring the host to its state after the recorded command."""
        boot_with(self.shore, self.recording.shelf, disk.all_written(self.recording.history))

    def _judge_files(self, found: Found, seen: dict[str, Any]) -> None:
        """Everything marked complete has every file, as recorded."""
        now = self.recording.shelf.scan(SCOPE, keep=False)
        found.violations += self._not_whole(now, set(seen["complete"]))

    def _not_whole(self, state: State, complete: set[str]) -> Iterator[str]:
        for path, contents in self._known.items():
            moving = path.endswith(_MOVING)
            if path.split("/")[4] in complete and not moving and state.get(path) not in contents:
                yield f"{path} is {state.get(path)}"


def judge(seen: Mapping[str, Any], allowed: set[str] | None) -> list[str]:
    """All broken promises. `allowed`: the releases that may serve ("": nothing); None: any."""
    return [*_judge_releases(seen, allowed), *_judge_serving(seen)]


def _judge_releases(seen: Mapping[str, Any], allowed: set[str] | None) -> Iterator[str]:
    release = seen["current"]
    if allowed is None and not release:
        yield "nothing serves after a plain deploy"
    if allowed is not None and release not in allowed:
        yield f"{release or 'nothing'} serves instead of {sorted(allowed)}"
    for name, problems in seen["complete"].items():
        if problems:
            yield f"{name} is taken for whole: {problems[:3]}"
    for link in ("current", "fallback", "previous"):
        if seen[link] and seen[link] not in seen["complete"]:
            yield f"{link} points to {seen[link]}, which is not complete"
    if release != seen["fallback"]:
        yield f"fallback is {seen['fallback']}, current {release}"
    if seen["pending"]:
        yield "still pending"


def _judge_serving(seen: Mapping[str, Any]) -> Iterator[str]:
    release = seen["current"]
    runs = [name.split(".", 2)[2].partition("@")[0] for name in seen["runs"]]
    if runs != ([release] if release else []):
        yield f"runs {seen['runs']}, current is {release}"
    if release and seen["answer"] != seen["mark"]:
        yield f"answers {seen['answer']!r} instead of {seen['mark']!r}"
    if not release and "mark" in seen["answer"]:
        yield f"half a first deploy answers: {seen['answer']}"
    if not seen["enabled"]:
        yield "nothing is started at the next boot"


def record(shore: Shore, scenario: Scenario) -> Recording:
    """Run the scenario's command undisturbed, and record what it does to the disk.

    Raises AssertionError if replaying the record does not give the disk's final state.
    """
    if scenario == "recover":
        return _record_recover(shore)
    words = shore.prepare("redeploy" if scenario == "upgrade" else scenario)
    if scenario == "upgrade":
        _make_host_side_old(shore)
    seen = look(shore)
    assert judge(seen, None if scenario != "first" else {""}) == [], "not in order"
    before = seen["current"]
    shelf = Shelf(shore.host.path("/"), shore.host.path(_STATES))
    shutil.rmtree(shelf.folder, ignore_errors=True)
    shelf.folder.mkdir(mode=0o700)
    watching = Recorder(shelf, SCOPE)
    watching.begin()
    with harness.on(shore.host, watching.witness) as taps:
        shore.fab(*words)
        await_sessions(shore.host)
    history = watching.end()
    _assert_is_there(history, shelf)
    assert taps.session is not None
    decided = _unlink_of_pending(watching)
    (answered,) = watching.moments(taps.session.points, _CONFIRMED)
    assert decided < answered
    return Recording(scenario, history, shelf, before, look(shore)["current"], decided, answered)


def _record_recover(shore: Shore) -> Recording:
    """Record `recover` at the boot after a redeploy that was interrupted before it confirmed."""
    forward = record(shore, "redeploy")
    until = forward.history.operations[: forward.decided]
    shore.sh(_STOP)
    forward.shelf.lay(disk.all_written(replace(forward.history, operations=until)), SCOPE)
    shore.sh(_START)
    watching = Recorder(forward.shelf, SCOPE)
    watching.begin()
    with harness.on(shore.host, watching.witness) as taps:
        _write_watched_recover(shore.host)
        shore.sh(_RECOVER_WATCHED)
        await_sessions(shore.host)
    history = watching.end()
    _assert_is_there(history, forward.shelf)
    assert taps.session is not None
    assert look(shore)["current"] == forward.old
    never = len(history.operations) + 1
    return Recording(
        "recover", history, forward.shelf, forward.old, forward.new, decided=never, answered=never
    )


def _write_watched_recover(host: LabHost) -> None:
    """The installed script, run by the interpreter whose calls wait for the harness."""
    own = host.path("/usr/local/lib/cartwheel/shop/recover").read_text()
    watched, places = re.subn(r"\S+ -I -B ", f"{harness.TAP} -I -B ", own)
    assert places == 1, own
    host.path("/run/lab-recover").write_text(watched)


def _make_host_side_old(shore: Shore) -> None:
    """Make the installed host side look like that of another version of Cartwheel."""
    shore.sh(
        "cd /usr/local/lib/cartwheel/shop; now=$(readlink current); mv $now 0123456789abcdef;"
        " echo '# older' >>0123456789abcdef/cartwheel/host/events_of_old.py;"
        " ln -sfn 0123456789abcdef current"
    )


def _assert_is_there(history: History, shelf: Shelf) -> None:
    told, there = disk.all_written(history), shelf.scan(SCOPE)
    wrong = {
        path: (told.get(path), there.get(path))
        for path in told.keys() | there.keys()
        if told.get(path) != there.get(path)
    }
    assert not wrong, f"recorded, and on the disk: {dict(list(wrong.items())[:5])}"


def _unlink_of_pending(watching: Recorder) -> int:
    root = watching.writer.find("/srv/shop")
    places = [
        at
        for at, one in enumerate(watching.writer.operations)
        if isinstance(one, Enter) and (root, "pending.json", None) in one.entries
    ]
    assert len(places) == 1
    return places[0]


# --- a host with such a disk -------------------------------------------------------------------

_STOP = """
systemctl kill --signal=SIGKILL 'cartwheel-shop.*' 2>/dev/null || true
systemctl stop 'cartwheel-shop.*' cartwheel-shop nginx 2>/dev/null || true
systemctl reset-failed 2>/dev/null || true
rm -rf /run/cartwheel
"""
_START = """
mount -o remount,bind,rw /proc/sys/kernel/random/boot_id
cat /proc/sys/kernel/random/uuid >/proc/sys/kernel/random/boot_id
systemctl daemon-reload
systemctl start nginx || true
"""
_RECOVER = """
code=0; out=$(/usr/local/lib/cartwheel/shop/recover --boot 2>&1) || code=$?
python3 -c 'import json, sys; print(json.dumps({"code": int(sys.argv[1]), "out": sys.argv[2]}))' \
  $code "$out"
"""
_RECOVER_WATCHED = """
systemd-run --quiet --pipe --wait --collect --unit=cartwheel-session-recover \\
  sh /run/lab-recover --boot </dev/null
"""


def boot_with(shore: Shore, shelf: Shelf, state: State) -> dict[str, Any]:
    """Boot the host with this disk; returns the output of `recover` and its exit status."""
    shore.sh(_STOP)
    shelf.lay(state, SCOPE)
    said: dict[str, Any] = json.loads(shore.host.sh(_START + _RECOVER, timeout=_BOOT_SECONDS))
    return said


_LOOK = r"""
import base64, hashlib, json, marshal, os, re, subprocess, urllib.request
ROOT = "/srv/shop"

def link(name):
    try:
        return os.path.basename(os.readlink(os.path.join(ROOT, name)))
    except OSError:
        return ""

def problems(release):
    venv = os.path.join(ROOT, "releases", release, "venv")
    site = os.path.join(venv, "lib")
    found, records = [], 0
    if not os.path.exists(venv + "/bin/python"):
        found.append("no interpreter")
    try:
        if "home" not in open(venv + "/pyvenv.cfg").read():
            found.append("no pyvenv.cfg")
    except OSError:
        found.append("no pyvenv.cfg")
    for at, _, names in os.walk(venv):
        for name in names:
            path = os.path.join(at, name)
            if name.endswith(".pyc"):
                try:
                    marshal.loads(open(path, "rb").read()[16:])
                except Exception as error:
                    found.append("%s: %s" % (path, error))
            if name != "RECORD":
                continue
            records += 1
            base = os.path.dirname(at)
            for line in open(path):
                name, digest, _ = line.strip().rsplit(",", 2)
                file = os.path.normpath(os.path.join(base, name.strip('"')))
                if not os.path.exists(file):
                    found.append(file + " is missing")
                elif file.startswith(venv + "/bin/"):  # it names this very interpreter
                    if not open(file).read().startswith("#!" + venv + "/bin/python"):
                        found.append(file + " is damaged")
                elif digest:
                    kind, value = digest.split("=", 1)
                    real = hashlib.new(kind, open(file, "rb").read()).digest()
                    if base64.urlsafe_b64encode(real).rstrip(b"=").decode() != value:
                        found.append(file + " is damaged")
    if records < 2:
        found.append("%d packages" % records)
    return found

complete, mark = {}, ""
for name in sorted(os.listdir(ROOT + "/releases")) if os.path.isdir(ROOT + "/releases") else []:
    try:
        manifest = json.load(open("%s/releases/%s/release.json" % (ROOT, name)))
    except (OSError, ValueError):
        continue
    if manifest.get("release") == name:
        complete[name] = problems(name)
current = link("current")
for at, _, names in os.walk("%s/releases/%s/venv/lib" % (ROOT, current)) if current else ():
    if "app.py" in names:
        found = re.search(r'^MARK = "(.*)"', open(at + "/app.py").read(), re.M)
        mark = found.group(1) if found else mark
try:
    with urllib.request.urlopen("http://127.0.0.1/healthz", timeout=10) as answer:
        text = answer.read().decode(errors="replace")
    answer = json.loads(text)["version"]
except Exception as error:
    answer = "%s: %s" % (type(error).__name__, error)
units = subprocess.run(
    ["systemctl", "list-units", "--all", "--plain", "--no-legend", "cartwheel-shop.web*.service"],
    stdout=subprocess.PIPE, universal_newlines=True).stdout
runs = [line.split()[0] for line in units.splitlines()
        if line.split()[2] not in ("inactive", "failed", "deactivating")]
wants = "/etc/systemd/system/multi-user.target.wants/cartwheel-shop.service"
print(json.dumps({
    "current": current, "fallback": link("fallback"), "previous": link("previous"),
    "pending": os.path.lexists(ROOT + "/pending.json"), "complete": complete, "mark": mark,
    "answer": answer, "runs": runs, "enabled": os.path.exists(wants),
}))
"""


def look(shore: Shore) -> dict[str, Any]:
    """What the host has and serves, read without Cartwheel."""
    done = shore.host.exec(["python3", "-I", "-c", _LOOK])
    assert done.returncode == 0, done.stderr.decode()
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def told(one: Durability) -> str:
    """The numbers of a recording, for a person."""
    history = one.recording.history
    return (
        f"{one.recording.scenario}: {len(history.operations)} operations, "
        f"{recorder.syncs(history)} of them syncs; {one.tried} disks, {len(one.disks)} different"
    )
