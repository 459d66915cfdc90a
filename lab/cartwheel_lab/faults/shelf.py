"""Saves the content of a host's disk and restores states of it, from outside.

Files are kept in memory by their digest; trees (a virtual environment, bytecode) as copies
in a folder on the host's own disk.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cartwheel_lab.faults.disk import Content, State

_EVERY = 2  # a torn tree loses every second name


@dataclass(frozen=True)
class Scope:
    """The part of a disk that is recorded: everything below `folders` that is not `ignored`. A path
    that matches `trees` is handled as a whole. `mounts` are separate file systems, in addition to
    that of the root."""

    folders: tuple[str, ...]
    trees: re.Pattern[str]
    ignored: re.Pattern[str]
    mounts: tuple[str, ...] = ()

    def follows(self, path: str) -> bool:
        below = any(path == one or path.startswith(one + "/") for one in self.folders)
        return below and not self.ignored.search(path)

    def tree_of(self, path: str) -> str:
        """The tree that the path is, or is in; "" if none."""
        found = self.trees.match(path)
        return found.group(0) if found else ""

    def mount_of(self, path: str) -> str:
        within = [one for one in self.mounts if path == one or path.startswith(one + "/")]
        return max(within, key=len, default="")


@dataclass
class Shelf:
    """`root` is the host's root as a path here, `folder` a folder on it for copies of trees."""

    root: Path
    folder: Path
    texts: dict[str, bytes] = field(default_factory=lambda: {"": b""})
    _linked: dict[str, frozenset[str]] = field(default_factory=dict)

    def real(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def look(self, path: str, scope: Scope, *, keep: bool = True) -> Content | None:
        """The file at the path now; None if there is none. Only kept files can be restored."""
        real = self.real(path)
        try:
            status = real.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if stat.S_ISLNK(status.st_mode):
            return Content("link", str(real.readlink()))
        rights = (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
        if stat.S_ISDIR(status.st_mode):
            if scope.tree_of(path) == path:
                return Content("tree", self._keep_tree(real) if keep else _key(real), *rights)
            return Content("dir", "", *rights)
        data = real.read_bytes()
        return Content("file", self.keep(data) if keep else _digest(data), *rights)

    def look_at_tree(self, path: str) -> Content:
        """The folder at the path, as a tree."""
        status = self.real(path).stat()
        rights = (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
        return Content("tree", self._keep_tree(self.real(path)), *rights)

    def keep(self, data: bytes) -> str:
        key = _digest(data)
        self.texts[key] = data
        return key

    def scan(self, scope: Scope, *, keep: bool = True) -> State:
        """Everything in the scope that is on the disk now, and the folders above it."""
        state: dict[str, Content] = {}
        waiting = list(scope.folders)
        for folder in scope.folders:
            parts = Path(folder).parts
            for at in range(2, len(parts)):
                above = "/" + "/".join(parts[1:at])
                content = self.look(above, scope, keep=keep)
                if content is not None:
                    state[above] = content
        while waiting:
            path = waiting.pop()
            if scope.ignored.search(path) or path in state:
                continue
            content = self.look(path, scope, keep=keep)
            if content is None:
                continue
            state[path] = content
            if content.kind == "dir":
                waiting += [f"{path}/{real.name}" for real in self.real(path).iterdir()]
        return state

    def lay(self, state: State, scope: Scope) -> None:
        """Bring the disk into this state while nothing uses it. Folders above the scope stay."""
        now = self.scan(scope, keep=False)
        for path in sorted(now, reverse=True):
            there, wanted = now[path], state.get(path)
            if there == wanted or not scope.follows(path):
                continue
            if wanted is None or wanted.kind != there.kind or wanted.kind in ("tree", "link"):
                _remove(self.real(path))
        for path in sorted(state):
            if state[path] != now.get(path) and scope.follows(path):
                self._put(path, state[path])

    def _put(self, path: str, content: Content) -> None:
        real = self.real(path)
        if content.kind == "link":
            with suppress(FileNotFoundError):
                real.unlink()
            real.symlink_to(content.data)
            return
        if content.kind == "dir":
            real.mkdir(exist_ok=True)
        elif content.kind == "file":
            real.write_bytes(self.text(content))
        else:
            self._put_tree(real, content)
        os.chown(real, content.uid, content.gid)
        real.chmod(content.mode)

    def text(self, content: Content) -> bytes:
        """A file's bytes. If it is torn: cut in the middle of what was appended, or of all."""
        data, before = self.texts[content.data], self.texts[content.base]
        if not content.torn:
            return data
        sure = len(before) if data.startswith(before) else 0
        return data[: sure + (len(data) - sure) // 2]

    # -- trees

    def _keep_tree(self, real: Path) -> str:
        key = _key(real)
        if key and key not in self._linked:
            self._linked[key] = frozenset(_shared_files(real))
            _copy(real, self.folder / key)
        return key

    def _put_tree(self, real: Path, content: Content) -> None:
        lost = content.torn == "names"
        # A tree that is being removed is torn from its earlier content.
        source = content.base if lost and not content.data else content.data
        if not source:
            real.mkdir()
            return
        _copy(self.folder / source, real)
        if not content.torn:
            return
        sure = self._durable(content.base) if content.data else frozenset()
        shared = self._linked[source]
        names = [name for name in sorted(_files(real)) if name not in sure]
        for at, name in enumerate(names):
            path = real / name
            if lost and at % _EVERY:
                path.unlink()
            elif not lost and not path.is_symlink() and name not in shared:
                os.truncate(path, (path.stat().st_size // 2) * (at % _EVERY))

    def _durable(self, key: str) -> frozenset[str]:
        return frozenset(_files(self.folder / key)) if key else frozenset()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest() if data else ""


def _key(tree: Path) -> str:
    return _digest("\n".join(_listing(tree)).encode())


def _remove(real: Path) -> None:
    if real.is_dir() and not real.is_symlink():
        shutil.rmtree(real)
    else:
        real.unlink()


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-aT", str(source), str(target)], check=True, timeout=600)


def _files(folder: Path) -> Iterator[str]:
    """Everything in a tree that is not a folder."""
    for at, folders, names in os.walk(folder):
        links = [name for name in folders if (Path(at) / name).is_symlink()]
        for name in (*names, *links):
            yield str((Path(at) / name).relative_to(folder))


def _shared_files(folder: Path) -> Iterator[str]:
    """Hard links to files that existed, and were durable, before."""
    for name in _files(folder):
        if (folder / name).lstat().st_nlink > 1:
            yield name


def _listing(folder: Path) -> Iterator[str]:
    for at, folders, names in sorted(os.walk(folder)):
        for name in sorted((*folders, *names)):
            path = Path(at) / name
            status = path.lstat()
            said = [str(path.relative_to(folder)), oct(status.st_mode), str(status.st_uid)]
            if stat.S_ISLNK(status.st_mode):
                said.append(str(path.readlink()))
            elif stat.S_ISREG(status.st_mode):
                said += [str(status.st_size), str(status.st_mtime_ns)]
            yield "\t".join(said)
