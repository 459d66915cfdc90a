"""The request about users of the site's paths. They belong to the host, not to a release."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Optional

from cartwheel.host.wire.hidden import Hidden
from cartwheel.host.wire.request import Done, Request


@dataclass(frozen=True)
class PlaceUsers(Request[Done]):
    """Bring the files of users and their hashes: by name, the lines of each file; None: it goes.
    The web server reads a file for each request, so they count at once."""

    op = "users"
    files: Dict[str, Optional[Hidden]]
