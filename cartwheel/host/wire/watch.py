"""Requests about what a monitor on this host watches, and who may see its page. They belong to the
host, not to a release."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Optional

from cartwheel.host.wire.hidden import Hidden
from cartwheel.host.wire.request import Done, Request


@dataclass(frozen=True)
class PlaceWatchLists(Request[Done]):
    """Bring lists of what is watched: by project, each list as JSON; None: it goes. The monitor
    sees a change within seconds."""

    op = "watch-lists"
    lists: Dict[str, Optional[Hidden]]


@dataclass(frozen=True)
class PlacePageUsers(Request[Done]):
    """Bring users of the monitor's page: by name, the hash of each password; None: the user
    goes."""

    op = "page-users"
    users: Dict[str, Optional[Hidden]]
