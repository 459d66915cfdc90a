"""Who may log in: one file for each user, which `fab monitor.user.add` writes and removes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from werkzeug.security import check_password_hash

# Of no password. It is compared where there is no such user, so that both take as long.
_NOBODY = (
    "scrypt:32768:8:1$0000000000000000$"
    "00000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "000000000000000000000000000000000000000000000000"
)


@dataclass(frozen=True)
class User:
    """`stamp` is another one when the password is."""

    name: str
    stamp: str


def find(folder: Path, name: str) -> User | None:
    """The user of that name; None if there is none."""
    found = _hash(folder, name)
    return None if found is None else _user(name, found)


def log_in(folder: Path, name: str, password: str) -> User | None:
    """The user, if that is the password. It takes about 0.1 s, also where there is no such user."""
    found = _hash(folder, name)
    fits = check_password_hash(found or _NOBODY, password)
    return _user(name, found) if fits and found is not None else None


def _user(name: str, found: str) -> User:
    return User(name, hashlib.sha256(found.encode()).hexdigest()[:16])


def _hash(folder: Path, name: str) -> str | None:
    # The name is compared with the files there, and never made a path.
    for path in folder.glob("*.json") if folder.is_dir() else ():
        try:
            known = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(known, dict) and known.get("name") == name:
            text = known.get("hash")
            return text if isinstance(text, str) else None
    return None
