"""What the web server reads of an application besides its site, as requests name it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict


@dataclass(frozen=True)
class Served:
    """Folders by the setting that names each: `packages` below those of a release, `media` below
    `shared/`. `made`: the setting whose command fills the release's own folder; "" for none."""

    packages: Dict[str, str] = field(default_factory=dict)
    made: str = ""
    media: Dict[str, str] = field(default_factory=dict)
