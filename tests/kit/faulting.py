"""Strike a deploy at one point with one fault, under load, and judge what is left.

`Shore.survive` is one try; it returns every broken promise. A shore may have several hosts; each
command is for all of them, and one of them is struck.
"""

from __future__ import annotations

import itertools
import json
import os
import secrets
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from cartwheel.errors import Exit, LabError
from cartwheel_lab import Lab, LabHost
from cartwheel_lab.faults import harness, kinds
from cartwheel_lab.faults.kinds import Fault
from cartwheel_lab.faults.points import Point, calls, messages
from cartwheel_lab.load import Plan
from cartwheel_lab.visitors import Visits, visiting
from tests.kit import apps, processes, secure, timers
from tests.kit.fab import Fab, fab
from tests.kit.project import Project, fabfile, new_project
from tests.kit.secrecy import Sentinels, found_in, guest_finds, journal, kept_in, logged

Scenario = Literal["first", "redeploy", "rollback"]
Result = dict[str, Any]
SCENARIOS: tuple[Scenario, ...] = ("first", "redeploy", "rollback")

DISK_MB = 1500
LEASE_SECONDS = 3.0
DRAIN_SECONDS = 2.0
SETTLED_SECONDS = 25.0  # beyond the lease: start, drain, stop, on a busy machine
POLL_SECONDS = 0.5
COMMAND_SECONDS = 90.0
SILENCE_SECONDS = 10.5
REPORTED_SECONDS = 15.0  # limit for reporting a dead line
BUSY_STALL_SECONDS = 3.0  # several hosts on two processors

SETTINGS = f"""
env_file = ".env"
[app]
name = "shop"
source = "app"
entry = "app:app"
[secrets]
FROM_FILE = {{ file = "secret-file" }}
FROM_ENV = {{ env = "SECRET_OF_THE_OPERATOR" }}
[tests]
skip = true
[health]
deadline_seconds = 5
[deploy]
keep_releases = 2
lease_seconds = {LEASE_SECONDS}
confirm_seconds = 20
drain_seconds = {DRAIN_SECONDS}
probation_seconds = 0.5
[gunicorn]
workers = 1
threads = 8
"""

VISITORS = Plan(seconds=240, pause_seconds=0.2, keep_alive=1, close=1, slow=1, upload=1, stream=1)

# Everything that a fault may leave and that must be gone later, one line each.
_LEFT = """
test ! -e /srv/shop/pending.json || echo pending
test "$(readlink /srv/shop/current)" = "$(readlink /srv/shop/fallback)" || echo "fallback differs"
systemctl list-units --all --plain --no-legend 'cartwheel-session-*' 'cartwheel-*.scope'
systemctl list-units --failed --plain --no-legend 'cartwheel*' 'nginx*' 'apache2*'
names='s/^cartwheel-shop\\.[a-z]*\\.\\([0-9].*\\)@\\.service$/\\1/p'
for name in $(ls /etc/systemd/system | sed -n "$names"); do
  test -d /srv/shop/releases/$name || echo "unit file of $name"
done
pgrep -af '[p]ython3 -I -c|[p]ip install|[s]ystemd-run' || true
"""
_LEFT_BEHIND = """
find /srv/shop /etc/systemd/system /etc/nginx /etc/apache2 /run/cartwheel /usr/local/lib/cartwheel \
  -path '*/venv' -prune \
  -o \\( -name '.*cartwheel-*' -o -name '.gone-*' -o -name '*.spare' \\) -print 2>/dev/null || true
"""


def settings(server: str) -> str:
    """With this kind of web server."""
    return SETTINGS + f'[web]\nserver = "{server}"\n'


@dataclass(frozen=True)
class State:
    """What a host serves, read without Cartwheel. `answer` is a visitor's answer, or the error."""

    release: str
    mark: str
    answer: str
    status: str
    instances: tuple[str, ...]
    left: tuple[str, ...]
    whole: bool

    @property
    def serves(self) -> bool:
        return bool(self.release) and self.whole and self.answer == self.mark


@dataclass
class Try:
    """One fault at one point: the violations, and the command's end."""

    scenario: Scenario
    point: Point
    fault: str
    struck: bool = False
    code: int | None = None
    seconds: float = 0.0
    violations: list[str] = field(default_factory=list)
    said: str = ""

    def __str__(self) -> str:
        how = "; ".join(self.violations) or ("ok" if self.struck else "not reached")
        ended = f"exit {self.code}, {self.seconds:.0f} s"
        return f"{self.scenario}: {self.fault} at <{self.point}> ({ended}): {how}"


