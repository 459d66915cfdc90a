"""Entries for one user in the access control list of a file or folder (acl(5)), without the package
`acl`: the kernel keeps the list as an extended attribute (linux/posix_acl_xattr.h).

What a file's mode shows as its group's rights is then the most that anybody in the list has. So an
entry that has no more rights than the group leaves the mode as it is.
"""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path
from typing import List, NamedTuple, Optional

READ, PASS = 4, 1  # the latter: use what is in a folder by its name, without listing it
_ACCESS, _DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
_VERSION = 2
_HEAD, _ENTRY = struct.Struct("<I"), struct.Struct("<HHI")
_OWNER, _USER, _GROUP_OWNER, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_NOBODY = 0xFFFFFFFF  # entries that name nobody have this number


class Entry(NamedTuple):
    """One entry; sorted, they are in the order that the kernel wants."""

    tag: int
    number: int
    rights: int


def allow(path: Path, uid: int, rights: int, *, also_new: bool = False) -> bool:
    """Let this user have exactly these rights, 0 for none at all; whether something changed.
    `also_new`: and in files and folders that are made in this folder from now on. Raises OSError
    with EOPNOTSUPP where the file system has no such lists."""
    entries = _of(path)
    changed = Entry(_USER, uid, rights) not in _effective(entries)
    if changed:
        _set(path, _ACCESS, _with(entries, Entry(_USER, uid, rights)))
    if also_new:
        new = _read(path, _DEFAULT) or _by_mode(path)
        wanted = _with(new, Entry(_USER, uid, rights))
        if wanted != _read(path, _DEFAULT):
            _set(path, _DEFAULT, wanted)
            changed = True
    return changed


def forget(path: Path, uid: int) -> bool:
    """Take this user's entries away; whether there were any. Without others the list goes."""
    changed = False
    for name in (_ACCESS, _DEFAULT):
        entries = _read(path, name)
        if entries is None or all((one.tag, one.number) != (_USER, uid) for one in entries):
            continue
        rest = [one for one in entries if (one.tag, one.number) != (_USER, uid)]
        if any(one.tag in (_USER, _GROUP) for one in rest):
            _set(path, name, rest)
        elif name == _DEFAULT:
            os.removexattr(str(path), name)
        else:  # a list of these three is a mode, and the kernel keeps it as one
            _set(path, name, [one for one in _effective(rest) if one.tag != _MASK])
        changed = True
    return changed


def rights(path: Path, uid: int) -> Optional[int]:
    """What the entry of this user gives; None without one."""
    entries = _effective(_read(path, _ACCESS) or [])
    return next((one.rights for one in entries if (one.tag, one.number) == (_USER, uid)), None)


def _with(entries: List[Entry], more: Entry) -> List[Entry]:
    """The list with this entry instead of an earlier one. Nobody else gets more than he has."""
    rest = [
        one
        for one in _effective(entries)
        if one.tag != _MASK and (one.tag, one.number) != (more.tag, more.number)
    ]
    every = [*rest, more]
    most = 0
    for one in every:
        most |= one.rights if one.tag in (_USER, _GROUP_OWNER, _GROUP) else 0
    return sorted([*every, Entry(_MASK, _NOBODY, most)])


def _effective(entries: List[Entry]) -> List[Entry]:
    """What each really has: for groups and named users the mask is the most."""
    mask = next((one.rights for one in entries if one.tag == _MASK), 7)
    limited = (_USER, _GROUP_OWNER, _GROUP)
    return [
        one._replace(rights=one.rights & mask) if one.tag in limited else one for one in entries
    ]


def _of(path: Path) -> List[Entry]:
    return _read(path, _ACCESS) or _by_mode(path)


def _by_mode(path: Path) -> List[Entry]:
    """The list that says the same as the mode."""
    mode = path.stat().st_mode
    shifts = ((_OWNER, 6), (_GROUP_OWNER, 3), (_OTHER, 0))
    return [Entry(tag, _NOBODY, mode >> shift & 7) for tag, shift in shifts]


def _read(path: Path, name: str) -> Optional[List[Entry]]:
    try:
        data = os.getxattr(str(path), name)
    except OSError as error:
        if error.errno == errno.ENODATA:
            return None
        raise
    pieces = _ENTRY.iter_unpack(data[_HEAD.size :])
    return sorted(Entry(tag, number, rights) for tag, rights, number in pieces)


def _set(path: Path, name: str, entries: List[Entry]) -> None:
    pieces = [_ENTRY.pack(one.tag, one.rights, one.number) for one in sorted(entries)]
    os.setxattr(str(path), name, _HEAD.pack(_VERSION) + b"".join(pieces))
