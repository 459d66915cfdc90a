"""The paths of one application on a host (docs/architecture.md)."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, Optional, Tuple

from cartwheel.host.wire.download import File
from cartwheel.host.wire.instance import WEB, Instance
from cartwheel.host.wire.manifest import MADE, PLACED

LIB = Path("/usr/local/lib/cartwheel")
STATE = Path("/var/lib/cartwheel")
LOGS = Path("/var/log/cartwheel")
RUN = Path("/run/cartwheel")
UNITS = Path("/etc/systemd/system")
RUN_UNITS = Path("/run/systemd/system")
STAMPS = Path("/var/lib/systemd/timers")
LOGROTATE = Path("/etc/logrotate.d")

# Shared by all applications. An application's name starts with a letter, so none has this name.
PIP = LIB / ".pip"
UV = LIB / ".uv"
LOOK = LIB / ".look"
HOST_LOCK = RUN / ".host.lock"
ACME_LOCK = RUN / ".acme.lock"

# All instances of a release that run together, its side, have the same slot. A restart or rollback
# starts instances in another slot, while the old ones finish their requests (see `instances`).
# Slots are numbers; all instances of a process share one template unit (systemd.unit(5)). A release
# of an earlier version has these slots for its web process instead, with a unit file for each.
FIRST_SLOT = "1"
OLD_SLOTS = ("web", "web-b", "web-c", "web-d")
TEMPLATE_UNIT = WEB + "@.service"

# Names after `cartwheel-APP.`: of instances, of their unit files, of the units that drain them.
_PROCESS, _RELEASE, _OLD = "[a-z][a-z0-9-]*", r"[0-9][a-z0-9._]*", "|".join(OLD_SLOTS)
_JOB = re.compile(rf"({_PROCESS})\.({_RELEASE})\.service")
_TIMER_FILE = re.compile(rf"({_PROCESS})\.(?:timer|service)")
_INSTANCE = re.compile(rf"({_PROCESS})\.({_RELEASE})@([1-9]\d*)(?:\.([1-9]\d*))?\.service")
_OLD_INSTANCE = re.compile(rf"({_OLD})\.({_RELEASE})\.service")
UNIT_FILE = re.compile(rf"(?:{_PROCESS}\.({_RELEASE})@|(?:{_OLD})\.({_RELEASE}))\.service")
SOURCE = re.compile(rf"({_PROCESS})@\.service")  # in the release's own folder
JOB_SOURCE = re.compile(rf"job\.({_PROCESS})\.service")  # there too
_DRAIN = re.compile(rf"drain-({_OLD}|[1-9]\d*)\.({_RELEASE})\.service")

# What a job prints while it runs, in its timer's folder.
RUNNING_OUTPUT = "running"

_ANEW = re.compile(r"(\.[0-9a-f]{8})_\d+\Z")


def stamp_of(timer: str) -> Path:
    """systemd's stamp of a timer unit's last time (Persistent= in systemd.timer(5))."""
    return STAMPS / f"stamp-{timer}"


def content_of(release: str) -> str:
    """The release's name without the counter of a rebuild: it names the content."""
    return _ANEW.sub(r"\1", release)


def is_slot(name: str) -> bool:
    return name in OLD_SLOTS or re.fullmatch(r"[1-9]\d*", name) is not None


def first_of(release: str) -> Instance:
    """The instance that stands for all in questions before any of them runs."""
    return Instance(WEB, release, FIRST_SLOT)


def slots() -> Iterator[str]:
    """All slots, in the order of their use."""
    return map(str, itertools.count(int(FIRST_SLOT)))


class _Inside:
    """A path of an application: a name in its folder `of`."""

    def __init__(self, name: str, of: str = "root") -> None:
        self._name = name
        self._of = of

    def __get__(self, at: "Layout", _kind: type) -> Path:
        folder: Path = getattr(at, self._of)
        return folder / self._name


