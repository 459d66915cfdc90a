"""Processes that somebody has stopped: `fab process.stop` leaves a mark, which outlives reboots,
deploys and rollbacks, until `fab process.start`."""

from __future__ import annotations

import re
import time
from typing import Dict, Optional

from cartwheel.host.layout import Layout
from cartwheel.host.system import files
from cartwheel.host.system.context import OpError
from cartwheel.host.wire.codec import to_json
from cartwheel.host.wire.marks import Stopped
from cartwheel.host.wire.request import About

_MARK = re.compile(r"([a-z][a-z0-9-]*)\.json")


def processes(at: Layout) -> Dict[str, Stopped]:
    """Who stopped each of these processes, when and why. A damaged mark still counts: its author
    did not want the process to run."""
    marks = map(_MARK.fullmatch, files.names(at.stopped_processes))
    return {one.group(1): _read(at, one.group(1)) for one in marks if one}


def _read(at: Layout, process: str) -> Stopped:
    path = at.stopped_process(process)
    try:
        return files.read_record(Stopped, path) or Stopped()
    except OpError:
        return Stopped("somebody", f"{path} is damaged")


def mark(at: Layout, process: str, about: About) -> None:
    """Durable on return."""
    put(at, process, Stopped(about.who, about.message, time.strftime("%F %T")))


def put(at: Layout, process: str, what: Optional[Stopped]) -> None:
    """Set the mark of another host; None: there is none."""
    if what is None:
        clear(at, process)
        return
    files.directory(at.stopped_processes, 0o755)
    files.write_json(at.stopped_process(process), to_json(what))


def clear(at: Layout, process: str) -> bool:
    """Remove the mark; whether there was one."""
    return files.remove(at.stopped_process(process))
