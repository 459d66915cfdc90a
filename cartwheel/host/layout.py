"""Where everything of one application is on a host (docs/architecture.md)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

LIB = Path("/usr/local/lib/cartwheel")
STATE = Path("/var/lib/cartwheel")
LOGS = Path("/var/log/cartwheel")
RUN = Path("/run/cartwheel")
UNITS = Path("/etc/systemd/system")
RUN_UNITS = Path("/run/systemd/system")
LOGROTATE = Path("/etc/logrotate.d")
NGINX_LOGS = Path("/var/log/nginx")

# What applications share. An application's name starts with a letter, so none is called so.
PIP = LIB / ".pip"
UV = LIB / ".uv"
HOST_LOCK = RUN / ".host.lock"

# A release runs in one of several slots: a restart, or a return to a release, starts another
# instance of it beside those that still answer what they have (see `instances`).
SLOTS = ("web", "web-b", "web-c", "web-d")

_ANEW = re.compile(r"(\.[0-9a-f]{8})_\d+\Z")


def content_of(release: str) -> str:
    """The name without the counter of a release that was made anew: what names its content."""
    return _ANEW.sub(r"\1", release)


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
        """Exists exactly while a switch is not confirmed."""
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
        """The token of our own probes, as nginx includes it; root only."""
        return self.root / "probe.map"

    @property
    def disabled(self) -> Path:
        """What of nginx's own sites we took away, for uninstall to put back."""
        return self.root / "disabled.json"

    @property
    def balancer(self) -> Path:
        """On a balancer: the links to the hosts that are in, and the marks."""
        return self.root / "balancer"

    @property
    def balancer_marks(self) -> Path:
        """Which hosts are out of the balancer, and who took them out (see `balancer`)."""
        return self.balancer / "out.json"

    @property
    def balancer_sockets(self) -> Path:
        """nginx's own sockets for the hosts behind it; a name that no application can have."""
        return RUN / (".balancer." + self.app)

    @property
    def balancer_tmpfiles(self) -> Path:
        return Path("/etc/tmpfiles.d") / ("cartwheel-" + self.app + "_balancer.conf")

    @property
    def balancer_drop_in(self) -> Path:
        name = "cartwheel-" + self.app + "_balancer.conf"
        return UNITS / "nginx.service.d" / name

    @property
    def log_rotation(self) -> Path:
        return LOGROTATE / ("cartwheel-" + self.app + ".conf")

    @property
    def record(self) -> Path:
        """What setup made for this application; 0600, it also holds the digest key."""
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

    def release(self, name: str) -> Path:
        return self.releases / name

    def unit(self, release: str, slot: str) -> str:
        return "cartwheel-{}.{}.{}.service".format(self.app, slot, release)

    def unit_file(self, release: str, slot: str) -> Path:
        return UNITS / self.unit(release, slot)

    def socket(self, release: str, slot: str) -> Path:
        """Where the instance listens; at most 107 bytes (unix(7)), checked by the settings."""
        return RUN / self.app / release / slot / "http.sock"

    def socket_link(self, release: str) -> Path:
        return self.release(release) / "http.sock"
