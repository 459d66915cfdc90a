"""What to watch: one file for each project, which `fab monitor.install` writes and removes.

The files are root's, and the monitor's group may read them: they hold the addresses of messengers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Tuple

from cartwheel.host.wire.codec import WireError, from_disk
from cartwheel.host.wire.hidden import Hidden

FORMAT = 1
_NONE = Hidden("")


@dataclass(frozen=True)
class Site:
    """A site, asked as a visitor would. `status`: the statuses that are right. `hosts`: those that
    serve it. `ca`: roots that are trusted too, as PEM."""

    app: str = ""
    url: str = ""
    status: Tuple[int, ...] = (200,)
    hosts: Tuple[str, ...] = ()
    ca: str = ""


@dataclass(frozen=True)
class Host:
    """A host that may be looked into. `keys`: its public keys, as known_hosts has them."""

    name: str = ""
    address: str = ""
    port: int = 22
    keys: Tuple[str, ...] = ()
    apps: Tuple[str, ...] = ()

    @property
    def place(self) -> Tuple[str, str, int]:
        """Which one it is: two projects may each have hosts of the same name."""
        return self.name, self.address, self.port


@dataclass(frozen=True)
class WatchList:
    """All that one project wants to be watched, and whom it tells. `limits` override the defaults
    of the rules, by name. `metrics`: the token of /metrics. `language`: of what people are told,
    one of language.LANGUAGES."""

    format: int = FORMAT
    project: str = ""
    every: float = 20.0
    timeout: float = 5.0
    sites: Tuple[Site, ...] = ()
    hosts: Tuple[Host, ...] = ()
    history_days: float = 730.0
    history_bytes: int = 1 << 30
    limits: Dict[str, float] = field(default_factory=dict)
    messengers: Dict[str, Hidden] = field(default_factory=dict)
    heartbeat: Hidden = _NONE
    metrics: Hidden = _NONE
    language: str = "en"


def read(folder: Path) -> Tuple[List[WatchList], Dict[str, str]]:
    """Every project's list, and why others could not be read, by file name."""
    lists: List[WatchList] = []
    problems: Dict[str, str] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            found = from_disk(WatchList, json.loads(path.read_bytes()))
        except (OSError, ValueError, WireError) as error:
            problems[path.name] = str(error)
            continue
        if found.format > FORMAT:
            problems[path.name] = "it is of a later version"
        else:
            lists.append(found)
    return lists, problems


def changed(folder: Path) -> Tuple[Tuple[str, int, int], ...]:
    """Something that differs once a list was written, added or removed."""
    try:
        found = [(path.name, path.stat()) for path in sorted(folder.glob("*.json"))]
    except OSError:
        return ()
    return tuple((name, status.st_mtime_ns, status.st_ino) for name, status in found)
