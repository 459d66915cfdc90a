"""The users of a site's paths, with the hashes of their passwords: a file for each such path.

The site names the files, and the web server reads them again for each request. They are for root
and the web server's group; the application cannot read them.
"""

from __future__ import annotations

import hashlib
import hmac
import pwd
import re
from pathlib import Path
from typing import Dict, List

from cartwheel.host.layout import Layout
from cartwheel.host.state import record
from cartwheel.host.system import files
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.web.chosen import web_server
from cartwheel.host.wire.request import Done
from cartwheel.host.wire.users import PlaceUsers

_NAME = re.compile(r"[0-9a-f]{12}")
_FOLDER_MODE, _MODE = 0o750, 0o640


def place(ctx: Context, request: PlaceUsers) -> Done:
    """Bring, replace or remove files. Raises OpError("account") if the web server's user is
    missing."""
    at = ctx.at
    changed, gid = False, _group(at)
    if any(request.files.values()):
        changed |= files.directory(at.users, _FOLDER_MODE, 0, gid)
    for name, lines in request.files.items():
        if _NAME.fullmatch(name) is None:
            raise OpError("host-side", f"{name!r} is not the name of a file of users")
        if lines is None:
            changed |= files.remove(at.users / name)
        else:
            data = lines.reveal().encode()
            changed |= files.write(at.users / name, data, _MODE, (0, gid))
    files.remove_empty(at.users)
    return Done(changed)


def _group(at: Layout) -> int:
    user = web_server(at).user()
    try:
        return pwd.getpwnam(user).pw_gid
    except KeyError:
        raise OpError("account", f"the web server's user {user} does not exist") from None


def digests(at: Layout) -> Dict[str, str]:
    """The keyed digest of each file that is there, by name; "" if its mode or owner is wrong."""
    known = record.read(at)
    key = known.digest_key if known else None
    if key is None or not files.is_folder(at.users):
        return {}
    return {name: _digest(at.users / name, key.reveal()) for name in _there(at.users)}


def _there(folder: Path) -> List[str]:
    return [name for name in files.names(folder) if _NAME.fullmatch(name)]


def _digest(path: Path, key: str) -> str:
    try:
        status, data = path.lstat(), path.read_bytes()
    except OSError:
        return ""
    if files.is_no_file(path) or status.st_mode & 0o777 != _MODE or status.st_uid != 0:
        return ""
    return hmac.new(bytes.fromhex(key), data, hashlib.sha256).hexdigest()
