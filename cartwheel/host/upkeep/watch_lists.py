"""What a monitor on this host watches, with the addresses of messengers: a file for each project.
And who may see its page: a file for each user.

The files are for root and the monitor's group. The monitor reads them, and cannot change them.
"""

from __future__ import annotations

import grp
import json
import pwd
import re
from pathlib import Path
from typing import Dict, Optional

from cartwheel.host.state import record
from cartwheel.host.system import files
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.wire.request import Done
from cartwheel.host.wire.watch import PlacePageUsers, PlaceWatchLists

_PROJECT = re.compile(r"[a-z][a-z0-9.-]{0,63}")
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
_FOLDER_MODE, _MODE = 0o750, 0o640


def place(ctx: Context, request: PlaceWatchLists) -> Done:
    """Bring, replace or remove lists. Raises OpError("account") if the monitor's user is
    missing."""
    texts = {name: one.reveal() if one else None for name, one in request.lists.items()}
    return _place(ctx, ctx.at.watch_lists, texts, _PROJECT)


def place_users(ctx: Context, request: PlacePageUsers) -> Done:
    """Bring, replace or remove users. Raises OpError("account") if the monitor's user is
    missing."""
    texts = {
        name: json.dumps({"name": name, "hash": one.reveal()}) + "\n" if one else None
        for name, one in request.users.items()
    }
    return _place(ctx, ctx.at.page_users, texts, _USER)


def _place(
    ctx: Context, folder: Path, texts: Dict[str, Optional[str]], fits: "re.Pattern[str]"
) -> Done:
    changed, gid = False, _group(record.needed(ctx.at).user)
    if any(texts.values()):
        changed |= files.directory(folder, _FOLDER_MODE, 0, gid)
    for name, text in texts.items():
        if fits.fullmatch(name) is None:
            raise OpError("host-side", f"{name!r} is no name of what is in {folder.name}")
        path = folder / f"{name}.json"
        if text is None:
            changed |= files.remove(path)
        else:
            changed |= files.write(path, text.encode(), _MODE, (0, gid))
    files.remove_empty(folder)
    return Done(changed)


def _group(user: str) -> int:
    try:
        return grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_gid
    except KeyError:
        raise OpError("account", f"the monitor's user {user} does not exist") from None
