"""An exclusive process through deploys: is it ever there twice, and for how long is it absent?

Each instance takes a lock of its own, and writes down when it begins and ends.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from bench.endurance import Row
from bench.own_lock import BEGINNING
from cartwheel_lab import LabHost
from tests.kit.project import Project
from tests.kit.waiting import until

NAME = "holder"
RESTARTS = 5
# What a wait for the end of one process and the start of another may take on a busy machine.
LONGER_SECONDS = 0.5

PROGRAM = (
    BEGINNING
    + f"""
import signal, threading

asked = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: asked.set())
begin("{NAME}")
while not asked.wait(0.1):
    pass
note("{NAME}", "ends")
"""
)


@dataclass(frozen=True)
class Note:
    at: float
    pid: int
    what: str


def add_to(project: Project, package: str) -> str:
    """Add the program to the example's package; the settings of its process."""
    project.write(f"src/{package}/{NAME}.py", PROGRAM)
    command = f'command = "python -m {package}.{NAME}"'
    return f"[processes.{NAME}]\n{command}\nexclusive = true\nstop_seconds = 20\n"


def notes(host: LabHost, app: str) -> list[Note]:
    lines = host.sh(f"cat /srv/{app}/shared/{NAME}.log").splitlines()
    return [Note(float(at), int(pid), what) for at, pid, what in map(str.split, lines)]


def restart(host: LabHost, app: str) -> list[Note]:
    """Let systemd restart it some times; what it wrote down meanwhile."""
    for _ in range(RESTARTS):
        pid = notes(host, app)[-1].pid
        host.sh(f"systemctl restart 'cartwheel-{app}.{NAME}.*@*.service'")
        until(partial(_has_begun_anew, host, app, pid))
    return notes(host, app)


def _has_begun_anew(host: LabHost, app: str, pid: int) -> bool:
    return notes(host, app)[-1].pid != pid


def rows(by_hand: Sequence[Note], switched: Sequence[Note]) -> list[Row]:
    """Its absences when systemd restarted it, and then when Cartwheel replaced it."""
    was, now = max(absences(by_hand)), max(absences(switched))
    return [
        Row("exclusive process: replaced", len(absences(switched)), least=1),
        Row("exclusive process: two at once", len(twice(switched)), most=0),
        Row("exclusive process: absent, s: longest", now, was + LONGER_SECONDS, before=was),
    ]


def absences(found: Sequence[Note]) -> list[float]:
    """From each end to the next beginning."""
    return [
        then.at - one.at
        for one, then in itertools.pairwise(found)
        if (one.what, then.what) == ("ends", "begins")
    ]


def twice(found: Sequence[Note]) -> list[Note]:
    """Beginnings before the end of the one before, and those that found the lock taken."""
    return [
        then
        for one, then in itertools.pairwise(found)
        if then.what == "twice" or (one.what, then.what) == ("begins", "begins")
    ]
