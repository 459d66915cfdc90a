"""Deploy and roll back many times on one host under load: does anyone notice, and what remains?

Two applications serve: a shop for requests, and a chat for websockets. Each round is a deploy of
new code and a rollback of both. During a rollback the host's package index is unreachable, and the
operator has only the host's own network. Afterwards the host must not have more of anything than
before. Prints one table; the exit code is 1 if a figure exceeds its limit.

With --monitor a monitor on a second host watches both applications meanwhile, and must tell nobody
anything: all that happens is deploys and rollbacks.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import census
from bench.census import Census
from cartwheel.events import silent
from cartwheel.host.web import kinds
from cartwheel_lab import Lab, LabHost, load
from cartwheel_lab.visitors import Visits, visiting
from tests.kit import apps, load_http2, load_websocket, secure
from tests.kit import messenger as messengers
from tests.kit.ending import clean_up_when_ended
from tests.kit.messenger import Messenger
from tests.kit.shop import Shop, new_shop
from tests.kit.visitors import KINDS, by_websocket, over_http2
from tests.kit.waiting import until

APP, CHAT = "shop", "chat"
ROUNDS = 100
KEEP_RELEASES = 5
LATE_SECONDS = 1.0  # beyond a request's own work
ROLLBACK_SECONDS = 2.0  # beyond the drain
MEMORY_GROWTH = 0.10
DISK_GROWTH = 0.01  # the releases' code differs by some bytes
REOPENED_SECONDS = 1.0
RESTARTED = "1012"  # RFC 6455: "Service Restart"
HOURS_SECONDS = 6 * 3600.0
_MOST_ROUNDS_A_MINUTE = 10
_HTTP, _SSH, _HTTPS = 3143, 3144, 3145  # inside a lab host: the services of the others
SERVERS = {kind.name: kind.unit for kind in kinds.KINDS}

# Everything else has Cartwheel's defaults: watch period, drain, lease.
SETTINGS = """
[app]
name = "{app}"
source = "app"
entry = "app:app"

[tests]
skip = true

[gunicorn]
{gunicorn}

[deploy]
keep_releases = {keep_releases}

[web]
server = "{server}"
server_names = ["{site}"]
"""
GUNICORN = {APP: "workers = 2\nthreads = 8", CHAT: 'workers = 1\nkind = "uvicorn"'}


@dataclass(frozen=True)
class Served:
    """How the host serves: the web server, and whether over HTTPS too."""

    server: str = "nginx"
    https: bool = False


@dataclass(frozen=True)
class Sites:
    """The applications on one host."""

    shop: Shop
    chat: Shop
    served: Served

    def deploy(self, host: LabHost) -> list[Taken]:
        """New code of both."""
        for one in (self.shop, self.chat):
            one.code()
        return [timed(one, host, "deploy") for one in (self.shop, self.chat)]

    def roll_back(self, host: LabHost) -> list[Taken]:
        with no_network(host) as inside:
            return [timed(one, host, "rollback", inside) for one in (self.shop, self.chat)]


@dataclass(frozen=True)
class Taken:
    """One command, in seconds from its start: when the other release had the traffic, when the
    old instance had answered its last requests and was stopped, when the command had ended."""

    serves: float
    drained: float
    ends: float

    @property
    def drain(self) -> float:
        return self.drained - self.serves

    @property
    def beyond_drain(self) -> float:
        return self.ends - self.drain


@dataclass(frozen=True)
class Row:
    """One line of the table: a figure, and its upper and lower limit."""

    what: str
    now: float
    most: float | None = None
    least: float | None = None
    before: float | None = None
    note: str = ""

    @property
    def is_over(self) -> bool:
        too_much = self.most is not None and self.now > self.most
        return too_much or (self.least is not None and self.now < self.least)


def main() -> int:
    clean_up_when_ended()
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=ROUNDS, help="deploys, and rollbacks")
    options.add_argument("--server", choices=sorted(SERVERS), default="nginx", help="in front")
    options.add_argument("--https", action="store_true", help="with HTTP/2, and secure websockets")
    options.add_argument("--monitor", action="store_true", help="with a monitor on a second host")
    options.add_argument("--minutes", type=float, default=0.0, help="go on for at least that long")
    given = options.parse_args()
    served = Served(given.server, given.https)
    with lab_hosts(2 if given.monitor else 1) as ((host, *others), folder):
        rows = endure(
            host,
            folder,
            given.rounds,
            served,
            minutes=given.minutes,
            monitor=others[0] if others else None,
        )
    print(table(rows))
    return 1 if any(row.is_over for row in rows) else 0


def endure(
    host: LabHost,
    folder: Path,
    rounds: int,
    served: Served,
    *,
    keep_releases: int = KEEP_RELEASES,
    rollback_seconds: float = ROLLBACK_SECONDS,
    minutes: float = 0.0,
    monitor: LabHost | None = None,
) -> list[Row]:
    """Run all rounds under load on a fresh host, and go on until these minutes have passed;
    returns the table's rows."""
    sites = in_use(host, folder, served, keep_releases)
    messenger = watched(sites, host, monitor) if monitor is not None else None
    before = census.of(host, APP)
    deploys: list[Taken] = []
    rollbacks: list[Taken] = []
    began, number = time.monotonic(), 0
    most = max(rounds, int(minutes * _MOST_ROUNDS_A_MINUTE))
    with visitors(host, sites, most) as visits:
        while number < rounds or time.monotonic() - began < 60 * minutes:
            number += 1
            deploys += sites.deploy(host)
            rollbacks += sites.roll_back(host)
            tell(number, *deploys[-2:], *rollbacks[-2:])
    lasted = time.monotonic() - began
    after = census.of(host, APP)
    return [
        *of_visitors([one.result for one in visits]),
        *of_commands(deploys, rollbacks, rollback_seconds),
        *of_host(before, after, number, served),
        *(of_monitor(sites, messenger, lasted) if messenger is not None else ()),
    ]