@dataclass(frozen=True)
class Layout:
    """Every path of the application `app` (name and environment together)."""

    app: str
    base: Path = Path("/srv")

    releases = _Inside("releases")
    shared = _Inside("shared")
    cache = _Inside("cache")
    journal = _Inside("journal.jsonl")
    # Exists only while a switch is not confirmed.
    pending = _Inside("pending.json")
    # The mark that `fab stop` leaves; boot and deploy respect it.
    stopped = _Inside("stopped.json")
    # The marks that `fab process.stop` leaves, one for each process.
    stopped_processes = _Inside("stopped")
    # What runs on this host: a link to one of the `assignments`.
    assigned = _Inside("assigned.json")
    assignments = _Inside("assignments")
    # A lock for each process that must never run twice; the program itself holds it.
    locks = _Inside("locks")
    # What is kept of each timer, in a folder of its name (see `state.timers`).
    timers = _Inside("timers")
    # What the jobs of timers printed, in the same way.
    outputs = _Inside("timers", of="logs")
    # The mark that `fab lock.hold` leaves; every change respects it (see `freeze`).
    frozen = _Inside("frozen.json")
    current = _Inside("current")
    fallback = _Inside("fallback")
    previous = _Inside("previous")
    # The token of Cartwheel's probes, as the web server reads it; root only.
    probe_map = _Inside("probe.map")
    # The distribution's site that setup removed; uninstall restores it.
    disabled = _Inside("disabled.json")
    # Certificates in folders of their own, and what the site includes to serve one; root only.
    tls = _Inside("tls")
    # A link to the certificate that is served.
    tls_live = _Inside("live", of="tls")
    tls_site = _Inside("site.conf", of="tls")
    # The same for the balancer's site: TLS ends in one of the two (see `web.tls`).
    tls_balancer_site = _Inside("balancer.conf", of="tls")
    # Exists only while a change of TLS is under way: how to go back (see `web.tls_change`).
    tls_pending = _Inside("pending.json", of="tls")
    # What the host asks a certificate authority for, how the last try ended, and whom it trusts
    # there (see `web.order`).
    tls_order = _Inside("acme.json", of="tls")
    tls_tried = _Inside("tried.json", of="tls")
    tls_roots = _Inside("roots.pem", of="tls")
    # The users of the site's paths, with hashes of their passwords (see `web.users`).
    users = _Inside("users")
    # What a monitor watches (see `upkeep.watch_lists`).
    watch_lists = _Inside("watch.d")
    # Who may see the monitor's page.
    page_users = _Inside("users.d")
    # The answers to the authority's challenges, which the web server reads.
    acme_webroot = _Inside("acme-webroot")
    # Its mark closes the site for visitors; beside it are their pages, and what the site includes
    # (see `web.maintenance`).
    maintenance = _Inside("maintenance")
    maintenance_mark = _Inside("on.json", of="maintenance")
    # On a balancer: links to the hosts that are in, and marks of those that are out.
    balancer = _Inside("balancer")
    # The hosts that are out of the balancer, and who took them out (see `balancer`).
    balancer_marks = _Inside("out.json", of="balancer")

    @property
    def root(self) -> Path:
        return self.base / self.app

    def stopped_process(self, process: str) -> Path:
        return self.stopped_processes / (process + ".json")

    @property
    def balancer_site(self) -> str:
        """On a balancer: its site's name in the web server; no application has this name."""
        return self.app + "_balancer"

    @property
    def balancer_sockets(self) -> Path:
        """On a balancer: the web server's sockets; no application has this name."""
        return RUN / (".balancer." + self.app)

    @property
    def balancer_tmpfiles(self) -> Path:
        return Path("/etc/tmpfiles.d") / f"cartwheel-{self.balancer_site}.conf"

    @property
    def log_rotation(self) -> Path:
        return LOGROTATE / ("cartwheel-" + self.app + ".conf")

    @property
    def record(self) -> Path:
        """The record of what setup created for this application, and the digest key (so 0600)."""
        return STATE / (self.app + ".json")

    @property
    def lib(self) -> Path:
        return LIB / self.app

    @property
    def logs(self) -> Path:
        return LOGS / self.app

    @property
    def lock(self) -> Path:
        return RUN / (".lock." + self.app)  # a name that no application can have

    @property
    def boot_unit(self) -> Path:
        return UNITS / ("cartwheel-" + self.app + ".service")

    def wheel(self, file: File) -> Path:
        """A wheel in the cache."""
        return self.cache / "wheels" / file.sha256 / file.filename

    def release(self, name: str) -> Path:
        return self.releases / name

    def placed(self, release: str) -> Path:
        """The folder of the application's own files of configuration in a release ([files])."""
        return self.release(release) / PLACED

    def static(self, release: str) -> Path:
        """The folder of static files that a command of the application made."""
        return self.release(release) / MADE

    def packages(self, release: str) -> Path:
        """The folder of a release's packages: the application's own code is there too."""
        venv = self.release(release) / "venv"
        return next(venv.glob("lib/python*/site-packages"), venv)

    def unit(self, one: Instance) -> str:
        if one.slot in OLD_SLOTS:
            return f"cartwheel-{self.app}.{one.slot}.{one.release}.service"
        return self.unit_file(one).name.replace("@", "@" + one.label)

    def tls_unit(self, kind: str) -> Path:
        """The timer, the path unit or the service that looks after the certificate."""
        return UNITS / f"cartwheel-{self.app}_tls.{kind}"

    def drain_unit(self, one: Instance) -> str:
        """The unit that stops an instance once no connection waits for it."""
        return f"cartwheel-{self.app}.drain-{one.slot}.{one.release}.service"

    def instance_of(self, unit: str) -> Optional[Instance]:
        """None where it is another unit."""
        found = self._own(_INSTANCE, unit)
        if found:
            process, release, slot, number = found.groups()
            return Instance(process, release, slot, int(number or 0))
        found = self._own(_OLD_INSTANCE, unit)
        return Instance(WEB, found.group(2), found.group(1)) if found else None

    def drained_by(self, unit: str) -> Optional[Instance]:
        """The instance that such a unit stops; None where it is another."""
        found = self._own(_DRAIN, unit)
        return Instance(WEB, found.group(2), found.group(1)) if found else None

    def released_by(self, unit_file: str) -> Optional[str]:
        """The release that a unit file's name is of; None where it is another file."""
        found = self._own(UNIT_FILE, unit_file)
        job = self.job_of(unit_file)
        return found.group(1) or found.group(2) if found else job[1] if job else None

    def timer_unit(self, name: str) -> Path:
        """The timer, which all releases share; the service of the same name is our dispatcher. `_`
        is in no application's name, so this is no other application's unit."""
        return UNITS / f"cartwheel-{self.app}_timer.{name}.timer"

    def dispatcher_unit(self, name: str) -> Path:
        return self.timer_unit(name).with_suffix(".service")

    def timer_stamp(self, name: str) -> Path:
        """The stamp of the application's timer."""
        return stamp_of(self.timer_unit(name).name)

    def timer_of(self, unit_file: str) -> Optional[str]:
        """The timer that such a unit is of."""
        found = self._own(_TIMER_FILE, unit_file, "_timer")
        return found.group(1) if found else None

    def job_unit(self, name: str, release: str) -> Path:
        """What the dispatcher starts: the timer's job of one release."""
        return UNITS / f"cartwheel-{self.app}_job.{name}.{release}.service"

    def job_source(self, name: str, release: str) -> Path:
        """The release's copy of it."""
        return self.release(release) / f"job.{name}.service"

    def job_of(self, unit: str) -> Optional[Tuple[str, str]]:
        """The timer and the release of such a unit."""
        found = self._own(_JOB, unit, "_job")
        return (found.group(1), found.group(2)) if found else None

    def _own(
        self, pattern: "re.Pattern[str]", name: str, kind: str = ""
    ) -> "Optional[re.Match[str]]":
        prefix = f"cartwheel-{self.app}{kind}."
        return pattern.fullmatch(name, len(prefix)) if name.startswith(prefix) else None

    def unit_file(self, one: Instance) -> Path:
        """What systemd reads for an instance; all numbers share one."""
        if one.slot in OLD_SLOTS:
            return UNITS / self.unit(one)
        return UNITS / f"cartwheel-{self.app}.{one.process}.{one.release}@.service"

    def unit_source(self, one: Instance) -> Path:
        """The release's copy of an instance's unit file."""
        stem = one.slot if one.slot in OLD_SLOTS else one.process + "@"
        return self.release(one.release) / (stem + ".service")

    def socket(self, one: Instance) -> Path:
        """The socket of the instance; at most 107 bytes (unix(7)), checked by the settings."""
        return RUN / self.app / one.release / one.slot / "http.sock"

    def socket_link(self, release: str) -> Path:
        return self.release(release) / "http.sock"
