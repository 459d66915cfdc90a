"""One folder of this machine on several lab hosts, as a network file system would give it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from cartwheel_lab import LabHost

# Clone the folder's mount here, and move the clone into the host (open_tree(2), move_mount(2)).
_MOVE = """
import ctypes, os, sys
folder, at, pid = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
OPEN_TREE, MOVE_MOUNT, HERE = 428, 429, -100
CLONE, FROM_EMPTY_PATH, NEWNS = 1, 4, 0x20000

def sure(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result

tree = sure(libc.syscall(OPEN_TREE, HERE, folder.encode(), CLONE))
host = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
sure(libc.setns(host, NEWNS))
sure(libc.syscall(MOVE_MOUNT, tree, b"", HERE, at.encode(), FROM_EMPTY_PATH))
"""


def share(folder: Path, hosts: Sequence[LabHost], at: str) -> None:
    """Mount `folder` at this path of each host. Whoever owned the path there owns the folder."""
    owners = {host.sh(f"stat -c '%u %g %a' {at}").strip() for host in hosts}
    assert len(owners) == 1, f"{at} has different owners: {owners}"
    for host in hosts:
        words = [sys.executable, "-c", _MOVE, str(folder), at, str(host.init.pid)]
        subprocess.run(words, timeout=30, check=True)
    user, group, mode = owners.pop().split()
    hosts[0].sh(f"chown {user}:{group} {at} && chmod {mode} {at}")
