"""Load an application as its service would, and report the paths that it could not write.

`witness.py PROGRAM ARGUMENT...` becomes that console script of the same interpreter, with an
audit hook (PEP 578) that looks at every call that writes. It is a program of its own: it runs
with the application's privileges in a release's environment (see `trial`), whichever Python
that has, and so imports nothing of this package.
"""

from __future__ import annotations

import os
import runpy
import sys
import urllib.parse

# Begins the witness's own lines; the application's text never holds this character.
MARK = "\x1ecartwheel "
BEGAN = "began"
REFUSED = "refused "

_MAX_TOLD = 20
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
# Not the application's data: devices, the kernel's files, and bytecode, which is only a cache.
_ELSEWHERE = ("/dev/", "/proc/", "/sys/")
_BYTECODE = "__pycache__"


class Witness:
    """The audit hook. An event comes before its call, so the hook checks whether the call will be
    refused; the path is reported even if the application catches the error."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._told: set[str] = set()

    def __call__(self, event: str, args: tuple[object, ...]) -> None:
        look = _EVENTS.get(event)
        if look is None or len(self._told) >= _MAX_TOLD:
            return
        try:
            for path in look(args):
                self._tell(path)
        except Exception:  # noqa: S110 - whatever it was, the application must not notice
            pass

    def _tell(self, path: str) -> None:
        if path not in self._told:
            self._told.add(path)
            say(self._fd, REFUSED + path)


def say(fd: int, text: str) -> None:
    """Print the witness's own line, even if the application has begun one."""
    line = "\n{}{}\n".format(MARK, text.replace("\n", "?"))
    os.write(fd, line.encode("utf-8", "backslashreplace"))


def _opened(args: tuple[object, ...]) -> list[str]:
    path, flags = args[0], args[2]
    if not isinstance(flags, int) or not flags & _WRITES:
        return []
    return _changed(path, made=bool(flags & os.O_CREAT))


def _changed(given: object, *, made: bool) -> list[str]:
    """Check a file that will be written, and `made` first if it is missing."""
    path = _path(given)
    if os.path.isdir(path):
        return []
    if os.path.exists(path):
        return [path] if not os.access(path, os.W_OK) else []
    return _entry(path) if made else []


def _entry(path: str) -> list[str]:
    """Check a name that will be made or removed."""
    folder = os.path.dirname(path)
    return [path] if os.path.isdir(folder) and not os.access(folder, os.W_OK) else []


def _folder(args: tuple[object, ...]) -> list[str]:
    path = _path(args[0])
    return [] if _relative(args, 2) or os.path.lexists(path) else _entry(path)


def _removed(args: tuple[object, ...]) -> list[str]:
    path = _path(args[0])
    return _entry(path) if os.path.lexists(path) and not _relative(args, 1) else []


def _moved(args: tuple[object, ...]) -> list[str]:
    source, target = _path(args[0]), _path(args[1])
    if not os.path.lexists(source) or _relative(args, 2) or _relative(args, 3):
        return []
    return _entry(source) or _entry(target)


def _linked(args: tuple[object, ...]) -> list[str]:
    return [] if _relative(args, 2) else _entry(_path(args[1]))


def _database(args: tuple[object, ...]) -> list[str]:
    """SQLite makes a journal beside the file that it writes."""
    name = os.fsdecode(args[0])  # type: ignore[arg-type]  # PEP 578 gives any object
    if name.startswith("file:"):
        address = urllib.parse.urlsplit(name)
        wanted = urllib.parse.parse_qs(address.query)
        if wanted.get("mode") in (["ro"], ["memory"]) or "immutable" in wanted:
            return []
        name = urllib.parse.unquote(address.path)
    if not name or name.startswith(":memory:"):
        return []
    path = _path(name)
    return _changed(path, made=True) or _entry(path)


def _relative(args: tuple[object, ...], place: int) -> bool:
    """Whether a path is relative to a folder that the call names (dir_fd)."""
    return len(args) > place and isinstance(args[place], int) and args[place] != -1


def _path(given: object) -> str:
    """Raises ValueError for a path of no interest."""
    path = os.path.abspath(os.fsdecode(given))  # type: ignore[arg-type]  # PEP 578 gives any object
    if path.startswith(_ELSEWHERE) or _BYTECODE in path.split("/"):
        raise ValueError(path)
    return path


# https://docs.python.org/3/library/audit_events.html
_EVENTS = {
    "open": _opened,
    "os.truncate": lambda args: _changed(args[0], made=False),
    "os.mkdir": _folder,
    "os.remove": _removed,
    "os.rmdir": _removed,
    "os.rename": _moved,
    "os.link": _linked,
    "os.symlink": _linked,
    "sqlite3.connect": _database,
}


def main() -> None:
    program = sys.argv[1]
    fd = os.dup(2)  # the application may close or move its own
    say(fd, BEGAN)
    sys.argv[:] = sys.argv[1:]
    sys.path[0] = os.path.dirname(program)
    sys.addaudithook(Witness(fd))
    runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main()
