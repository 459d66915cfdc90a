"""TCP sockets that listen on this host, as the kernel lists them (proc(5))."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from pathlib import Path
from typing import Dict, Set

from cartwheel.host.system import files, systemd

_SOCKET = "socket:["
_LISTENS = "0A"
_LISTS = ("/proc/net/tcp", "/proc/net/tcp6")


def listening() -> Dict[str, int]:
    """The port of each such socket, by its inode's number."""
    found: Dict[str, int] = {}
    for path in _LISTS:
        with contextlib.suppress(OSError), open(path, encoding="ascii") as lines:
            next(lines)
            for line in lines:
                words = line.split()
                if words[3] != _LISTENS:
                    break  # these come first, and connections can be many
                found[words[9]] = int(words[1].rsplit(":", 1)[1], 16)
    return found


def held_by(pid: int) -> Set[str]:
    """The inodes of all sockets of a process; none if it has ended."""
    found: Set[str] = set()
    with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                found.add(os.readlink(entry.path))
    return {one[len(_SOCKET) : -1] for one in found if one.startswith(_SOCKET)}


def holders(port: int) -> Set[str]:
    """The names of the programs that listen on a port."""
    inodes = {inode for inode, used in listening().items() if used == port}
    pids = [int(name) for name in files.names(Path("/proc")) if name.isdigit()] if inodes else []
    return {systemd.proc(pid, "comm").strip() for pid in pids if inodes & held_by(pid)}


def may_listen(address: str, port: int) -> bool:
    """Whether a program could listen there too; "" stands for all addresses."""
    family = socket.AF_INET if "." in address else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_STREAM) as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1 if address else 0)
            one.bind((address, port))
    except OSError as error:
        return error.errno not in (errno.EADDRINUSE, errno.EADDRNOTAVAIL)
    return True
