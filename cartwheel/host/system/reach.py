"""Check whether the application's user can reach a file: every folder on the way, through links.

It is decided from owners and modes, because the user may not exist yet, and because one thread of
a process cannot become another user. An access list (acl(5)) counts as granting access.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from dataclasses import dataclass
from typing import FrozenSet, List, Tuple

_MOST_LINKS = 40  # as the kernel follows (path_resolution(7))
# Folders that ProtectHome= hides, and PrivateTmp= and PrivateDevices= replace (systemd.exec(5)).
HOMES = ("/home", "/root", "/run/user")
_REPLACED = ("/tmp", "/var/tmp", "/dev")


@dataclass(frozen=True)
class Account:
    """A user who wants access. A user that does not exist yet has everybody's rights."""

    name: str
    uid: int = -1
    groups: FrozenSet[int] = frozenset()


def account(user: str, *groups: str) -> Account:
    """The user with its own groups and `groups`, which its unit adds."""
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        return Account(user)
    found = set(os.getgrouplist(user, entry.pw_gid))
    for group in groups:
        try:
            found.add(grp.getgrnam(group).gr_gid)
        except KeyError:
            continue
    return Account(user, entry.pw_uid, frozenset(found))


def way(path: str) -> Tuple[List[str], str]:
    """Every folder that is searched on the way to `path`, through links, and the final path."""
    waiting = [part for part in path.split("/") if part]
    here, folders, links = "/", ["/"], 0
    while waiting:
        part = waiting.pop(0)
        if part == ".":
            continue
        if part == "..":
            here = os.path.dirname(here)
            continue
        one = os.path.join(here, part)
        if os.path.islink(one) and links < _MOST_LINKS:
            links += 1
            target = os.readlink(one)
            here = "/" if target.startswith("/") else here
            waiting = [piece for piece in target.split("/") if piece] + waiting
            continue
        here = one
        if waiting:
            folders.append(one)
    return folders, here


def obstacle(path: str, who: Account, *, execute: bool = False, write: bool = False) -> str:
    """Why `who` cannot read the file, or execute it, or write to it, as text; "" if it can. Who may
    write to a socket may connect to it (unix(7))."""
    folders, end = way(path)
    for folder in folders:
        if not _may(folder, who, stat.S_IXOTH):
            return f"{_described(folder)} cannot be entered by {who.name}"
    if not os.path.exists(end):
        return f"{end} is not there"
    if execute and os.statvfs(end).f_flag & os.ST_NOEXEC:
        return f"{end} is on a file system that is mounted noexec"
    is_socket = stat.S_ISSOCK(os.stat(end).st_mode)
    if write and not is_socket and os.statvfs(end).f_flag & os.ST_RDONLY:
        return f"{end} is on a read-only file system"
    wanted = stat.S_IWOTH if write else stat.S_IROTH
    wanted |= stat.S_IXOTH if execute or os.path.isdir(end) else 0
    if not _may(end, who, wanted):
        what = "executed" if execute else "written" if write else "read"
        return f"{_described(end)} may not be {what} by {who.name}"
    return ""


def in_home(path: str) -> bool:
    """Whether the way to `path` leads through a folder that `ProtectHome=yes` hides."""
    return any(_is_below(one, HOMES) for one in _passed(path))


def replaced(path: str) -> str:
    """The folder on the way that the unit replaces with a private one; "" if none."""
    return next((top for top in _REPLACED if any(_is_below(p, (top,)) for p in _passed(path))), "")


def _passed(path: str) -> List[str]:
    folders, end = way(path)
    return [*folders, end]


def _is_below(path: str, tops: Tuple[str, ...]) -> bool:
    """The top folders, and their targets if they are links: systemd follows them."""
    places = {*tops, *(os.path.realpath(top) for top in tops)}
    return any(path == place or path.startswith(place + "/") for place in places)


def _may(path: str, who: Account, wanted: int) -> bool:
    """Whether the mode gives `wanted` (bits of "others") to `who`; True for a missing file."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return True
    if who.uid == 0:
        return True
    if status.st_uid == who.uid:
        wanted <<= 6
    elif status.st_gid in who.groups:
        wanted <<= 3
    return status.st_mode & wanted == wanted or _has_access_list(path)


def _has_access_list(path: str) -> bool:
    try:
        return bool(os.getxattr(path, "system.posix_acl_access"))
    except OSError:
        return False


def _described(path: str) -> str:
    """The path with its mode and owner."""
    status = os.stat(path)
    try:
        owner = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        owner = str(status.st_uid)
    return f"{path} (mode {stat.S_IMODE(status.st_mode):04o}, of {owner})"
