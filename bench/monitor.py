"""The monitor with pretended hosts: what it costs, whether it is late, how soon it tells.

The real watcher runs against a hundred pretended hosts (bench/watched_hosts.py) and twenty sites
(bench/watched_sites.py), as it runs on a lab host. First all are well; then ten hosts hang, five in
the look and five before they greet; then ten sites go down, each at a random moment and in one of
four ways, and come back. A webhook on loopback hears of it. Prints one table; the exit code is 1 if
a figure exceeds its limit.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.endurance import Row, table
from bench.watched_hosts import HOSTS_OF_AN_SSHD, WatchedHosts, watched_hosts
from bench.watched_sites import TROUBLES, WatchedSites, Way, watched_sites
from cartwheel.project import monitor_app
from tests.kit.ending import clean_up_when_ended
from tests.kit.waiting import until
from tests.kit.webhook import Webhook, webhook

MOST_CORES = 0.3
MOST_MEGABYTES = 200
LATE_SECONDS = 25.0  # from one look at a host to the next; it is due after 20 s
TOLD_SECONDS = 45.0
RECOVERED_SECONDS = 30.0
ENDED_SECONDS = 20.0  # then systemd kills it: stop_seconds of its process
GROUP = 10  # hosts that have the same two applications
# What it may take until somebody has heard; a miss is a figure in the table, no hang.
PATIENCE_SECONDS = 150.0
_TURN_SECONDS = 0.05


@dataclass(frozen=True)
class Size:
    """How much is watched, and for how long."""

    hosts: int = 100
    warm_seconds: float = 60.0
    seconds: float = 180.0
    hang_seconds: float = 90.0
    hanging: int = 2 * HOSTS_OF_AN_SSHD
    projects: int = 1

    @property
    def groups(self) -> int:
        return self.hosts // GROUP


QUICK = Size(hosts=20, warm_seconds=25.0, seconds=60.0, hang_seconds=45.0)


@dataclass
class Outage:
    """A site that went down: when, until when, and when somebody heard of either."""

    app: str
    way: Way
    began: float = 0.0
    told: float | None = None
    ended: float = 0.0
    recovered: float | None = None


@dataclass(frozen=True)
class Usage:
    """Of a process, up to now: seconds of the processor, and bytes in memory."""

    at: float
    cpu: float
    memory: int
    peak: int
    threads: int

    @classmethod
    def of(cls, pid: int) -> Usage:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        cpu = (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        )
        size = {name: int(status[name].split()[0]) << 10 for name in ("VmRSS", "VmHWM")}
        threads = int(status["Threads"])
        return cls(time.monotonic(), cpu, size["VmRSS"], size["VmHWM"], threads)


class Heard:
    """What the webhook took, with the time."""

    def __init__(self, hook: Webhook) -> None:
        self._hook = hook
        self._times: list[float] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Heard:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join(10)

    def _listen(self) -> None:
        while not self._ending.wait(_TURN_SECONDS):
            while len(self._times) < len(self._hook.taken):
                self._times.append(time.time())

    @property
    def titles(self) -> list[tuple[float, str]]:
        return list(zip(self._times, self._hook.titles))  # noqa: B905 - the last has no time yet

    def since(self, at: float) -> list[str]:
        return [title for when, title in self.titles if when >= at]

    def when(self, title: str, since: float) -> float | None:
        """When it came first, from then on."""
        return next((at for at, one in self.titles if at >= since and one == title), None)


@dataclass
class Bench:
    """All that takes part."""

    size: Size
    hosts: WatchedHosts
    sites: WatchedSites
    heard: Heard
    watcher: subprocess.Popen[bytes]
    chance: random.Random = field(default_factory=random.Random)

    def run(self) -> list[Row]:
        time.sleep(self.size.warm_seconds)
        return [*self._well(), *self._hanging(), *self._outages(), self._end()]

    def _well(self) -> Iterator[Row]:
        began, before = time.time(), Usage.of(self.watcher.pid)
        time.sleep(self.size.seconds)
        after = Usage.of(self.watcher.pid)
        cores = (after.cpu - before.cpu) / (after.at - before.at)
        yield Row("all are well: cores", cores, most=MOST_CORES)
        yield Row("resident MB", after.memory / 1e6, most=MOST_MEGABYTES)
        yield Row("threads", after.threads)
        looks = self.hosts.asked(began)
        yield Row("looks", sum(map(len, looks.values())))
        yield Row("hosts never looked at", len(self.hosts.hosts) - len(looks), most=0)
        yield from self._intervals(began, [one.name for one in self.hosts.hosts])
        yield Row("messages", len(self.heard.since(0)), most=0)

    def _hanging(self) -> Iterator[Row]:
        half = self.size.hanging // 2
        silent = self.hosts.hosts[: self.size.hanging]
        began, before = time.time(), Usage.of(self.watcher.pid)
        self.hosts.freeze(silent[:half])
        self.hosts.hang(silent[half:])
        time.sleep(self.size.hang_seconds)
        after = Usage.of(self.watcher.pid)
        told = self.heard.titles
        cores = (after.cpu - before.cpu) / (after.at - before.at)
        yield Row(f"{len(silent)} hosts hang: cores", cores, most=MOST_CORES)
        yield Row("threads", after.threads)
        yield from self._intervals(
            began, [one.name for one in self.hosts.hosts if one not in silent]
        )
        yield Row("messages", len([at for at, _ in told if at >= began]), least=1)
        first = next((at for at, _ in told if at >= began), None)
        if first is not None:
            yield Row("until somebody heard of it, s", first - began)
        thawed = time.time()
        self.hosts.thaw()
        until(lambda: any("recovered: " in one for one in self.heard.since(thawed)),
              PATIENCE_SECONDS, shown=lambda: self.heard.since(began))  # fmt: skip
        time.sleep(self.size.warm_seconds / 2)

    def _intervals(self, since: float, names: Sequence[str]) -> Iterator[Row]:
        looks = self.hosts.asked(since)
        every = [gap for name in names for gap in gaps(looks.get(name, ()), since)]
        yield Row("from look to look, s: median", statistics.median(every))
        yield Row("from look to look, s: longest", max(every), most=LATE_SECONDS)
        probes = {name: [at for at in times if at >= since]
                  for name, times in self.sites.asked.items()}  # fmt: skip
        longest = max(gap for times in probes.values() for gap in gaps(times, since))
        yield Row("from probe to probe of a site, s: longest", longest, most=LATE_SECONDS)

    def _outages(self) -> Iterator[Row]:
        apps = [apps_of(group)[group % 2] for group in range(self.size.groups)]
        ways = itertools.cycle(TROUBLES)
        every = [Outage(app, way) for app, way in zip(apps, ways)]  # noqa: B905 - it has no end
        began = time.time()
        threads = [threading.Thread(target=self._outage, args=(one,), daemon=True) for one in every]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(3 * PATIENCE_SECONDS)
        for one in every:
            print(f"  {one.app} {one.way}: told after {_since(one.told, one.began)},"
                  f" of its recovery after {_since(one.recovered, one.ended)}")  # fmt: skip
        told = [one.told - one.began if one.told else PATIENCE_SECONDS for one in every]
        back = [one.recovered - one.ended if one.recovered else PATIENCE_SECONDS for one in every]
        yield Row("sites that went down", len(every))
        yield Row("until somebody heard of it, s: median", statistics.median(told))
        yield Row("until somebody heard of it, s: longest", max(told), most=TOLD_SECONDS)
        yield Row("of its recovery, s: median", statistics.median(back))
        yield Row("of its recovery, s: longest", max(back), most=RECOVERED_SECONDS)
        others = len(self.heard.since(began)) - 2 * len(every)
        yield Row("other messages", others, most=0, least=0)

    def _outage(self, one: Outage) -> None:
        title = f"{one.app} does not answer"
        time.sleep(self.chance.uniform(0, 60))
        one.began = time.time()
        self.sites.set(one.app, one.way)
        one.told = self._wait(title, one.began)
        time.sleep(self.chance.uniform(5, 40))
        one.ended = time.time()
        self.sites.set(one.app, "well")
        one.recovered = self._wait(f"recovered: {title}", one.ended)

    def _end(self) -> Row:
        assert self.watcher.poll() is None, "the watcher has ended"
        began = time.monotonic()
        self.watcher.terminate()
        self.watcher.wait(2 * ENDED_SECONDS)
        took = time.monotonic() - began
        return Row("until the watcher has ended, s", took, most=ENDED_SECONDS)

    def _wait(self, title: str, since: float) -> float | None:
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            found = self.heard.when(title, since)
            if found is not None:
                return found
            time.sleep(_TURN_SECONDS)
        return None


def main() -> int:
    """Measure, print, judge."""
    clean_up_when_ended()
    options = argparse.ArgumentParser(prog="bench/monitor", description=__doc__)
    options.add_argument("--quick", action="store_true", help="20 hosts, for a short time")
    options.add_argument("--projects", type=int, default=1, help="that share the hosts evenly")
    options.add_argument("--hanging", type=int, help="hosts, a multiple of ten")
    options.add_argument("--profile", type=Path, help="keep the watcher's profile in this file")
    given = options.parse_args()
    size = QUICK if given.quick else Size()
    size = replace(size, projects=given.projects, hanging=given.hanging or size.hanging)
    if os.geteuid() != 0:
        options.error("it needs root: the pretended hosts have a user that only they see")
    with prepared(size, given.profile) as bench:
        loads = [os.getloadavg()[0]]
        rows = bench.run()
        loads.append(os.getloadavg()[0])
    print(f"{size.hosts} hosts, {os.cpu_count()} processors, load {loads[0]:.1f} to {loads[1]:.1f}")
    print(table(rows))
    return 1 if any(row.is_over for row in rows) else 0


@contextmanager
def prepared(size: Size, profile: Path | None) -> Iterator[Bench]:
    """Hosts, sites and the webhook run, and the watcher has begun."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)  # the forced command runs as another user
        program = monitor_app.sources(folder / "program")
        shared = folder / "shared"
        shared.mkdir(mode=0o700)
        environment = {**os.environ, "CARTWHEEL_SHARED": str(shared), "PYTHONPATH": str(program)}
        command = [sys.executable, "-m", "cartwheel_monitor"]
        asked = subprocess.run(
            [*command, "key"], env=environment, check=True, capture_output=True, timeout=60
        )
        key = json.loads(asked.stdout)["key"]
        names = [(f"web{n:03}", apps_of(n // GROUP)) for n in range(size.hosts)]
        hosts = stack.enter_context(watched_hosts(folder / "hosts", names, key))
        apps = [app for group in range(size.groups) for app in apps_of(group)]
        sites = stack.enter_context(watched_sites(apps))
        hook = stack.enter_context(webhook())
        write_lists(folder / "watch.d", size, hosts, sites, hook)
        if profile is not None:
            command[1:] = ["-m", "bench.profiled", str(profile)]
            here = Path(__file__).resolve().parent.parent
            environment["PYTHONPATH"] += f":{here}"
        watcher = stack.enter_context(watching([*command, "watch"], environment))
        heard = stack.enter_context(Heard(hook))
        yield Bench(size, hosts, sites, heard, watcher)


@contextmanager
def watching(
    command: Sequence[str], environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """The watcher, while it runs."""
    process = subprocess.Popen(command, env=environment, cwd="/")
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def apps_of(group: int) -> tuple[str, str]:
    """The two applications of a group of hosts."""
    return f"app{2 * group:02}", f"app{2 * group + 1:02}"


def write_lists(
    folder: Path, size: Size, hosts: WatchedHosts, sites: WatchedSites, hook: Webhook
) -> None:
    """The watch lists, as `fab monitor.install` writes them. A group belongs to one project."""
    folder.mkdir(mode=0o700)
    for project in range(size.projects):
        groups = range(project, size.groups, size.projects)
        apps = [app for group in groups for app in apps_of(group)]
        mine = [one for one in hosts.hosts if one.apps[0] in apps]
        listed = {
            "format": 1,
            "project": f"project{project:02}",
            "sites": [
                {
                    "app": app,
                    "url": sites.url(app),
                    "hosts": [one.name for one in mine if app in one.apps],
                }
                for app in apps
            ],
            "hosts": [
                {
                    "name": one.name,
                    "address": "127.0.0.1",
                    "port": one.port,
                    "keys": [hosts.public_key],
                    "apps": list(one.apps),
                }
                for one in mine
            ],
            "messengers": {"room": hook.address()},
        }
        (folder / f"project{project:02}.json").write_text(json.dumps(listed))


def gaps(times: Sequence[float], since: float) -> list[float]:
    """From each to the next, with the time before the first and up to now."""
    return [then - one for one, then in itertools.pairwise([since, *times, time.time()])]


def _since(at: float | None, before: float) -> str:
    return f"{at - before:.1f} s" if at is not None else "never"


if __name__ == "__main__":
    sys.exit(main())