@dataclass
class Shore:
    """A host and a project on it, for one fault after the other. `others` are further hosts of
    every command, which no fault strikes. `whole`: the application has processes besides web, and
    timers. `secure`: it is served over HTTPS too, with a new certificate for each release.
    `server`: the kind of its web server."""

    host: LabHost
    project: Project
    others: tuple[LabHost, ...] = ()
    whole: bool = False
    secure: bool = False
    server: str = "nginx"
    mark: str = ""  # the source's current mark
    stall_seconds: float = BUSY_STALL_SECONDS
    sentinels: Sentinels = field(default_factory=dict)
    certificate: str = ""  # the project's, as PEM

    # -- the scenarios

    def prepare(self, scenario: Scenario) -> tuple[str, ...]:
        """Bring the host to the scenario's initial state; returns the words of its command."""
        if scenario == "first":
            self.renew()
        else:
            serving = bool(self.look().release)
            for _ in range(0 if serving and self.has_previous() else 2):
                self.deploy_new()
        self.sh("rm -f /srv/shop/shared/told")  # what an earlier try cut off
        if scenario == "rollback":
            return ("rollback",)
        self.new_code()
        return ("deploy",)

    def has_previous(self) -> bool:
        return bool(self.sh("readlink /srv/shop/previous || true").strip())

    def new_code(self) -> None:
        self.mark = f"mark-{time.time_ns()}"
        more = processes.SETTINGS + timers.settings(self.mark) if self.whole else ""
        if self.secure:
            self.certificate = secure.renew(self.project)
            more += secure.SETTINGS
        self.project.settings(settings(self.server) + more)
        self.project.write(f"app/{processes.MODULE}.py", processes.PROGRAM)
        self.project.write("app/app.py", apps.busy(self.mark))

    def deploy_new(self) -> None:
        self.new_code()
        self.fab("deploy")

    @property
    def hosts(self) -> tuple[LabHost, ...]:
        """All hosts, sorted by name; the first one is the canary."""
        return tuple(sorted((self.host, *self.others), key=lambda host: host.name))

    @property
    def names(self) -> str:
        return ",".join(host.name for host in self.hosts)

    def fab(self, *words: str) -> None:
        self.project.fab(*words, "-H", self.names)

    def sh(self, script: str) -> str:
        return self.host.sh(script)

    def renew(self) -> None:
        """Restore the state after setup, so that a broken try does not affect the next one."""
        for host in self.hosts:
            host.restore()
        Lab(self.host.lab).reset([host.name for host in self.hosts], saved=True)

    @contextmanager
    def using(self, checkout: Path) -> Iterator[None]:
        """Run the commands of another checkout during the block."""
        own = (self.project.folder / "fabfile.py").read_text()
        self.project.write("fabfile.py", fabfile(checkout))
        try:
            yield
        finally:
            self.project.write("fabfile.py", own)

    # -- recording

    def record(self, scenario: Scenario) -> list[Point]:
        """The points of the scenario's command, from an undisturbed run."""
        words = self.prepare(scenario)
        with harness.on(self.host) as taps:
            self.fab(*words)
        assert taps.session is not None
        return taps.session.points

    # -- one try

    def survive(self, scenario: Scenario, point: Point, fault: Fault) -> Try:
        """Inject the fault, undo it, and judge: at once, after a reboot, after a plain deploy."""
        one = Try(scenario, point, fault.name)
        began = time.monotonic()
        try:
            words = self.prepare(scenario)
            before, since = self.look_at_all(), time.time()
            told = self._strike(one, words, fault)
            after = self.look_at_all()
            for name, state in after.items():
                self._judge_what_serves(one, before[name], state)
            self._judge_report(one, fault, told, before, after)
            self._judge_agreement(one, told, after)
            self._judge_processes(one, fault)
            self._judge_timers(one, after[self.host.name])
            self._judge_https(one)
            self._judge_reboot(one, fault, after[self.host.name])
            self._judge_next_deploy(one)
            self._judge_runs(one, fault, since)
        except (AssertionError, LabError, subprocess.TimeoutExpired) as error:
            one.violations.append(f"{type(error).__name__}: {str(error)[:1500]}")
        one.seconds = time.monotonic() - began
        return one

    def suffer(self, words: tuple[str, ...], point: Point, fault: Fault) -> Try:
        """Inject a fault into a prepared redeploy and undo it; judge only the output."""
        one = Try("redeploy", point, fault.name)
        self._strike(one, words, fault)
        return one

    def _strike(self, one: Try, words: tuple[str, ...], fault: Fault) -> Result | None:
        """Run the command with the fault; returns its result, if it printed one."""
        with self._load(one, fault):
            with (
                harness.on(self.host) as taps,
                fab(self.project, *words, "-H", self.names) as running,
            ):
                strike = kinds.strike_with(fault, self.host, running.process.pid)
                taps.aim(lambda point, _number: point == one.point, strike)
                try:
                    one.code = running.end(COMMAND_SECONDS)
                finally:
                    one.said = running.errors[-600:] + json.dumps(running.said[-3:])[-1500:]
                    fault.undo(self.host)
                    if self.whole and fault.disk:  # a timer that failed is well in the next minute
                        self.sh("systemctl reset-failed 'cartwheel-shop_timer.*.service' || true")
                one.struck = taps.struck.is_set()
            self._judge_talk(one, running, fault, taps.struck_at)
            self._await_order(one)
        return running.last_word

    @contextmanager
    def _load(self, one: Try, fault: Fault) -> Iterator[None]:
        """Visit the site during the block; a first deploy has no visitors yet.

        On a full disk nginx itself cannot store an upload, so there are none.
        """
        if one.scenario == "first" or fault.power:
            yield
            return
        visitors = replace(VISITORS, upload=0) if fault.disk else VISITORS
        with ExitStack() as stack:
            plans = {self.host: visitors, **dict.fromkeys(self.others, VISITORS)}
            visited = [stack.enter_context(visiting(*one)) for one in plans.items()]
            yield
        for visits in visited:
            self._judge_visits(one, visits)

    def _judge_visits(self, one: Try, visits: Visits) -> None:
        seen = visits.result
        if seen["failed"]:
            one.violations.append(f"{seen['failed']} requests failed: {seen['failures'][:3]}")
        if seen["longest_stall_seconds"] > self.stall_seconds:
            one.violations.append(
                f"a request stalled for {seen['longest_stall_seconds']} s ({seen['stalled']})"
            )

    def _judge_talk(self, one: Try, running: Fab, fault: Fault, struck_at: float) -> None:
        """The output has no traceback and no long silence; a dead line is noticed and reported."""
        shown = found_in(running.errors + json.dumps(running.said), self.sentinels)
        if shown:
            one.violations.append(f"secrets in the output: {shown}")
        if "Traceback" in running.errors or "Unexpected" in running.errors:
            one.violations.append(f"traceback: {running.errors[-800:]}")
        heard = [said["heard"] for said in running.said]
        gaps = [later - sooner for sooner, later in itertools.pairwise(heard)]
        if not fault.operator and max(gaps, default=0.0) > SILENCE_SECONDS:
            at = gaps.index(max(gaps))
            one.violations.append(f"silent for {max(gaps):.1f} s after {running.said[at]}")
        told = [
            said["heard"] - struck_at
            for said in running.said
            if said.get("state") == "failed" or said["type"] == "result"
        ]
        late = next((seconds for seconds in told if seconds > 0), REPORTED_SECONDS)
        if one.struck and fault.silent and late >= REPORTED_SECONDS:
            one.violations.append(f"the dead line was reported only after {late:.1f} s")

    # -- judging

    def look(self) -> State:
        """The current state of the struck host."""
        return _look(self.host)

    def look_at_all(self) -> dict[str, State]:
        return {host.name: _look(host) for host in self.hosts}

    def _await_order(self, one: Try) -> None:
        end = time.monotonic() + LEASE_SECONDS + SETTLED_SECONDS
        while (found := self._disorder()) and time.monotonic() < end:
            time.sleep(POLL_SECONDS)
        if found:
            one.violations.append(f"not in order after {SETTLED_SECONDS:g} s: {found}")

    def _disorder(self) -> list[str]:
        for host in self.hosts:
            if os.path.lexists(host.path("/srv/shop/pending.json")):
                return [f"{host.name}: pending"]
            state = _look(host)
            found = list(state.left) or _wrong(state)
            if self.whole and not found:
                found = processes.wrong(host, state.release) + timers.wrong(host, state.mark)
            if found:
                return [f"{host.name}: {text}" for text in found]
        return []

    def _judge_what_serves(self, one: Try, before: State, after: State) -> None:
        if one.scenario == "first" and not after.release:
            if "mark" in after.answer or after.status.startswith("5"):
                one.violations.append(f"a first deploy is partly reachable: {after}")
        elif not after.serves:
            one.violations.append(f"the live release is not well: {after}")
        if one.scenario != "first" and not after.release:
            one.violations.append(f"nothing serves any more; before: {before.release}")

    def _judge_report(
        self,
        one: Try,
        fault: Fault,
        result: Result | None,
        before: dict[str, State],
        after: dict[str, State],
    ) -> None:
        """P13: the report is true. A killed command reports nothing."""
        if result is None:
            if not fault.operator:
                one.violations.append(f"no result (exit {one.code}): {one.said}")
            return
        rows = {row["host"]: row for row in result.get("hosts") or []}
        for name, state in after.items():
            self._judge_row(one, rows.get(name, {}), before[name], state)

    def _judge_agreement(self, one: Try, result: Result | None, after: dict[str, State]) -> None:
        """P5: one release on all hosts, or the exit code says that a person must look and the table
        names the live release of each host. A command that was killed in the confirmation round
        reports nothing; then `status` must."""
        if len({state.release for state in after.values()}) == 1:
            return
        if result is None:
            text = self.project.fab("status", "-H", self.names, code=None).text
            missing = [state.release for state in after.values() if state.release not in text]
            if missing or "Different releases" not in text:
                one.violations.append(f"hosts differ, and status does not report it: {text}")
        elif one.code != Exit.ATTENTION:
            serve = {name: state.release for name, state in after.items()}
            one.violations.append(f"exit {one.code}, but hosts differ: {serve}")

    def _judge_processes(self, one: Try, fault: Fault) -> None:
        """P15, P16: no job was cut off, and nothing that must not run twice did."""
        if not self.whole or fault.power or fault.disk:
            return  # what is cut off with the power, or finds no room, tells nothing
        lines = processes.told(self.host)
        for process in (*processes.ALONE, timers.MINUTE):
            twice = processes.twice_at_once(lines, process)
            if twice:
                one.violations.append(f"{process} ran twice at once: {twice}")
        cut = processes.cut_off(self.host, lines)
        if cut:
            one.violations.append(f"cut off: {cut}")

    def _judge_timers(self, one: Try, state: State) -> None:
        """P16: each timer starts the job of the release that serves."""
        if not self.whole or not state.release:
            return
        for name in (timers.MINUTE, timers.RARE):
            run = timers.dispatched(self.host, name)
            if (run.release, run.result) != (state.release, "done"):
                one.violations.append(f"{state.release} serves, and a timer ran {run}")

    def _judge_runs(self, one: Try, fault: Fault, since: float) -> None:
        """P15: each minute has had its run, and no minute two; a full disk may cost runs."""
        if self.whole:
            found = timers.missed_or_twice(self.host, since, none_missed=not fault.disk)
            one.violations += [f"timer: {what}" for what in found]

    def _judge_https(self, one: Try) -> None:
        """P17: what is served is what the file holds; nothing of a change stays pending."""
        if not self.secure:
            return
        found = secure.wrong(self.host)
        if one.scenario == "first" and len(found) == 1 and found[0] in secure.NOTHING:
            return
        one.violations += [f"https: {what}" for what in found]

    def _judge_row(self, one: Try, told: Result, before: State, after: State) -> None:
        if one.code == Exit.OK and (told.get("serves") or told.get("release")) != after.release:
            one.violations.append(f"exit 0, reported {told}, but {after.release} serves")
        if one.code in (Exit.FAILED, Exit.REVERTED) and after.release != before.release:
            one.violations.append(
                f"exit {one.code}, but {after.release} serves instead of {before.release}"
            )
        known = told.get("serves_known", True) and "serves" in told
        if known and (told["serves"] or "") != after.release:
            one.violations.append(f"reported that {told['serves']} serves: it is {after.release}")

    def _judge_reboot(self, one: Try, fault: Fault, after: State) -> None:
        if fault.power or self.others:
            return  # it has rebooted already; or only tries with one host reboot
        self.host.power_cut()
        self.host.boot()
        end = time.monotonic() + SETTLED_SECONDS
        while (again := self.look()).release and not again.serves and time.monotonic() < end:
            time.sleep(POLL_SECONDS)
        if self.whole:
            self._await_order(one)
        if (again.release, again.serves) != (after.release, after.serves):
            one.violations.append(f"after a reboot {again} instead of {after}")

    def _judge_next_deploy(self, one: Try) -> None:
        """The next plain deploy succeeds, and afterwards nothing is left of the fault, and no
        secret shows."""
        self.fab("deploy")
        self._await_order(one)
        one.violations += self.told_secrets()
        if self.secure and secure.served(self.host) != self.certificate.strip():
            one.violations.append("https: the next deploy's certificate is not served")
        for host in self.hosts:
            state = _look(host)
            if not state.serves or state.mark != self.mark:
                one.violations.append(f"after the next deploy: {state} instead of {self.mark}")
            left = host.sh(_LEFT_BEHIND).split()
            whole = host.sh("ls -d /srv/shop/releases/*/release.json | wc -l").strip()
            there = host.sh("ls -d /srv/shop/releases/* | wc -l").strip()
            if left or whole != there:
                one.violations.append(f"left behind: {left}, {there} releases, {whole} whole")

    def told_secrets(self) -> list[str]:
        """Places with a secret: where another user of the struck host can read, in its journal and
        logs, in the records of runs."""
        found = guest_finds(self.host, self.sentinels)
        found += [f"log {path}" for path in logged(self.host, self.sentinels)]
        if told := found_in(journal(self.host), self.sentinels):
            found.append(f"journal {told}")
        return found + kept_in(self.project.folder / "state", self.sentinels)


