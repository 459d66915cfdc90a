"""Read the texts on the host that a plan may change, for a person to compare.

Changes nothing, and reads neither bookkeeping nor secrets: the plan knows the names and keyed
digests of a release's variables from its manifest; `env` is never opened here.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Dict, Optional

from cartwheel.host.layout import Layout
from cartwheel.host.state import releases, timers, whole
from cartwheel.host.system import files, systemd
from cartwheel.host.system.context import Context
from cartwheel.host.wire.compare import Compare, Present
from cartwheel.host.wire.manifest import PLACED

_MOST_BYTES = 1 << 20


def compare(ctx: Context, request: Compare) -> Present:
    """Texts of the files (None: no such file) and of the releases that exist, and the instances of
    the application that are running or stopping."""
    at, now = ctx.at, time.time()
    there, found = releases.names(at), systemd.instances(at)
    return Present(
        files={path: _text(Path(path)) for path in request.files},
        releases={name: _texts(at, name) for name in request.releases if name in there},
        running=tuple(at.unit(one) for one in found if found[one] != systemd.STOPPING),
        stopping=tuple(at.unit(one) for one in found if found[one] == systemd.STOPPING),
        timers=timers.here(at),
        following={name: timers.following(one, now) for name, one in request.timers.items()},
    )


def _texts(at: Layout, release: str) -> Dict[str, str]:
    """The release's files outside its virtual environment: configuration and lock, and those of the
    application that hold no secret."""
    folder, found = at.release(release), {}
    own = [name for name in files.names(folder) if name not in whole.BOOKKEEPING]
    placed = releases.manifest(at, release).placed
    own += [f"{PLACED}/{name}" for name, one in placed.items() if not one.secret]
    for name in own:
        path = folder / name
        text = None if path.is_symlink() else _text(path)
        if text is not None:
            found[name] = text
    return found


def _text(path: Path) -> Optional[str]:
    if files.is_no_file(path):
        return None
    try:
        with open(str(path), "rb") as file:
            return file.read(_MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return None
