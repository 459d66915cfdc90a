"""The paths of one application on a host (docs/architecture.md)."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, Optional

from cartwheel.host.wire.download import File
from cartwheel.host.wire.instance import WEB, Instance

LIB = Path("/usr/local/lib/cartwheel")
STATE = Path("/var/lib/cartwheel")
LOGS = Path("/var/log/cartwheel")
RUN = Path("/run/cartwheel")
UNITS = Path("/etc/systemd/system")
RUN_UNITS = Path("/run/systemd/system")
LOGROTATE = Path("/etc/logrotate.d")

# Shared by all applications. An application's name starts with a letter, so none has this name.
PIP = LIB / ".pip"
UV = LIB / ".uv"
HOST_LOCK = RUN / ".host.lock"

# All instances of a release that run together have the same slot. A restart or rollback starts
# instances in another slot, while the old ones finish their requests (see `instances`). Slots are
# numbers; all instances of a process share one template unit (systemd.unit(5)). A release of an
# earlier version has these slots for its web process instead, with a unit file for each.
FIRST_SLOT = "1"
OLD_SLOTS = ("web", "web-b", "web-c", "web-d")
TEMPLATE_UNIT = WEB + "@.service"

# Names after `cartwheel-APP.`: of instances, of their unit files, of the units that drain them.
_PROCESS, _RELEASE, _OLD = "[a-z][a-z0-9-]*", r"[0-9][a-z0-9._]*", "|".join(OLD_SLOTS)
_INSTANCE = re.compile(rf"({_PROCESS})\.({_RELEASE})@([1-9]\d*)\.service")
_OLD_INSTANCE = re.compile(rf"({_OLD})\.({_RELEASE})\.service")
UNIT_FILE = re.compile(rf"(?:{_PROCESS}\.({_RELEASE})@|(?:{_OLD})\.({_RELEASE}))\.service")
SOURCE = re.compile(rf"({_PROCESS})@\.service")  # in the release's own folder
_DRAIN = re.compile(rf"drain-({_OLD}|[1-9]\d*)\.({_RELEASE})\.service")

_ANEW = re.compile(r"(\.[0-9a-f]{8})_\d+\Z")


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


@dataclass(frozen=True)
class Layout:
    """Every path of the application `app` (name and environment together)."""

    app: str
    base: Path = Path("/srv")

    @property
    def root(self) -> Path:
        return self.base / self.app

    @property
    def releases(self) -> Path:
        return self.root / "releases"

    @property
    def shared(self) -> Path:
        return self.root / "shared"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    @property
    def journal(self) -> Path:
        return self.root / "journal.jsonl"

    @property
    def pending(self) -> Path:
        """Exists only while a switch is not confirmed."""
        return self.root / "pending.json"

    @property
    def stopped(self) -> Path:
        """The mark that `fab stop` leaves; boot and deploy respect it."""
        return self.root / "stopped.json"

    @property
    def frozen(self) -> Path:
        """The mark that `fab lock.hold` leaves; every change respects it (see `freeze`)."""
        return self.root / "frozen.json"

    @property
    def current(self) -> Path:
        return self.root / "current"

    @property
    def fallback(self) -> Path:
        return self.root / "fallback"

    @property
    def previous(self) -> Path:
        return self.root / "previous"

    @property
    def probe_map(self) -> Path:
        """The token of Cartwheel's probes, as the web server reads it; root only."""
        return self.root / "probe.map"

    @property
    def disabled(self) -> Path:
        """The distribution's site that setup removed; uninstall restores it."""
        return self.root / "disabled.json"

    @property
    def balancer(self) -> Path:
        """On a balancer: links to the hosts that are in, and marks of those that are out."""
        return self.root / "balancer"

    @property
    def balancer_marks(self) -> Path:
        """The hosts that are out of the balancer, and who took them out (see `balancer`)."""
        return self.balancer / "out.json"

    @property
    def balancer_sockets(self) -> Path:
        """On a balancer: the web server's sockets; no application has this name."""
        return RUN / (".balancer." + self.app)

    @property
    def balancer_tmpfiles(self) -> Path:
        return Path("/etc/tmpfiles.d") / ("cartwheel-" + self.app + "_balancer.conf")

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
        return self.release(release) / "files"

    def packages(self, release: str) -> Path:
        """The folder of a release's packages: the application's own code is there too."""
        venv = self.release(release) / "venv"
        return next(venv.glob("lib/python*/site-packages"), venv)

    def unit(self, one: Instance) -> str:
        if one.slot in OLD_SLOTS:
            return f"cartwheel-{self.app}.{one.slot}.{one.release}.service"
        return self.unit_file(one).name.replace("@", "@" + one.slot)

    def drain_unit(self, one: Instance) -> str:
        """The unit that stops an instance once no connection waits for it."""
        return f"cartwheel-{self.app}.drain-{one.slot}.{one.release}.service"

    def instance_of(self, unit: str) -> Optional[Instance]:
        """None where it is another unit."""
        found = self._own(_INSTANCE, unit)
        if found:
            return Instance(*found.groups())
        found = self._own(_OLD_INSTANCE, unit)
        return Instance(WEB, found.group(2), found.group(1)) if found else None

    def drained_by(self, unit: str) -> Optional[Instance]:
        """The instance that such a unit stops; None where it is another."""
        found = self._own(_DRAIN, unit)
        return Instance(WEB, found.group(2), found.group(1)) if found else None

    def released_by(self, unit_file: str) -> Optional[str]:
        """The release that a unit file's name is of; None where it is another file."""
        found = self._own(UNIT_FILE, unit_file)
        return found.group(1) or found.group(2) if found else None

    def _own(self, pattern: "re.Pattern[str]", name: str) -> "Optional[re.Match[str]]":
        prefix = f"cartwheel-{self.app}."
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
