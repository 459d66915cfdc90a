"""TCP sockets that listen on this host, as the kernel lists them (proc(5))."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import socket
from pathlib import Path
from typing import Dict, Iterator, List, Set

from cartwheel.host.system import files, systemd

_SOCKET = "socket:["
_LISTENS = "0A"
_LISTS = ("/proc/net/tcp", "/proc/net/tcp6")


def listening() -> Dict[str, int]:
    """The port of each such socket, by its inode's number."""
    # They come first, and there can be many connections.
    lists = (itertools.takewhile(lambda words: words[3] == _LISTENS, one) for one in _lists())
    return {words[9]: _port(words) for one in lists for words in one}


def connected() -> Set[str]:
    """The inodes of all connections to ports on which somebody listens here."""
    ports = set(listening().values())
    return {words[9] for one in _lists() for words in one if _port(words) in ports}


def _lists() -> Iterator[Iterator[List[str]]]:
    for path in _LISTS:
        with contextlib.suppress(OSError), open(path, encoding="ascii") as lines:
            next(lines)  # the heads of the columns
            yield (line.split() for line in lines)


def _port(words: List[str]) -> int:
    return int(words[1].rpartition(":")[2], 16)


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
            one.settimeout(0)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1 if address else 0)
            one.bind((address, port))
    except OSError as error:
        return error.errno not in (errno.EADDRINUSE, errno.EADDRNOTAVAIL)
    return True
