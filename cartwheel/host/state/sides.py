"""Which instances run together: the side of a release."""

from __future__ import annotations

from typing import Iterable, List, Optional

from cartwheel.host.layout import Layout
from cartwheel.host.state import assignment, releases, stopped
from cartwheel.host.wire.instance import WEB, Instance
from cartwheel.host.wire.process import Process, Starts


def live(at: Layout) -> List[Instance]:
    """The instances that should run now."""
    return of(at, releases.serving(at))


def of(at: Layout, one: Optional[Instance]) -> List[Instance]:
    """The side that `one` stands for, by what runs on this host now."""
    return wanted(at, assignment.read(at).side(one.release, one.slot)) if one else []


def wanted(at: Layout, side: Iterable[Instance]) -> List[Instance]:
    """Those of a side that should run: without processes that somebody has stopped."""
    without = stopped.processes(at)
    return [one for one in side if one.process not in without]


def process(at: Layout, one: Instance) -> Process:
    """What the release's manifest says about the instance's process."""
    return releases.manifest(at, one.release).processes.get(one.process, Process())


def starts(at: Layout, one: Instance) -> Starts:
    """When in a switch it starts."""
    return "first" if one.process == WEB else process(at, one).starts
