"""What the user of monitors may read of an application: it exists where a monitor was allowed.

The modes of the folders stay as they are. This one user has entries of its own in a few access
control lists, each with the least that is needed, so nobody else gets anything. On a file system
without such lists it can read nothing of the application, and a monitor says so.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import re
from pathlib import Path
from typing import Iterator, List, Optional

from cartwheel.host.layout import Layout
from cartwheel.host.system import acl, files

USER = "cartwheel-look"
_NO_LISTS = (errno.EOPNOTSUPP, errno.ENOSYS)
_RUN = re.compile(r"\d+\.json")


def user_id() -> Optional[int]:
    """Its number; None where no monitor is allowed."""
    try:
        return pwd.getpwnam(USER).pw_uid
    except KeyError:
        return None


def let_in(at: Layout) -> List[str]:
    """Let it read what monitors are told; the paths that changed. What a path is not there for
    comes later: whatever makes one of these paths calls one of the functions below. Raises OSError,
    see `acl.allow`."""
    uid, changed = user_id(), []
    if uid is None or not files.is_folder(at.root):
        return []
    for release in files.names(at.releases):
        # First, because the folders above it are passed only afterwards.
        if _shut(at.placed(release), uid):
            changed.append(str(at.placed(release)))
    for path in _passed(at):
        if acl.allow(path, uid, acl.PASS):
            changed.append(str(path))
    for folder in _listed(at):
        if acl.allow(folder, uid, acl.READ | acl.PASS, also_new=True):
            changed.append(str(folder))
    changed += [str(path) for path in _read(at) if acl.allow(path, uid, acl.READ)]
    return changed


def _passed(at: Layout) -> Iterator[Path]:
    """Folders in which it may use names that it knows."""
    folders = (at.releases, *_releases(at), at.maintenance, at.root)
    yield from filter(files.is_folder, folders)


def _listed(at: Layout) -> Iterator[Path]:
    """Folders that it may list, and read what is made there and not private."""
    folders = (at.timers, *(at.timers / name for name in files.names(at.timers)))
    yield from filter(files.is_folder, folders)


def _read(at: Layout) -> Iterator[Path]:
    """Files that the others may not read."""
    for folder in _releases(at):
        if (folder / "release.json").is_file():
            yield folder / "release.json"
    for timer in _listed(at):
        yield from (timer / name for name in files.names(timer) if _RUN.fullmatch(name))


def _releases(at: Layout) -> List[Path]:
    return [at.release(name) for name in files.names(at.releases)]


def let_read(path: Path) -> None:
    """Let it read a file that is new."""
    _allow(path, acl.READ)


def let_pass(folder: Path) -> None:
    """Let it use the names that it knows in a folder that is new."""
    _allow(folder, acl.PASS)


def let_list(folder: Path) -> None:
    """Let it list a folder that is new, and read what is made there."""
    _allow(folder, acl.READ | acl.PASS, also_new=True)


def shut_out(folder: Path) -> None:
    """Keep it out of a folder that others may enter, before anything is in there."""
    _allow(folder, 0)


def _allow(path: Path, rights: int, *, also_new: bool = False) -> None:
    """Where the file system has no lists, it does not get that far."""
    uid = user_id()
    if uid is None:
        return
    try:
        acl.allow(path, uid, rights, also_new=also_new)
    except OSError as error:
        if error.errno not in _NO_LISTS:
            raise


def _shut(folder: Path, uid: int) -> bool:
    return files.is_folder(folder) and acl.allow(folder, uid, 0)


def leave(at: Layout) -> None:
    """The application is not here any more: nothing of what stays is for monitors."""
    uid = user_id()
    if uid is not None:
        let_out(at, uid)


def let_out(at: Layout, uid: int) -> List[str]:
    """Take all these entries away; the paths that changed."""
    if not files.is_folder(at.root):
        return []
    every = [*_passed(at), *_read(at)]
    for folder, _folders, inside in os.walk(str(at.timers)):  # all that was made there has entries
        every += (Path(folder), *(Path(folder, name) for name in inside))
    every += filter(files.is_folder, (at.placed(name) for name in files.names(at.releases)))
    gone = []
    for path in every:
        with contextlib.suppress(FileNotFoundError):
            if _forgotten(path, uid):
                gone.append(str(path))
    return gone


def _forgotten(path: Path, uid: int) -> bool:
    try:
        return acl.forget(path, uid)
    except OSError as error:
        if error.errno not in _NO_LISTS:
            raise
        return False
