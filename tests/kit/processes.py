"""Processes besides web for tests: a program that tells when it begins and ends.

A timer (tests/kit/timers.py) runs the same program; it ends by itself after one job.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cartwheel_lab import LabHost
from tests.kit.host import current

# It works on at a signal until its job is done, and as long as there is a file of its argument's
# name. A full disk is not its concern.
PROGRAM = """
import contextlib, fcntl, os, signal, sys, time

timer = os.environ.get("CARTWHEEL_TIMER")
name = timer or os.environ["CARTWHEEL_PROCESS"]
instance = f"{timer}-{os.getpid()}" if timer else os.environ["CARTWHEEL_INSTANCE"]

def tell(what):
    words = [repr(time.time()), name, instance]
    with contextlib.suppress(OSError), open("told", "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(" ".join([*words, what]) + "\\n")

asked = [1] if timer else []
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
tell("begins " + " ".join(sys.argv[1:]))
while True:
    end = time.monotonic() + float(os.environ.get("JOB_SECONDS", "0.1"))
    while time.monotonic() < end or os.path.exists(sys.argv[1]):
        time.sleep(0.02)
    if asked:
        break
tell("ends")
"""
MODULE = "work"

# One of each way to start: beside the old ones, instead of the old one, last.
SETTINGS = f"""
[processes.worker]
command = "python -m {MODULE} jobs"
count = 2
stop_seconds = 20
ready_seconds = 0.2
env = {{ JOB_SECONDS = "0.3" }}
[processes.poller]
command = "python -m {MODULE} poll"
overlap = false
stop_seconds = 20
ready_seconds = 0.2
[processes.beat]
command = "python -m {MODULE} beat"
exclusive = true
stop_seconds = 20
ready_seconds = 0.2
"""
COUNTS = {"worker": 2, "poller": 1, "beat": 1}
ALONE = ("poller", "beat")


@dataclass(frozen=True)
class Line:
    """What one instance told."""

    at: float
    process: str
    instance: str
    what: str

    @property
    def begins(self) -> bool:
        return self.what != "ends"


def told(host: LabHost) -> list[Line]:
    """Everything that all instances have told, in order."""
    lines = host.sh("cat /srv/shop/shared/told 2>/dev/null || true").splitlines()
    parts = (line.split(" ", 3) for line in lines)
    return [Line(float(at), process, instance, what) for at, process, instance, what in parts]


def running(host: LabHost) -> dict[str, int]:
    """How many instances of each process run, of the live release."""
    live, found = current(host, "shop"), Counter[str]()
    for process, release, active in _instances(host):
        if active == "active" and release == live:
            found[process] += 1
    return dict(found)


def wrong(host: LabHost, live: str) -> list[str]:
    """Processes besides web that are not as they should be; without a live release none may run.
    What still drains is left out."""
    found = Counter(
        (process, release)
        for process, release, active in _instances(host)
        if process != "web" and active not in ("deactivating", "failed", "inactive")
    )
    expected = {(process, live): count for process, count in COUNTS.items() if live}
    return [] if found == expected else [f"runs {dict(found)}"]


def _instances(host: LabHost) -> Iterator[tuple[str, str, str]]:
    """Process, release and state of each."""
    for unit, active in _units(host):
        process, release = unit.removeprefix("cartwheel-shop.").split("@")[0].split(".", 1)
        yield process, release, active


def _units(host: LabHost) -> list[tuple[str, str]]:
    rows = host.sh("systemctl list-units --plain --no-legend 'cartwheel-shop.*@*.service'")
    return [(row.split()[0], row.split()[2]) for row in rows.splitlines()]


def twice_at_once(lines: Sequence[Line], process: str) -> list[Line]:
    """The beginnings of a process after which another began before the end. One that is cut off
    with the power has no last words, and is among them."""
    own = [one for one in lines if one.process == process]
    pairs = [pair for pair in itertools.pairwise(own) if pair[0].begins]
    return [one for one, then in pairs if (then.what, then.instance) != ("ends", one.instance)]


def cut_off(host: LabHost, lines: Sequence[Line]) -> list[str]:
    """Instances that began, do not run any more, and never told their end."""
    count = Counter[str]()
    for one in (one for one in lines if one.process in COUNTS):
        count[one.instance] += 1 if one.begins else -1
    at_work = {
        f"{process}-{rest.removesuffix('.service').replace('@', '-')}"
        for unit, _active in _units(host)
        for process, rest in [unit.removeprefix("cartwheel-shop.").split(".", 1)]
    }
    names = {name: name.partition("-")[2] for name in count}  # without the host's name
    return sorted(name for name in count if count[name] > 0 and names[name] not in at_work)
