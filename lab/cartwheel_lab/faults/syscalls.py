"""System calls that wait for an answer: the filter, its notifications, what they mean.

seccomp_unotify(2): a process under the filter sleeps in each named call until the holder
of the listener says "go on" or gives it an error. It works for all its children, and needs
no ptrace. Numbers are x86_64's.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_ARCH_X86_64 = 0xC000003E
_NOTIF_RECV, _NOTIF_SEND = 0xC0502100, 0xC0182101
_NOTIF = struct.Struct("=QIIiIQ6Q")  # id, pid, flags, then struct seccomp_data
_RESPONSE = struct.Struct("=QqiI")  # id, value, error, flags
_CONTINUE = 1
_AT_FDCWD = -100
_PATH_BYTES = 4096
_POLL_SECONDS = 0.2
_WORDS = 4
_O_CREAT, _O_EXCL, _O_TRUNC = 0o100, 0o200, 0o1000

# name -> (number, which arguments are (directory descriptor, path) or a descriptor)
_PATH_ARGUMENTS: dict[str, tuple[int, tuple[tuple[int | None, int], ...]]] = {
    "execve": (59, ((None, 0),)),
    "execveat": (322, ((0, 1),)),
    "rename": (82, ((None, 0), (None, 1))),
    "renameat": (264, ((0, 1), (2, 3))),
    "renameat2": (316, ((0, 1), (2, 3))),
    "unlink": (87, ((None, 0),)),
    "unlinkat": (263, ((0, 1),)),
    "rmdir": (84, ((None, 0),)),
    "link": (86, ((None, 0), (None, 1))),
    "linkat": (265, ((0, 1), (2, 3))),
    "mkdir": (83, ((None, 0),)),
    "mkdirat": (258, ((0, 1),)),
    "open": (2, ((None, 0),)),
    "openat": (257, ((0, 1),)),
}
_SYMLINKS = {"symlink": (88, None, 1), "symlinkat": (266, 1, 2)}  # the target is argument 0
_DESCRIPTORS = {"fsync": 74, "fdatasync": 75, "syncfs": 306, "ftruncate": 77}
_OPENS = {"open": 1, "openat": 2}  # which argument holds the flags

_KINDS = {
    "execveat": "execve",
    "renameat": "rename",
    "renameat2": "rename",
    "unlinkat": "unlink",
    "symlinkat": "symlink",
    "linkat": "link",
    "mkdirat": "mkdir",
    "open": "create",
    "openat": "create",
    "fdatasync": "fsync",
}
_NUMBERS = {
    **{number: name for name, (number, _) in _PATH_ARGUMENTS.items()},
    **{number: name for name, (number, _, _) in _SYMLINKS.items()},
    **{number: name for name, number in _DESCRIPTORS.items()},
}


@dataclass(frozen=True)
class Call:
    """One system call that waits: its process, and what it is about to do.

    `kind` is execve, rename, unlink, rmdir, symlink, link, mkdir, create, open, ftruncate, fsync or
    syncfs; `open` may create a file too, and keeps its content. `paths` are absolute, as the host
    sees them; of a symlink the target comes first. `argv` has an execve's first words.
    """

    cookie: int
    pid: int
    kind: str
    paths: tuple[str, ...]
    fd: int = -1
    argv: tuple[str, ...] = ()

    def words(self) -> list[str]:
        """The command line of the process that makes the call."""
        return command_line(self.pid)


def command_line(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:  # the process has ended
        return []
    return text.rstrip("\0").split("\0")


def program() -> bytes:
    """The BPF filter: the calls above wait, all others pass (seccomp(2)).

    An open waits only if it may create a file.
    """

    def load(offset: int) -> tuple[int, int, int, int]:
        return (0x20, 0, 0, offset)

    notify, allow = (0x06, 0, 0, 0x7FC00000), (0x06, 0, 0, 0x7FFF0000)
    code: list[tuple[int, int, int, int]] = [load(4), (0x15, 1, 0, _ARCH_X86_64), allow, load(0)]
    for number, name in sorted(_NUMBERS.items()):
        flags = _OPENS.get(name)
        if flags is None:
            code += [(0x15, 0, 1, number), notify]
        else:  # the low half of the argument, little-endian
            code += [(0x15, 0, 4, number), load(16 + 8 * flags)]
            code += [(0x45, 0, 1, _O_CREAT), notify, allow]
    code.append(allow)
    return b"".join(struct.pack("=HBBI", *one) for one in code)


def notifications(listener: int) -> Iterator[Call]:
    """Each call that waits, until the last process under the filter has ended."""
    poller = select.poll()
    poller.register(listener, select.POLLIN)
    while True:
        ready = dict(poller.poll(_POLL_SECONDS * 1000)).get(listener, 0)
        if ready & select.POLLIN:
            buffer = bytearray(_NOTIF.size)
            try:
                fcntl.ioctl(listener, _NOTIF_RECV, buffer)
            except OSError:  # ENOENT: killed in the meantime
                continue
            yield _call(*_NOTIF.unpack(buffer))
        elif ready:
            return


def answer(listener: int, call: Call, error: int = 0) -> None:
    """Let the call continue, or fail with this errno."""
    flags = 0 if error else _CONTINUE
    with suppress(OSError):  # ENOENT: the process is gone
        fcntl.ioctl(listener, _NOTIF_SEND, _RESPONSE.pack(call.cookie, 0, -error, flags))


def replace_program(call: Call, path: str) -> bool:
    """Make an execve run another program, by overwriting its path in the waiting process.

    False if the new path does not fit. (A child may share its parent's memory, so the parent's
    copy changes too; Python creates a new one for each child.)
    """
    address = _first_argument(call.pid)
    old = _text(call.pid, address)
    if not path or address == 0 or len(path) > len(old):
        return False
    try:
        with Path(f"/proc/{call.pid}/mem").open("r+b", buffering=0) as memory:
            memory.seek(address)
            memory.write(path.encode() + b"\0")
    except OSError:
        return False
    return True


def _first_argument(pid: int) -> int:
    """First argument of the call in which the process sleeps (proc(5), "syscall")."""
    try:
        return int(Path(f"/proc/{pid}/syscall").read_text().split()[1], 16)
    except (OSError, IndexError, ValueError):
        return 0


def _call(
    cookie: int, pid: int, _flags: int, number: int, _arch: int, _ip: int, *arguments: int
) -> Call:
    name = _NUMBERS[number]
    kind = _KINDS.get(name, name)
    if name in _DESCRIPTORS:
        fd = _signed(arguments[0])
        return Call(cookie, pid, kind, (_of_descriptor(pid, fd),), fd)
    if name in _SYMLINKS:
        _, directory, path = _SYMLINKS[name]
        at = _AT_FDCWD if directory is None else _signed(arguments[directory])
        target = _text(pid, arguments[0]).decode(errors="replace")
        return Call(cookie, pid, kind, (target, _path(pid, at, arguments[path])))
    paths = tuple(
        _path(pid, _AT_FDCWD if at is None else _signed(arguments[at]), arguments[where])
        for at, where in _PATH_ARGUMENTS[name][1]
    )
    if name in _OPENS and not arguments[_OPENS[name]] & (_O_EXCL | _O_TRUNC):
        kind = "open"
    argv = _words(pid, arguments[1 if name == "execve" else 2]) if kind == "execve" else ()
    return Call(cookie, pid, kind, paths, argv=argv)


def _signed(value: int) -> int:
    return int(struct.unpack("=i", struct.pack("=I", value & 0xFFFFFFFF))[0])


def _text(pid: int, address: int) -> bytes:
    """A C string of the process. Empty if it cannot be read."""
    try:
        with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
            memory.seek(address)
            return memory.read(_PATH_BYTES).split(b"\0", 1)[0]
    except (OSError, ValueError, OverflowError):
        return b""


def _words(pid: int, address: int) -> tuple[str, ...]:
    """The first strings of an array of pointers that a null pointer ends."""
    try:
        with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
            memory.seek(address)
            pointers = struct.unpack(f"={_WORDS}Q", memory.read(8 * _WORDS))
    except (OSError, ValueError, OverflowError, struct.error):
        return ()
    ending = pointers.index(0) if 0 in pointers else len(pointers)
    return tuple(_text(pid, one).decode(errors="replace") for one in pointers[:ending])


def _path(pid: int, directory: int, address: int) -> str:
    given = _text(pid, address).decode(errors="replace")
    if given.startswith("/"):
        return os.path.normpath(given)
    base = _cwd(pid) if directory == _AT_FDCWD else _of_descriptor(pid, directory)
    return os.path.normpath(f"{base}/{given}")


def _cwd(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/cwd").readlink())
    except OSError:
        return "?"


def _of_descriptor(pid: int, fd: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/fd/{fd}").readlink())
    except OSError:
        return "?"
