"""Folders of `shared/` that the web server serves while the application writes them.

They belong to the app's user and to the group of the app's sockets, in which only that user and the
web server's are, and they are setgid: whatever the app makes there has that group, whichever of its
processes makes it, and its units' UMask lets a group read. Nobody else comes as far as `shared/`.

The app's user owns all of it and may replace any folder at any time, so root opens each one by its
parent's descriptor, follows no link, and changes only what is the user's anyway.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from cartwheel.host.state import record
from cartwheel.host.system import children, files
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.wire.served import Served

_PASS = stat.S_IXGRP
_READ = stat.S_IRGRP
_DEEPEST = 64
_HARD_LINKS = Path("/proc/sys/fs/protected_hardlinks")  # proc(5)


def ensure(ctx: Context, served: Served) -> None:
    """Make the folders, and let the web server read them. Raises OpError("media")."""
    if not served.media:
        return
    known = record.needed(ctx.at)
    uid, gid = children.account(known.user).pw_uid, children.group_id(known.group)
    shared = os.open(ctx.at.shared, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _let(shared, gid, _PASS)
        for setting, folder in served.media.items():
            _ensure(shared, ctx.at.shared, folder, setting, uid, gid)
    finally:
        os.close(shared)
    with contextlib.suppress(OSError):
        if _HARD_LINKS.read_text(encoding="ascii").strip() == "0":
            told = (
                f"{_HARD_LINKS} is 0: outside of its sandbox the app could publish files of others"
            )
            ctx.emit("media", "note", told)


def _let(fd: int, gid: int, bits: int) -> None:
    """Give a folder or file this group, and that group these rights."""
    status = os.fstat(fd)
    if status.st_gid != gid:
        os.fchown(fd, -1, gid)
    if stat.S_IMODE(status.st_mode) & bits != bits or status.st_gid != gid:
        os.fchmod(fd, stat.S_IMODE(status.st_mode) | bits)


def _ensure(shared: int, top: Path, folder: str, setting: str, uid: int, gid: int) -> None:
    fd, path = os.dup(shared), top
    try:
        for name in folder.split("/"):
            path = path / name
            inner = _opened(fd, path, setting, uid, gid)
            os.close(fd)
            fd = inner
            if path != top / folder or _is_handed_over(fd, gid):
                _let(fd, gid, _PASS)
            else:
                _hand_over(fd, uid, gid)
    finally:
        os.close(fd)


def _opened(parent: int, path: Path, setting: str, uid: int, gid: int) -> int:
    """The folder `path`, made if it is missing."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(path.name, 0o700, dir_fd=parent)
    try:
        fd = os.open(path.name, files.READ_FOLDER, dir_fd=parent)
    except OSError as error:
        told = f"{setting}: {path} is a link or no folder ({error.strerror})"
        hint = "Remove it, or mount there (mount --bind) what it leads to; no link is followed."
        raise OpError("media", told, hint) from error
    owner = os.fstat(fd).st_uid
    if owner == 0 and not os.listdir(fd):  # made above, or before an interruption
        os.fchown(fd, uid, gid)
        os.fchmod(fd, 0o750)
    elif owner != uid:
        os.close(fd)
        told = f"{setting}: {path} does not belong to the app's user"
        raise OpError("media", told, f"Run `chown -R` there, or name another folder in {setting}.")
    return fd


def _is_handed_over(fd: int, gid: int) -> bool:
    """Whether it has the mark; `chown -R` and `chmod g-s` take it away."""
    status = os.fstat(fd)
    return status.st_gid == gid and bool(status.st_mode & stat.S_ISGID)


def _hand_over(fd: int, uid: int, gid: int, depth: int = 0) -> None:
    """Let the web server reach and read all that the user has in a folder; the folder's own mark
    (setgid) comes last, so that an interrupted run is done again."""
    for name in os.listdir(fd) if depth < _DEEPEST else ():
        with contextlib.suppress(OSError):  # the app has removed or replaced it
            is_folder = stat.S_ISDIR(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode)
            inner = os.open(name, files.READ_FOLDER if is_folder else files.READ_FILE, dir_fd=fd)
            try:
                status = os.fstat(inner)
                if status.st_uid == uid and is_folder:
                    _hand_over(inner, uid, gid, depth + 1)
                elif status.st_uid == uid and stat.S_ISREG(status.st_mode):
                    _let(inner, gid, _READ)
            finally:
                os.close(inner)
    _let(fd, gid, _PASS | stat.S_ISGID)
