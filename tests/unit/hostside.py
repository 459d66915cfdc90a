"""What tests of the host side share: a request's context, and a host in a folder."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cartwheel.host.layout import Layout
from cartwheel.host.release import leftovers
from cartwheel.host.state import releases, whole
from cartwheel.host.system.context import Context, boottime
from cartwheel.host.wire.instance import WEB, Instance
from cartwheel.host.wire.messages import Told
from cartwheel.host.wire.request import About


def web(release: str, slot: str = "1") -> Instance:
    return Instance(WEB, release, slot)


def slot_of(at: Layout, release: str) -> str | None:
    """Where a release serves, if it does."""
    one = releases.instance_of(at, release)
    return one.slot if one else None


class Session:
    """One session's memory; `ctx` makes the context of a request in it."""

    def __init__(self, at: Layout | None = None, who: str = "ann@desk", message: str = "") -> None:
        self.about = About(at.app if at else "", str(at.base) if at else "", who, message)
        self.events: list[Told] = []
        self.lost = threading.Event()
        self.memory: dict[str, Any] = {"lock": "held"}
        self.at_end: list[Callable[[], None]] = []

    def ctx(self, seconds: float = 20.0) -> Context:
        return Context(
            about=self.about,
            send=self.events.append,
            lost=self.lost,
            deadline=boottime() + seconds,
            memory=self.memory,
            at_end=self.at_end,
        )

    def end(self) -> None:
        """Contact is lost: what the server does then."""
        self.lost.set()
        while self.at_end:
            self.at_end.pop()()


def host_in(folder: Path, monkeypatch: pytest.MonkeyPatch, app: str = "shop") -> Layout:
    """A host whose shared folders are below `folder`."""
    places = {
        name: folder / name.lower()
        for name in ("STATE", "LOGS", "RUN", "UNITS", "RUN_UNITS", "STAMPS", "LIB")
    }
    for path in places.values():
        path.mkdir(parents=True)
    places["HOST_LOCK"] = places["RUN"] / ".host.lock"
    places["ACME_LOCK"] = places["RUN"] / ".acme.lock"
    # Some modules have them under their own name too.
    for name, module in list(sys.modules.items()):
        if name.startswith("cartwheel.host"):
            for place, path in places.items():
                if hasattr(module, place):
                    monkeypatch.setattr(module, place, path)
    monkeypatch.setattr(leftovers, "_SCRATCH", ())  # this machine's own /tmp
    monkeypatch.setattr(tempfile, "tempdir", str(folder))  # who dies in a test leaves its scratch
    # Its releases are folders with a manifest; host/test_whole.py looks at real ones.
    monkeypatch.setattr(whole, "problem", lambda _at, _manifest: "")
    at = Layout(app, folder / "srv")
    at.releases.mkdir(parents=True)
    at.logs.mkdir()
    return at


def in_child(work: Callable[[], int | None]) -> int:
    """Run `work` in a forked process; its exit status (70: it raised)."""
    pid = os.fork()
    if pid == 0:
        status: int | None = 70
        try:
            status = work() or 0
        finally:
            os._exit(status if status is not None else 70)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
