"""What a monitor on this host watches: a file for each project, with the addresses of messengers.

The files are for root and the monitor's group. The monitor reads them, and cannot change them.
"""

from __future__ import annotations

import grp
import pwd
import re

from cartwheel.host.state import record
from cartwheel.host.system import files
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.wire.request import Done
from cartwheel.host.wire.watch import PlaceWatchLists

_NAME = re.compile(r"[a-z][a-z0-9.-]{0,63}")
_FOLDER_MODE, _MODE = 0o750, 0o640


def place(ctx: Context, request: PlaceWatchLists) -> Done:
    """Bring, replace or remove lists. Raises OpError("account") if the monitor's user is
    missing."""
    folder, changed, gid = ctx.at.watch_lists, False, _group(record.needed(ctx.at).user)
    if any(request.lists.values()):
        changed |= files.directory(folder, _FOLDER_MODE, 0, gid)
    for name, text in request.lists.items():
        if _NAME.fullmatch(name) is None:
            raise OpError("host-side", f"{name!r} is not the name of a project")
        path = folder / f"{name}.json"
        if text is None:
            changed |= files.remove(path)
        else:
            changed |= files.write(path, text.reveal().encode(), _MODE, (0, gid))
    files.remove_empty(folder)
    return Done(changed)


def _group(user: str) -> int:
    try:
        return grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_gid
    except KeyError:
        raise OpError("account", f"the monitor's user {user} does not exist") from None
