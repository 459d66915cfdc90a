"""Looks into wheels."""

from __future__ import annotations

import zipfile
from pathlib import Path


def wheel_names(wheel: Path) -> frozenset[str]:
    """The files that a wheel installs, relative to site-packages."""
    with zipfile.ZipFile(wheel) as archive:
        return frozenset(name for name in archive.namelist() if not name.endswith("/"))