# --- the host and its applications


@contextmanager
def lab_hosts(count: int) -> Iterator[tuple[list[LabHost], Path]]:
    """Fresh hosts in their own lab, and a folder; all are removed at the end."""
    with tempfile.TemporaryDirectory(prefix="cartwheel-bench-") as scratch:
        lab = Lab(Path(scratch) / "lab", emit=silent)
        os.environ["CARTWHEEL_LAB_STATE"] = str(lab.state)
        try:
            yield lab.up(count=count), Path(scratch)
        finally:
            lab.down()


@contextmanager
def lab_host() -> Iterator[tuple[LabHost, Path]]:
    """One of them."""
    with lab_hosts(1) as ([host], folder):
        yield host, folder


def in_use(host: LabHost, folder: Path, served: Served, keep_releases: int) -> Sites:
    """Applications that have been in use: with as many releases as are kept, one of them rolled
    back, and with every kind of request sent before."""
    shop, chat = new_shop(folder / APP), new_shop(folder / CHAT, apps.chat)
    chat.project.write("app/requirements.txt", "websockets\n")
    for name, one in ((APP, shop), (CHAT, chat)):
        text = SETTINGS.format(
            app=name,
            gunicorn=GUNICORN[name],
            keep_releases=keep_releases,
            server=served.server,
            site=site_of(name),
        )
        if served.https:
            secure.renew(one.project, site_of(name))
            text += secure.SETTINGS
        one.project.settings(text)
        one.project.fab("setup", "-H", host.name)
        one.project.fab("deploy", "-H", host.name)
    sites = Sites(shop, chat, served)
    for _ in range(keep_releases - 1):
        sites.deploy(host)
    with visitors(host, sites, 1):
        sites.deploy(host)
        sites.roll_back(host)
    return sites


def site_of(app: str) -> str:
    return f"{app}.example.org"


@contextmanager
def visitors(host: LabHost, sites: Sites, rounds: int) -> Iterator[list[Visits]]:
    """All kinds of visitors during the block. An unknown release is a failure."""
    marks = [f"mark{number}" for number in range(1, sites.shop.marks + rounds + 1)]
    shop = load.Plan(
        host=site_of(APP),
        seconds=HOURS_SECONDS,
        pause_seconds=0.05,
        late_seconds=LATE_SECONDS,
        releases=marks,
    )
    https = sites.served.https
    chat = load_websocket.Plan(
        host=site_of(CHAT),
        port=443 if https else 80,
        tls=https,
        seconds=HOURS_SECONDS,
        late_seconds=LATE_SECONDS,
        releases=marks,
    )
    http2 = load_http2.Plan(
        host=site_of(APP),
        seconds=HOURS_SECONDS,
        clients=1,  # with the others no more requests of a second than the shop has threads
        late_seconds=LATE_SECONDS,
        releases=marks,
    )
    with ExitStack() as all_of_them:
        found = [
            all_of_them.enter_context(visiting(host, shop)),
            all_of_them.enter_context(by_websocket(host, chat)).visits,
        ]
        if https:
            found.append(all_of_them.enter_context(over_http2(host, http2)).visits)
        yield found


# --- the monitor


