"""What `fab doctor` asks of a host beside a deploy's own look at it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Optional, Tuple

from cartwheel.host.wire.installing import Installing
from cartwheel.host.wire.request import Request
from cartwheel.host.wire.status import AskStatus, Status


@dataclass(frozen=True)
class Examination:
    """`damage`: all that the release that serves, and the one that a rollback goes to, lack, file
    by file. `index`: what the installer says when it asks the index for a package; "" if it
    answers, None where there is nothing to ask with yet. `web_complaint`: "" if the web
    server accepts its configuration, None where there is none."""

    status: Status
    damage: Dict[str, Tuple[str, ...]]
    index: Optional[str]
    cache_bytes: int
    web_complaint: Optional[str]


@dataclass(frozen=True)
class Examine(Request[Examination]):
    """Look at everything that a glance does not show."""

    op = "examine"
    status: AskStatus
    installing: Installing
