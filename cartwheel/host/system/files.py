"""File operations that survive a crash at any point: write, fsync, rename, fsync."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import json
import os
import re
import shutil
import stat
from pathlib import Path
from typing import IO, Iterator, List, Mapping, Optional, Protocol, Tuple, Type, TypeVar

from cartwheel.host.system.context import OpError, disk_full
from cartwheel.host.wire.codec import WireError, from_disk
from cartwheel.host.wire.messages import Json, Table

R = TypeVar("R")

_NO_LINK = (errno.ENOENT, errno.ENOTDIR, errno.EINVAL)  # EINVAL: not a link (readlink(2))
_CHUNK_BYTES = 1 << 20
_NAME_BYTES = 200
_TEMPORARY = ".cartwheel-"
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}
# How to read what another user may have made: no link is followed, no pipe is waited for.
READ_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
READ_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
GONE = ".gone-"  # prefix of a folder's name while it is being removed


def fsync_dir(path: Path) -> None:
    """Make the names in a directory durable."""
    fd = os.open(str(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_filesystem(path: Path) -> None:
    """Make everything on the file system of `path` durable (syncfs(2), else sync(2))."""
    fd = os.open(str(path), os.O_RDONLY)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        syncfs = getattr(libc, "syncfs", None)
        if syncfs is None:
            os.sync()
        elif syncfs(fd) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(fd)


def _temporary(path: Path) -> Path:
    # In the same folder, for the rename; shortened, because a name has at most 255 bytes.
    name = os.fsdecode(os.fsencode(path.name)[:_NAME_BYTES])
    return path.with_name(f".{name}{_TEMPORARY}{os.getpid()}")


def names(folder: Path) -> List[str]:
    """The sorted names in a folder; none if there is no such folder."""
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []


def left_in(folder: Path, of: str = ".*") -> List[Path]:
    """Temporary files that killed writers left in `folder`, of files whose names match `of`. Call
    it only when nobody can be writing these files."""
    left = re.compile(rf"\.(?:{of}){re.escape(_TEMPORARY)}\d+", re.DOTALL)
    return [
        folder / one for one in names(folder) if left.fullmatch(one) and not is_folder(folder / one)
    ]


def left_beside(path: Path) -> List[Path]:
    """Temporary files that killed writers left of the file `path`, also where an administrator's
    link leads."""
    places = {path}
    with contextlib.suppress(OpError):  # nobody writes there
        places.add(place_of(path))
    return [left for one in sorted(places) for left in left_in(one.parent, re.escape(one.name))]


def sweep(folder: Path, of: str = ".*") -> None:
    """Remove what `left_in` finds."""
    for path in left_in(folder, of):
        path.unlink(missing_ok=True)


def place_of(path: Path) -> Path:
    """The place to write the file `path`: itself, or the target of root's own link. Other users'
    links are not followed: they could lead root anywhere.

    Raises OpError("not-ours") if that is not a file, such as a masked unit's link to /dev/null.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        return path
    if stat.S_ISLNK(status.st_mode):
        if status.st_uid not in (0, os.geteuid()):
            raise OpError("not-ours", f"{path} is a link that is not root's")
        try:
            status = path.stat()
        except FileNotFoundError:
            return Path(os.path.realpath(str(path)))
    if not stat.S_ISREG(status.st_mode):
        what = KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise OpError("not-ours", f"{path} is {what}, not a file; it was left unchanged")
    return Path(os.path.realpath(str(path))) if path.is_symlink() else path


def write(
    path: Path, data: bytes, mode: int = 0o644, owner: Optional[Tuple[int, int]] = None
) -> bool:
    """Put `data` at `path` by rename, with this mode and owner; durable on return.

    Returns False, and changes nothing, if content, mode and owner are as wanted. Raises
    OpError("not-ours") as `place_of` does.
    """
    path = place_of(path)
    if _same(path, data, mode, owner):
        return False
    with _replacing(path, mode, owner) as handle:
        handle.write(data)
    return True