def _wrong(state: State) -> list[str]:
    if not state.release:
        return [f"runs {name} though nothing serves" for name in state.instances]
    found = [] if len(state.instances) == 1 else [f"runs {state.instances}"]
    return found if state.serves else [*found, f"answers {state.answer!r}"]


_LOOK = r"""
release=$(basename "$(readlink /srv/shop/current)" 2>/dev/null || true)
echo "release=$release"
test -z "$release" || {
  cd /srv/shop/releases/$release
  sed -n 's/^MARK = "\(.*\)"/mark=\1/p' venv/lib/python3*/site-packages/app.py
  test ! -s release.json || echo whole=yes
}
curl -s --max-time 5 -w '\nstatus=%{http_code}' http://127.0.0.1/healthz | sed '1s/^/answer=/'; echo
systemctl list-units --all --plain --no-legend 'cartwheel-shop.web*.service' |
  awk '$3 == "active" || $3 == "activating" {print "runs=" $1}'
"""


def _look(host: LabHost) -> State:
    lines = host.sh(_LOOK + "\necho left\n" + _LEFT).splitlines()
    shown, left = lines[: lines.index("left")], lines[lines.index("left") + 1 :]
    values = dict(line.split("=", 1) for line in shown if "=" in line)
    try:
        answer = str(json.loads(values.get("answer", ""))["version"])
    except (ValueError, KeyError, TypeError):
        answer = values.get("answer", "")[:100]
    return State(
        release=values.get("release", ""),
        mark=values.get("mark", ""),
        answer=answer,
        status=values.get("status", ""),
        instances=tuple(line[5:] for line in shown if line.startswith("runs=")),
        left=tuple(left),
        whole=values.get("whole") == "yes",
    )


