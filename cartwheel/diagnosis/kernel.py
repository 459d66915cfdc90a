"""What the kernel complains about, apart from memory."""

from __future__ import annotations

from collections.abc import Iterator

from cartwheel.diagnosis import followed, telling
from cartwheel.diagnosis.cause import GUESSED, NAMED, STOPS, SYMPTOM, Case, Cause

_ALL = followed.APP | {"read-only", "service-slow", "disk-full"}
# The kernel answers a short burst with SYN cookies; nobody notices.
_NETWORK = 3


def causes(case: Case) -> Iterator[Cause]:
    """Disks, hangs, the network, crashed programs."""
    for sign in case.signs("kernel-disk")[:2]:
        yield Cause(
            "kernel",
            f"the disk {sign.about} fails: the kernel reports errors",
            "save the data; replace the disk or volume; a file system that became read-only needs"
            " fsck",
            STOPS,
            telling.lines([sign]),
            sign.first,
            sign.last,
            _ALL,
        )
    hung = case.signs("kernel-hung")
    if hung:
        who = f" ({hung[0].about})" if hung[0].about else ""
        yield Cause(
            "kernel",
            f"programs hang in the kernel{who}: a disk, a network file system or a processor does"
            " not answer",
            "see what they wait for: `dmesg`; the load of the machine below a virtual one",
            NAMED,
            telling.lines(hung),
            telling.first(hung),
            telling.last(hung),
            _ALL,
        )
    network = case.signs("kernel-network")
    if network and (telling.count(network) >= _NETWORK or "table" in " ".join(network[0].lines)):
        yield Cause(
            "kernel",
            "the kernel drops network packets or connections",
            "raise the limit that the line names (sysctl), or see who sends so much",
            NAMED,
            telling.lines(network),
            telling.first(network),
            telling.last(network),
            _ALL,
        )
    yield from _faults(case)


def _faults(case: Case) -> Iterator[Cause]:
    faults = [
        one
        for one in case.signs("kernel-fault")
        if one.about.startswith(("python", "gunicorn", "uvicorn", "celery"))
    ]
    if faults and not case.signs("worker-died"):
        yield Cause(
            "kernel",
            f"{faults[0].about} crashed {telling.times(telling.count(faults))} (segfault)",
            "a library in C crashed: update it, or set PYTHONFAULTHANDLER=1 in [env] to see where",
            GUESSED if telling.count(faults) > 1 else SYMPTOM,
            telling.lines(faults),
            telling.first(faults),
            telling.last(faults),
            _ALL,
        )
