"""Where Cartwheel's own files are, and where it may keep its own.

In a clone `templates/` and `config/` stand beside the package; in an installed
wheel they travel inside it.
"""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def own(name: str) -> Path:
    """The folder `templates`, `config` or `tasks` that belongs to this Cartwheel."""
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def is_installed() -> bool:
    """Whether this is an installed wheel, not a clone."""
    return (_PACKAGE / "tasks").is_dir()


def host_source() -> Path:
    """The folder whose modules run on the host (standard library only)."""
    return _PACKAGE / "host"


def cache_dir() -> Path:
    """The user's cache for Cartwheel: `$XDG_CACHE_HOME/cartwheel` (XDG base directories)."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "cartwheel"


def state_dir() -> Path:
    """The user's state for Cartwheel: `$XDG_STATE_HOME/cartwheel` (XDG base directories)."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "cartwheel"


def runs_dir() -> Path:
    """Where the records of this user's runs are."""
    return state_dir() / "runs"