def new_shore(
    host: LabHost,
    folder: Path,
    others: Iterable[LabHost] = (),
    *,
    whole: bool = False,
    secure: bool = False,
    server: str = "nginx",
) -> Shore:
    """A host with the tap, after setup and before a deploy; `others` have no tap."""
    harness.install(host)
    sentinels = {
        kind: f"S3ntinel{kind}{secrets.token_hex(8)}" for kind in ("file", "env", "dotenv")
    }
    project = new_project(folder, env={"SECRET_OF_THE_OPERATOR": sentinels["env"]})
    project.settings(settings(server))
    project.write("secret-file", sentinels["file"])
    project.write(".env", f"FROM_DOTENV={sentinels['dotenv']}\n")
    shore = Shore(
        host,
        project,
        tuple(others),
        whole=whole,
        secure=secure,
        server=server,
        sentinels=sentinels,
    )
    shore.fab("setup")
    for one in shore.hosts:
        one.sh("apt-get clean")
    Lab(host.lab).save_disks([one.name for one in shore.hosts])
    return shore


def pairs(points: Iterable[Point]) -> list[tuple[Point, Fault]]:
    """Every fault at every point that it can hit."""
    known = list(points)
    chosen = [*messages(known), *calls(known)]
    return [
        (point, fault)
        for point in chosen
        for fault in kinds.FAULTS.values()
        if fault.can_hit(point)
    ]