@contextlib.contextmanager
def _replacing(path: Path, mode: int, owner: Optional[Tuple[int, int]]) -> Iterator[IO[bytes]]:
    """A new file that gets the name `path` when it is whole and durable, and is private until then;
    an exception leaves everything as it was."""
    temporary = _temporary(path)
    temporary.unlink(missing_ok=True)
    fd = os.open(str(temporary), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(fd, "wb") as handle:
            yield handle
            handle.flush()
            if owner is not None:
                os.fchown(fd, *owner)
            os.fchmod(fd, mode)
            os.fsync(fd)
        os.rename(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_dir(path.parent)


def _same(path: Path, data: bytes, mode: int, owner: Optional[Tuple[int, int]]) -> bool:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(status.st_mode) or stat.S_IMODE(status.st_mode) != mode:
        return False
    if owner is not None and (status.st_uid, status.st_gid) != owner:
        return False
    return status.st_size == len(data) and path.read_bytes() == data


def is_no_file(path: Path) -> bool:
    """Whether something other than a file is there: reading a pipe would wait for ever."""
    return path.exists() and not path.is_file()


def write_json(path: Path, value: Mapping[str, Json], mode: int = 0o644) -> bool:
    return write(path, json.dumps(value, indent=1, sort_keys=True).encode() + b"\n", mode)


def read_json(path: Path) -> Optional[Table]:
    """The JSON object in the file, or None if there is no file."""
    if is_no_file(path):
        raise OpError("host-state", f"{path} is damaged: not a file")
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise OpError("host-state", f"{path} is damaged: {error}") from error
    if not isinstance(value, dict):
        raise OpError("host-state", f"{path} is damaged: not an object")
    return value


def read_record(kind: Type[R], path: Path) -> Optional[R]:
    """The record in the file, as this or another version wrote it, or None if there is no file."""
    value = read_json(path)
    try:
        return None if value is None else from_disk(kind, value)
    except WireError as error:
        raise OpError("host-state", f"{path} is damaged: {error}") from error


def link(path: Path, target: str) -> bool:
    """Point the symbolic link `path` at `target` with one rename; durable on return.

    On a full disk it uses the spare link, if `keep_spare` made one for this target.
    """
    if read_link(path) == target:
        return False
    if not path.is_symlink():
        place_of(path)
    temporary = _temporary(path)
    temporary.unlink(missing_ok=True)
    try:
        os.symlink(target, temporary)
    except OSError as error:
        if not disk_full(error) or read_link(spare(path)) != target:
            raise
        temporary = spare(path)
    try:
        os.rename(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_dir(path.parent)
    return True


def keep_spare(path: Path, target: str) -> None:
    """Make a spare link, so that pointing `path` at `target` later needs no disk space."""
    drop_spare(path)
    os.symlink(target, spare(path))


def drop_spare(path: Path) -> None:
    spare(path).unlink(missing_ok=True)


def spare(path: Path) -> Path:
    """The path of the spare link for `path`."""
    return path.with_name("." + path.name + ".spare")


def read_link(path: Path) -> Optional[str]:
    """The target of a link; None if there is no link. A link that cannot be read raises OSError: if
    it counted as missing, its target would look unused."""
    try:
        return os.readlink(path)
    except OSError as error:
        if error.errno in _NO_LINK:
            return None
        raise


def remove(path: Path) -> bool:
    """Unlink a file or link if it exists; durable on return."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    fsync_dir(path.parent)
    return True


def remove_tree(path: Path) -> bool:
    """Remove a directory; whether there was anything. It is renamed first, so that a half-removed
    one never looks complete; leftovers of an earlier removal are removed too."""
    is_half = path.name.startswith(GONE)
    doomed = path if is_half else path.with_name(GONE + path.name)
    found = is_folder(doomed)
    if found:
        shutil.rmtree(str(doomed))
    if not is_half and is_folder(path):
        found = True
        os.rename(path, doomed)
        # Otherwise a power cut could keep the removals inside and lose the new name.
        fsync_dir(path.parent)
        shutil.rmtree(str(doomed))
    return found


def is_folder(path: Path) -> bool:
    """Whether a folder is there, and not only a link to one."""
    return path.is_dir() and not path.is_symlink()


def remove_empty(path: Path) -> bool:
    """Remove a folder that has nothing in it; whether it was there and empty."""
    if not path.is_dir() or names(path):
        return False
    path.rmdir()
    return True


def sha256_of(path: Path) -> Optional[str]:
    """Hex SHA-256 of a regular file, or None if there is none."""
    digest = hashlib.sha256()
    if is_no_file(path):
        return None
    try:
        with path.open("rb") as handle:
            for chunk in iter(lambda: handle.read(_CHUNK_BYTES), b""):
                digest.update(chunk)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None
    return digest.hexdigest()


class Readable(Protocol):
    """A source of bytes: `read` returns pieces, and b"" at the end."""

    def read(self, _size: int) -> bytes: ...


def store(source: Readable, path: Path, sha256: str) -> None:
    """Copy a payload to `path` by rename if its SHA-256 is `sha256`."""
    path, digest = place_of(path), hashlib.sha256()
    with _replacing(path, 0o644, None) as handle:
        for chunk in iter(lambda: source.read(_CHUNK_BYTES), b""):
            digest.update(chunk)
            handle.write(chunk)
        if digest.hexdigest() != sha256:
            raise OpError("upload-damaged", f"{path.name} arrived damaged")


def directory(path: Path, mode: int, uid: int = 0, gid: int = 0) -> bool:
    """Make a directory with exactly this mode and owner; True if something changed."""
    changed = False
    try:
        os.mkdir(path, mode)
        changed = True
    except FileExistsError:
        if not is_folder(path):
            raise OpError("not-ours", f"{path} exists and is not a directory") from None
    status = path.stat()
    if (status.st_uid, status.st_gid) != (uid, gid):
        os.chown(path, uid, gid)
        changed = True
    if stat.S_IMODE(path.stat().st_mode) != mode:
        os.chmod(path, mode)
        changed = True
    return changed
