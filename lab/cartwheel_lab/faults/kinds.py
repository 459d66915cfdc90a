"""What can go wrong at a point, and how it is mended afterwards."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from cartwheel.errors import LabError
from cartwheel_lab import LabHost
from cartwheel_lab.faults.harness import PASS, Session, Verdict
from cartwheel_lab.faults.points import CHANGES, GROWS, SYNCS, Point

SLOW_MS = 300.0
SLOW_BYTES_PER_SECOND = 400_000.0
STOPPED_SECONDS = 5.0
FROZEN_SECONDS = 8.0  # beyond the lease of whoever tries this
_FALSE = "/bin/false"


@dataclass(frozen=True)
class Field:
    """Where a fault strikes: the host, the command's process on the operator's side, and the
    session's on the host."""

    host: LabHost
    operator_pid: int
    session: Session


@dataclass(frozen=True)
class Fault:
    """`can_hit`: where it makes a difference. What lasts from then on strikes where something
    needs it; what kills strikes before each change. `mend` undoes what does not end by itself.
    """

    name: str
    says: str
    strike: Callable[[Field], Verdict]
    can_hit: Callable[[Point], bool]
    mend: Callable[[LabHost], None] = lambda _host: None
    power: bool = False  # the host goes down
    disk: bool = False  # nothing can be written
    silent: bool = False  # nobody tells the operator's side
    operator: bool = False  # the command does not end by itself, or not in its own way


def _signal(number: int, field: Field) -> Verdict:
    with suppress(ProcessLookupError):
        os.kill(field.operator_pid, number)
    return PASS


def _freeze(field: Field) -> Verdict:
    """As a laptop that is closed, and opened again after the lease."""
    _signal(signal.SIGSTOP, field)
    threading.Timer(FROZEN_SECONDS, _signal, [signal.SIGCONT, field]).start()
    return PASS


def _stop(_field: Field) -> Verdict:
    """Nothing passes in this direction for longer than a short lease; all else goes on."""
    time.sleep(STOPPED_SECONDS)
    return PASS


def _cut(field: Field) -> Verdict:
    """Every connection is reset, and new ones are welcome: what was on its way is lost."""
    field.host.reset_connections()
    return Verdict(drop=True)


def _away(field: Field) -> Verdict:
    """Reset, and nobody gets through until it is mended."""
    field.host.cut()
    return Verdict(drop=True)


def _dead(field: Field) -> Verdict:
    field.host.black_hole()
    return Verdict(drop=True)


def _slow(field: Field) -> Verdict:
    field.host.network(delay_ms=SLOW_MS, bytes_per_second=SLOW_BYTES_PER_SECOND)
    return PASS


def _kill_host_side(field: Field) -> Verdict:
    field.session.kill()
    return PASS


def _power_cut(field: Field) -> Verdict:
    """Everything on the host is killed, and it is booted again at once."""
    field.host.power_cut()
    field.host.boot()
    return Verdict(drop=True)


def _fill(field: Field) -> Verdict:
    field.host.fill_disk()
    return PASS


def _no_inodes(field: Field) -> Verdict:
    field.host.exhaust_inodes()
    return PASS


def _fail(_field: Field) -> Verdict:
    """A program ends with 1 without having done anything; any other call gives EIO."""
    return Verdict(error=errno.EIO, replace=_FALSE)


def _restore(host: LabHost) -> None:
    host.restore()
    host.network(delay_ms=0, bytes_per_second=0)


def _message(point: Point) -> bool:
    return point.is_message


def _message_or_change(point: Point) -> bool:
    return point.is_message or point.changes


def _grows(point: Point) -> bool:
    return point.kind in GROWS


def _call(point: Point) -> bool:
    return point.kind in CHANGES | SYNCS


FAULTS: Mapping[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault(
            "operator-kill",
            "the command is killed (SIGKILL)",
            partial(_signal, signal.SIGKILL),
            _message,
            operator=True,
        ),
        Fault(
            "operator-int",
            "Ctrl-C",
            partial(_signal, signal.SIGINT),
            _message,
            operator=True,
        ),
        Fault(
            "operator-term",
            "the command is ended (SIGTERM)",
            partial(_signal, signal.SIGTERM),
            _message,
            operator=True,
        ),
        Fault(
            "operator-freeze",
            "the command sleeps for longer than its lease",
            _freeze,
            _message,
            operator=True,
        ),
        Fault("stop", f"what is there waits for {STOPPED_SECONDS:g} s", _stop, _message),
        Fault("line-reset", "every connection is reset", _cut, _message),
        Fault("line-cut", "reset, and refused from then on", _away, _message, _restore),
        Fault("line-dead", "a black hole", _dead, _message, _restore, silent=True),
        Fault("line-slow", "300 ms and 400 kB/s from then on", _slow, _message, _restore),
        Fault(
            "host-kill", "the host side is killed (SIGKILL)", _kill_host_side, _message_or_change
        ),
        Fault(
            "power-cut", "power goes, and comes back", _power_cut, _message_or_change, power=True
        ),
        Fault("disk-full", "no room from then on", _fill, _grows, LabHost.free_disk, disk=True),
        Fault(
            "no-inodes",
            "no inodes from then on",
            _no_inodes,
            _grows,
            LabHost.free_disk,
            disk=True,
        ),
        Fault("fail", "this one call fails", _fail, _call),
    )
}


def named(name: str) -> Fault:
    """Raises LabError for a fault that there is not."""
    if name not in FAULTS:
        raise LabError("lab-unknown", f"there is no fault {name}; there are: {', '.join(FAULTS)}")
    return FAULTS[name]


def strike_with(fault: Fault, host: LabHost, operator_pid: int) -> Callable[[Session], Verdict]:
    """What the harness calls when the point is met."""
    return lambda session: fault.strike(Field(host, operator_pid, session))
