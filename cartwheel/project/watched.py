"""What a project wants its monitor to watch; pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cartwheel.hidden import Hidden
from cartwheel.ssh.address import parse_address

if TYPE_CHECKING:
    from cartwheel.decoded import Fields
    from cartwheel.settings.hosts import Host
    from cartwheel.settings.toml_tables import Settings

FORMAT = 1
"""As `watch_list.FORMAT` of the monitor."""
_SSH_PORT = 22
_PORTS = {"http": 80, "https": 443}
_NO_NAMES = "*~_."  # how a server name begins that is no name of a host


@dataclass(frozen=True)
class WatchedHost:
    """A host as the monitor reaches it. `keys`: its public keys, as the operator has verified
    them. `is_behind`: only SSH reaches it, through another host."""

    host: Host
    address: str
    port: int
    keys: tuple[str, ...]
    has_web: bool
    is_behind: bool = False

    @property
    def monitor_address(self) -> tuple[str, int]:
        """Address and port for the monitor."""
        if self.host.monitor_address is None:
            return self.address, self.port
        at = parse_address(self.host.monitor_address)
        return at.host, at.port or _SSH_PORT


def watch_list(
    settings: Settings,
    hosts: Iterable[WatchedHost],
    messengers: Mapping[str, Hidden],
    heartbeat: Hidden | None,
    *,
    roots: str = "",
    metrics: Hidden | None = None,
) -> Hidden:
    """The list as the monitor reads it; secret, because it has addresses of messengers. `roots`: of
    a private CA, as PEM."""
    asked, every = settings.monitor, list(hosts)
    fields: Fields = {
        "format": FORMAT,
        "project": settings.slug,
        "every": asked.every_seconds,
        "timeout": asked.timeout_seconds,
        "language": asked.language,
        "sites": [
            {
                "app": settings.slug,
                "url": url,
                "status": [settings.health.status],
                "hosts": on,
                "ca": roots if url.startswith("https:") else "",
            }
            for url, on in sites(settings, every).items()
        ],
        "hosts": [_fields(one, settings.slug) for one in every],
        "history_days": asked.history_days,
        "history_bytes": asked.history_mb << 20,
        "limits": {name: float(getattr(asked, name)) for name in LIMITS},
        "messengers": {name: one.reveal() for name, one in messengers.items()},
        "heartbeat": heartbeat.reveal() if heartbeat else "",
        "metrics": metrics.reveal() if metrics else "",
    }
    return Hidden(json.dumps(fields, indent=1) + "\n")


LIMITS = (
    *("errors_percent", "slow_seconds", "memory_percent", "disk_percent", "disk_hours"),
    *("certificate_days", "clock_seconds"),
)
"""Settings of [monitor] that are limits of the monitor's rules, by the same name."""


def _fields(one: WatchedHost, app: str) -> Fields:
    address, port = one.monitor_address
    return {
        "name": one.host.name,
        "address": address,
        "port": port,
        "keys": list(one.keys),
        "apps": [app],
    }


def sites(settings: Settings, hosts: Iterable[WatchedHost]) -> dict[str, list[str]]:
    """What is asked from outside, with the hosts that serve it: monitor.urls, or else the health
    path on the site's first name, or without a name on each host with web that can be reached."""
    serving = [one for one in hosts if one.has_web]
    names = [one.host.name for one in serving]
    if settings.monitor.urls:
        return dict.fromkeys(settings.monitor.urls, names)
    web, path = settings.web, settings.health.path
    own = next((name for name in web.server_names if name[0] not in _NO_NAMES), None)
    if own is None:
        return {
            _url("http", one.monitor_address[0], web.listen, path): [one.host.name]
            for one in serving
            if not one.is_behind
        }
    secure = settings.tls.is_on or settings.health.scheme == "https"
    if secure:
        port = settings.tls.listen if settings.tls.is_on else _PORTS["https"]
        return {_url("https", own, port, path): names}
    return {_url("http", own, web.listen, path): names}


def _url(scheme: str, host: str, port: int, path: str) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}" + ("" if port == _PORTS[scheme] else f":{port}") + path
