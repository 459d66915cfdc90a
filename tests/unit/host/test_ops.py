"""Every operation says in one line what the disk did to it."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from cartwheel.host.session import operations
from cartwheel.host.system.context import Context, OpError, boottime
from cartwheel.host.wire.request import About


def context(base: Path) -> Context:
    return Context(
        about=About("shop", str(base), "ann@desk", ""),
        send=lambda _event: None,
        lost=threading.Event(),
        deadline=boottime() + 60,
        memory={},
        at_end=[],
    )


@pytest.mark.parametrize(
    ("number", "slug", "says"),
    [
        (errno.EIO, "disk-fails", "/srv/shop/current: Input/output error"),
        (errno.EROFS, "disk-fails", "/srv/shop/current: Read-only file system"),
        (errno.ENOSPC, "disk-full", "no space left for /srv/shop/current"),
    ],
)
def test_a_disk_that_fails(
    number: int, slug: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_path: object) -> bytes:
        raise OSError(number, os.strerror(number), "/srv/shop/current")

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(OpError, match=says) as found:
        operations.perform("history", context(tmp_path), {"lines": 5})
    assert found.value.slug == slug
