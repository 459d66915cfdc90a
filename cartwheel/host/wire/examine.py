"""What `fab doctor` asks a host in addition to what a deploy asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Optional, Tuple

from cartwheel.host.wire.installing import Installing
from cartwheel.host.wire.request import Request
from cartwheel.host.wire.status import AskStatus, Status


@dataclass(frozen=True)
class Examination:
    """`damage`: every missing or changed file of the live release and of the rollback target.
    `index`: the installer's error when it asks the index for a package; "" if the index answers,
    None if no installer is there yet."""

    status: Status
    damage: Dict[str, Tuple[str, ...]]
    index: Optional[str]
    cache_bytes: int


@dataclass(frozen=True)
class Examine(Request[Examination]):
    """Examine what a quick look does not show."""

    op = "examine"
    status: AskStatus
    installing: Installing
