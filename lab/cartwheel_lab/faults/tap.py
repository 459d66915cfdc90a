"""Replaces python3 on a lab host, and hands its channel and its system calls to the harness.

`harness` installs it on the host; it uses Python 3.9 and the standard library only. It becomes the
real interpreter (exec), so no process of it remains on the host: only the channel runs through the
harness, and the system calls of its filter wait for the harness's answer. Without a harness it
behaves like python3.
"""

import array
import ctypes
import os
import socket
import sys

SOCKET = "/run/lab-faults/tap.sock"
REAL = "python3"
_SYS_SECCOMP = 317  # x86_64
_SET_MODE_FILTER, _NEW_LISTENER = 1, 8  # seccomp(2)
_INSTRUCTION_BYTES = 8  # struct sock_filter


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def main():  # type: () -> None
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        line.connect(SOCKET)
    except OSError:
        _become_python()
    # 0 and 1 are still the login's channel: first the harness gets them, then they are replaced.
    to_child, from_child = os.pipe(), os.pipe()
    ends = array.array("i", [0, 1, to_child[1], from_child[0]])
    line.sendmsg([b"c"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, ends)])
    program = line.recv(1 << 16)
    listener = _filter(program)
    line.sendmsg([b"f"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [listener]))])
    os.close(listener)
    line.recv(1)
    os.dup2(to_child[0], 0)
    os.dup2(from_child[1], 1)
    for fd in (*to_child, *from_child):
        os.close(fd)
    line.close()
    _become_python()


def _filter(program):  # type: (bytes) -> int
    """Make the system calls that `program` (BPF) selects wait for the harness."""
    libc = ctypes.CDLL(None, use_errno=True)
    loaded = _Program(len(program) // _INSTRUCTION_BYTES, program)
    fd = libc.syscall(_SYS_SECCOMP, _SET_MODE_FILTER, _NEW_LISTENER, ctypes.byref(loaded))
    if fd < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(fd)


def _become_python():  # type: () -> None
    os.execvp(REAL, [REAL, *sys.argv[1:]])  # noqa: S606 - no shell is needed


if __name__ == "__main__":
    main()
