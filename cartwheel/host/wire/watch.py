"""Requests about what a monitor on this host watches. They belong to the host, not to a release."""

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