def watched(sites: Sites, host: LabHost, monitor: LabHost) -> Messenger:
    """A monitor that watches both applications, and the messenger that it would tell."""
    messenger = messengers.start(monitor)
    monitor.sh(f"echo {host.address} {site_of(APP)} {site_of(CHAT)} >>/etc/hosts")
    scheme, port = ("https", _HTTPS) if sites.served.https else ("http", _HTTP)
    for name, one in ((APP, sites.shop), (CHAT, sites.chat)):
        one.project.write("ops", messengers.ADDRESS)
        one.project.settings(
            (one.project.folder / "config/deploy.toml").read_text()
            + '[notify]\non = []\nto = { ops = { file = "ops" } }\n'
            + f'[monitor]\nurls = ["{scheme}://{site_of(name)}:{port}/healthz"]\n'
            + f'[inventory.hosts.{host.name}]\nmonitor_address = "{host.address}:{_SSH}"\n'
        )
        one.project.fab("monitor.install", "-H", monitor.name)
    # Its sessions stay: what they cost a host is no growth.
    until(lambda: not ill(sites, messenger), 60, shown="it has looked at everything")
    return messenger


def ill(sites: Sites, messenger: Messenger) -> list[str]:
    """What the monitor does not find well."""
    found = []
    for one in (sites.shop, sites.chat):
        said = one.project.fab("monitor.status", "-H", messenger.host.name, "--json", code=None)
        [result] = [line for line in map(json.loads, said.out.splitlines()) if "status" in line]
        found += [f"{each['name']}: {each['state']}" for each in result["status"]["targets"]]
    return [one for one in found if not one.endswith(": well")]


def of_monitor(sites: Sites, messenger: Messenger, lasted: float) -> list[Row]:
    """The monitor must have looked all the time, and sent no message."""
    told, wrong = messenger.heard(), ill(sites, messenger)
    return [
        Row("minutes that the monitor watched", round(lasted / 60, 1)),
        Row("messages of the monitor", len(told), most=0, note="; ".join(told[:3])),
        Row("targets that it does not find well", len(wrong), most=0, note="; ".join(wrong)),
    ]


# --- one command


@contextmanager
def no_network(host: LabHost) -> Iterator[tuple[str, ...]]:
    """Cut off both sides: no package index answers the host, and the operator is inside the host's
    own network, which contains only the host. Yields the command that starts `fab` there."""
    host.network(services=False)
    try:
        yield ("nsenter", "--net", "--target", str(host.init.pid))
    finally:
        host.network(services=True)


