"""Read the texts on the host that a plan may change, for a person to compare.

Changes nothing, and reads neither bookkeeping nor secrets: the plan knows the names and keyed
digests of a release's variables from its manifest; `env` is never opened here.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Dict, Optional

from cartwheel.host.state import releases, whole
from cartwheel.host.system import files, systemd
from cartwheel.host.system.context import Context
from cartwheel.host.wire.compare import Compare, Present

_MOST_BYTES = 1 << 20


def compare(ctx: Context, request: Compare) -> Present:
    """Texts of the files (None: no such file) and of the releases that exist, and the instances of
    the application that are running or stopping."""
    at = ctx.at
    there, found = releases.names(at), systemd.instances(at)
    return Present(
        files={path: _text(Path(path)) for path in request.files},
        releases={name: _texts(at.release(name)) for name in request.releases if name in there},
        running=tuple(at.unit(one) for one in found if found[one] != systemd.STOPPING),
        stopping=tuple(at.unit(one) for one in found if found[one] == systemd.STOPPING),
    )


def _texts(folder: Path) -> Dict[str, str]:
    """The release's files outside its virtual environment: configuration and lock."""
    found = {}
    for entry in sorted(os.listdir(str(folder))):
        path = folder / entry
        if entry in whole.BOOKKEEPING or not path.is_file() or path.is_symlink():
            continue
        text = _text(path)
        if text is not None:
            found[entry] = text
    return found


def _text(path: Path) -> Optional[str]:
    if files.is_no_file(path):
        return None
    try:
        with open(str(path), "rb") as file:
            return file.read(_MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return None
