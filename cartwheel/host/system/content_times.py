"""Times of files that follow from their content.

A web server tells versions of a file apart by its size and the second of its last change (its ETag
and Last-Modified). Releases are made on several hosts, and a build may give all files one time: so
a served file gets a time made of its content. The same content has the same time in each release on
each host, and another content has another one.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

_FIRST_SECONDS = 946_684_800  # 2000
_SPAN_SECONDS = 1 << 29  # 17 years
_SECOND_NS = 10**9
# The part below the second says that a time is one of these.
_MARK_NS = 271_828_182
_CHUNK_BYTES = 1 << 20


def give(fd: int) -> None:
    """Give an open file its time, unless it has it."""
    status = os.fstat(fd)
    if status.st_mtime_ns % _SECOND_NS != _MARK_NS:
        number = int.from_bytes(_digest(fd)[:8], "big") % _SPAN_SECONDS
        time_ns = (_FIRST_SECONDS + number) * _SECOND_NS + _MARK_NS
        os.utime(fd, ns=(status.st_atime_ns, time_ns))


def digest_of(folder: Path) -> str:
    """A digest of the names and contents of all files in a folder, at any depth."""
    whole = hashlib.sha256()
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            content = _digest(fd).hex()
        finally:
            os.close(fd)
        name = os.fsencode(path.relative_to(folder))
        whole.update(name + b"\0" + content.encode() + b"\n")
    return whole.hexdigest()


def _digest(fd: int) -> bytes:
    found, offset = hashlib.sha256(), 0
    while True:
        chunk = os.pread(fd, _CHUNK_BYTES, offset)
        if not chunk:
            break
        found.update(chunk)
        offset += len(chunk)
    return found.digest()
