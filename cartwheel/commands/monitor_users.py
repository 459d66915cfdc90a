"""`fab monitor.user.*`: who may see the monitor's page."""

from __future__ import annotations

import hashlib
import re
import secrets

from cartwheel.commands.monitor import monitor_scene
from cartwheel.commands.scene import Scene, connect, raise_failures
from cartwheel.errors import UsageError
from cartwheel.fleet.locking import lock_all
from cartwheel.fleet.sessions import successes
from cartwheel.hidden import Hidden
from cartwheel.host.wire.watch import PlacePageUsers

LEAST_CHARACTERS = 12
_MOST_CHARACTERS = 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
_SALT_BYTES = 16
# As werkzeug.security writes and checks hashes, which the page does.
_METHOD, _N, _R, _P = "scrypt", 1 << 15, 8, 1
_MEMORY = 132 * _N * _R * _P
_SMALL_SECONDS = 120.0


def add(scene: Scene, name: str, password: str) -> None:
    """Let this user see the page, or give them another password. Raises UsageError, and what keeps
    the monitor's host from being changed."""
    _check_name(name)
    if not LEAST_CHARACTERS <= len(password) <= _MOST_CHARACTERS:
        raise UsageError(
            "usage",
            f"the password has {len(password)} characters, not {LEAST_CHARACTERS} or more",
            hint="Everybody who reaches the page may guess: take a long one.",
        )
    _place(scene, name, Hidden(hashed(password)))


def remove(scene: Scene, name: str) -> bool:
    """Let this user see the page no more; False if there was no such user."""
    _check_name(name)
    return _place(scene, name, None)


def hashed(password: str) -> str:
    """`scrypt:N:R:P$SALT$HASH`"""
    salt = secrets.token_hex(_SALT_BYTES)
    found = hashlib.scrypt(password.encode(), salt=salt.encode(), n=_N, r=_R, p=_P, maxmem=_MEMORY)
    return f"{_METHOD}:{_N}:{_R}:{_P}${salt}${found.hex()}"


def _check_name(name: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise UsageError(
            "usage",
            f"{name!r} is no name of a user",
            hint="At most 64 letters, digits and `.`, `_`, `@`, `+`, `-`.",
        )


def _place(scene: Scene, name: str, hash_: Hidden | None) -> bool:
    own = monitor_scene(scene)
    with connect(own, changing=True) as fleet:
        raise_failures(lock_all(fleet, own.hosts, own.terms))
        asked = PlacePageUsers({name: hash_})
        found = fleet.ask(asked, deadline_seconds=_SMALL_SECONDS)
        raise_failures(found)
        return any(bool(one.changed) for one in successes(found).values())
