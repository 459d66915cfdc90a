"""How packages are installed on a host."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, Literal

from cartwheel.host.wire.hidden import Hidden


@dataclass(frozen=True)
class Installing:
    """The `program` runs as `user`. Variables of pip name the index that the settings choose. The
    versions are those that Cartwheel ships."""

    program: Literal["pip", "uv"]
    pip_version: str
    uv_version: str
    user: str
    index: Dict[str, Hidden] = field(default_factory=dict)
