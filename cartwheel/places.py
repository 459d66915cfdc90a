"""Where Cartwheel's files are, and where it keeps its state and cache.

In a clone `templates/`, `config/` and `docs/` are beside the package; in an installed wheel they
are inside it.
"""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

LAB_VARIABLE = "CARTWHEEL_LAB_STATE"

_PACKAGE = Path(__file__).resolve().parent


def own(name: str) -> Path:
    """The folder `templates`, `config`, `tasks`, `monitor` or `docs` of this Cartwheel."""
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def is_installed() -> bool:
    """Whether this is an installed wheel, not a clone."""
    return (_PACKAGE / "tasks").is_dir()


def host_source() -> Path:
    """The folder whose modules run on the host (standard library only)."""
    return _PACKAGE / "host"


@dataclass(frozen=True)
class Person:
    """The person who typed the command; with sudo that is not root."""

    uid: int
    gid: int
    home: Path


def person() -> Person:
    """The user, or with sudo the user who typed it."""
    uid = os.getuid()
    if uid == 0 and os.environ.get("SUDO_UID", "").isdigit():
        entry = pwd.getpwuid(int(os.environ["SUDO_UID"]))
        return Person(entry.pw_uid, entry.pw_gid, Path(entry.pw_dir))
    return Person(uid, os.getgid(), Path.home())


def cache_dir() -> Path:
    """The user's cache for Cartwheel: `$XDG_CACHE_HOME/cartwheel` (XDG base directories)."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "cartwheel"


def state_dir() -> Path:
    """The user's state for Cartwheel: `$XDG_STATE_HOME/cartwheel` (XDG base directories)."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "cartwheel"


def runs_dir() -> Path:
    """The folder with the records of this user's runs."""
    return state_dir() / "runs"


def lab_dir(project: Path) -> Path:
    """The folder of this person's lab for this project, if there is a lab.

    `$CARTWHEEL_LAB_STATE` names another folder, for a lab of several projects or of a test.
    """
    import hashlib  # the caller connects next, which imports it anyway

    if LAB_VARIABLE in os.environ:
        return Path(os.environ[LAB_VARIABLE])
    digest = hashlib.sha256(str(project.resolve()).encode()).hexdigest()
    own = person().home / ".local" / "state" / "cartwheel"
    top = state_dir() if "XDG_STATE_HOME" in os.environ else own
    return top / "lab" / digest[:10]


def lab_hosts(lab: Path) -> Path:
    """The file in which a lab lists its hosts for us (cartwheel/inventory/lab.py)."""
    return lab / "hosts.toml"