def timed(shop: Shop, host: LabHost, word: str, inside: Sequence[str] = ()) -> Taken:
    """Run `fab WORD` as a person would. Raises SystemExit with its output if it fails."""
    project = shop.project
    began = time.time()
    done = subprocess.run(
        [*inside, *project.command(word, "--json", "-H", host.name)],
        cwd=project.folder,
        env=project.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    ended = time.time()
    if done.returncode:
        raise SystemExit(f"fab {word}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    at = {
        (line["step"], line["state"]): line["at"]
        for line in map(json.loads, done.stdout.splitlines())
        if line["type"] == "event"
    }
    return Taken(at["traffic", "done"] - began, at["drain", "done"] - began, ended - began)


def tell(number: int, *both: Taken) -> None:
    """Print a line for each round, with this machine's load, which affects the seconds."""
    shown = [f"serves {one.serves:.2f}, drain {one.drain:.2f}, ends {one.ends:.2f}" for one in both]
    print(f"{number}: {' | '.join(shown)} | load {os.getloadavg()[0]:.1f}", flush=True)


# --- the table


def of_visitors(seen: Sequence[dict[str, Any]]) -> list[Row]:
    """Of the shop's visitors, the chat's, and with HTTPS those over HTTP/2."""
    requests, chat, *http2 = seen
    counted_in = [*((kind, requests) for kind in KINDS), ("websocket", chat)]
    counted_in += [("http2", one) for one in http2]
    failures = [failure for one in seen for failure in one["failures"]]
    failed = "; ".join(f"{one['kind']} at {one['at']}: {one['problem']}" for one in failures[:3])
    late, longest = sum(one["late"] for one in seen), max(map(stall_of, seen))
    return [
        *(answered(kind, one) for kind, one in counted_in),
        Row("requests that failed", sum(one["failed"] for one in seen), most=0, note=failed),
        Row("requests more than 1 s slower than their own work", late, most=0),
        Row("kept connections that were closed", len(requests["idle_closed"]), most=0),
        *(Row("requests sent again after GOAWAY", len(one["idle_closed"])) for one in http2),
        Row("longest stall, s", longest, most=LATE_SECONDS),
        *of_websockets(chat["codes"], chat["reopened"]),
    ]


def answered(kind: str, seen: dict[str, Any]) -> Row:
    note = f"longest stall {seen['stalls'].get(kind, 0.0):.3f} s"
    return Row(f"requests: {kind}", seen["sent"].get(kind, 0), least=1, note=note)


def stall_of(seen: dict[str, Any]) -> float:
    return float(seen["longest_stall_seconds"])


def of_websockets(codes: dict[str, int], reopened: list[float]) -> list[Row]:
    closed = sum(codes.values())
    how = ", ".join(f"{code}: {count}" for code, count in codes.items())
    unnamed = closed - codes.get(RESTARTED, 0) - codes.get(load_websocket.CUT_ASKING, 0)
    seconds = reopened or [0.0]
    median = f"median {statistics.median(seconds):.3f}"
    return [
        Row("websockets that were closed", closed, least=1, note=how),
        Row(f"websockets closed without {RESTARTED}", unnamed, most=0),
        Row("websockets opened again", len(reopened), least=closed),
        Row("websocket, open again, s: worst", max(seconds), REOPENED_SECONDS, note=median),
    ]


def of_commands(deploys: list[Taken], rollbacks: list[Taken], rollback_seconds: float) -> list[Row]:
    def row(what: str, values: list[float], most: float | None = None) -> Row:
        return Row(
            f"{what}, s: worst", max(values), most, note=f"median {statistics.median(values):.2f}"
        )

    return [
        row("deploy, the command ends", [one.ends for one in deploys]),
        row("rollback, the other release serves", [one.serves for one in rollbacks]),
        row("rollback, the command ends", [one.ends for one in rollbacks]),
        row("rollback, the drain in it", [one.drain for one in rollbacks]),
        row(
            "rollback without the drain", [one.beyond_drain for one in rollbacks], rollback_seconds
        ),
    ]


def of_host(before: Census, after: Census, rounds: int, served: Served) -> list[Row]:
    serving = (f"cartwheel-{app}.web.*.service" for app in (APP, CHAT))
    units = ("init.scope", SERVERS[served.server], *serving)
    return [
        counted("processes", before.processes, after.processes),
        counted("units", before.units, after.units),
        counted("open files", before.open_files, after.open_files),
        Row("mounts", after.mounts, most=before.mounts, before=before.mounts),
        Row("releases", len(after.releases), len(before.releases), before=len(before.releases)),
        *(on_disk(place, before, after) for place in before.disk),
        *(in_memory(unit, before.memory, after.memory) for unit in units),
        in_memory("", without_journald(before.memory), without_journald(after.memory)),
        Row(
            "lines of history",
            after.history_lines,
            before.history_lines + 4 * rounds,  # one for a switch, one if it found open connections
            before=before.history_lines,
        ),
    ]


def counted(what: str, before: Counter[str], after: Counter[str]) -> Row:
    """A row whose note lists what has increased."""
    more = ", ".join(f"{name} +{count}" for name, count in (after - before).items())
    return Row(what, after.total(), before.total(), before=before.total(), note=more)


def on_disk(place: str, before: Census, after: Census) -> Row:
    """A row in KiB whose note has the change in files."""
    was, now = before.disk[place] / 1024, after.disk[place] / 1024
    files = after.files[place] - before.files[place]
    allowed = was * (1 + DISK_GROWTH) if files <= 0 else 0.0
    return Row(f"KiB in {place}", now, allowed, before=was, note=f"{files:+d} files")


def in_memory(unit: str, before: Counter[str], after: Counter[str]) -> Row:
    """A row in MiB for a unit's processes, or for all processes."""
    was, now = (one[unit] if unit else one.total() for one in (before, after))
    mib = 1024 * 1024
    what = f"MiB of {unit}" if unit else "MiB of all processes except journald"
    return Row(what, now / mib, was / mib * (1 + MEMORY_GROWTH), before=was / mib)


def without_journald(memory: Counter[str]) -> Counter[str]:
    return Counter({unit: size for unit, size in memory.items() if unit != census.JOURNALD})


def table(rows: list[Row]) -> str:
    lines = ["| | before | after | limit | |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        note = ("OVER; " if row.is_over else "") + row.note
        figures = " | ".join(shown(one) for one in (row.before, row.now, row.most))
        lines.append(f"| {row.what} | {figures} | {note} |")
    return "\n".join(lines)


def shown(figure: float | None) -> str:
    if figure is None:
        return ""
    return str(figure) if isinstance(figure, int) else f"{figure:.2f}"


if __name__ == "__main__":
    sys.exit(main())
