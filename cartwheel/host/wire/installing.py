"""How packages are installed on a host."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, Literal

from cartwheel.host.wire.hidden import Hidden


@dataclass(frozen=True)
class Installing:
    """The `program`, as this `user`, from the index that the settings name by variables of pip;
    the versions are those that Cartwheel brings."""

    program: Literal["pip", "uv"]
    pip_version: str
    uv_version: str
    user: str
    index: Dict[str, Hidden] = field(default_factory=dict)
