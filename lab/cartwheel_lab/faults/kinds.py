"""The faults that can be injected at a point, and how to undo them afterwards."""

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
FROZEN_SECONDS = 8.0  # longer than the lease in these tests
_FALSE = "/bin/false"


@dataclass(frozen=True)
class Field:
    """Where a fault strikes: the host, the command's process on the operator's side, and the
    session on the host."""

    host: LabHost
    operator_pid: int
    session: Session


@dataclass(frozen=True)
class Fault:
    """`can_hit` says where it makes a difference: a lasting fault strikes before each call that it
    affects, a kill before each change. `undo` ends a fault that does not end by itself.
    """

    name: str
    says: str
    strike: Callable[[Field], Verdict]
    can_hit: Callable[[Point], bool]
    undo: Callable[[LabHost], None] = lambda _host: None
    power: bool = False  # the host goes down
    disk: bool = False  # nothing can be written
    silent: bool = False  # the operator's side gets no error
    operator: bool = False  # the command is killed, interrupted or frozen


def _signal(number: int, field: Field) -> Verdict:
    with suppress(ProcessLookupError):
        os.kill(field.operator_pid, number)
    return PASS


def _freeze(field: Field) -> Verdict:
    """Like a laptop that is closed, and opened again after the lease."""
    _signal(signal.SIGSTOP, field)
    threading.Timer(FROZEN_SECONDS, _signal, [signal.SIGCONT, field]).start()
    return PASS


def _stop(_field: Field) -> Verdict:
    """Nothing passes in this direction for longer than a short lease; everything else continues."""
    time.sleep(STOPPED_SECONDS)
    return PASS


def _cut(field: Field) -> Verdict:
    """Every connection is reset and its data lost; new connections are accepted."""
    field.host.reset_connections()
    return Verdict(drop=True)


def _away(field: Field) -> Verdict:
    """Every connection is reset; new connections are refused until `undo`."""
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
    """A program exits with 1 without having run; any other call gives EIO."""
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
            "the command gets SIGTERM",
            partial(_signal, signal.SIGTERM),
            _message,
            operator=True,
        ),
        Fault(
            "operator-freeze",
            "the command is frozen for longer than its lease",
            _freeze,
            _message,
            operator=True,
        ),
        Fault("stop", f"the message waits for {STOPPED_SECONDS:g} s", _stop, _message),
        Fault("line-reset", "every connection is reset", _cut, _message),
        Fault("line-cut", "reset, and new connections are refused", _away, _message, _restore),
        Fault("line-dead", "a black hole", _dead, _message, _restore, silent=True),
        Fault("line-slow", "from then on 300 ms and 400 kB/s", _slow, _message, _restore),
        Fault(
            "host-kill", "the host side is killed (SIGKILL)", _kill_host_side, _message_or_change
        ),
        Fault(
            "power-cut", "the power fails and returns", _power_cut, _message_or_change, power=True
        ),
        Fault("disk-full", "the disk stays full", _fill, _grows, LabHost.free_disk, disk=True),
        Fault(
            "no-inodes",
            "the disk has no free inodes",
            _no_inodes,
            _grows,
            LabHost.free_disk,
            disk=True,
        ),
        Fault("fail", "this one call fails", _fail, _call),
    )
}


def named(name: str) -> Fault:
    """The fault with this name. Raises LabError if there is none."""
    if name not in FAULTS:
        raise LabError("lab-unknown", f"there is no fault {name}; there are: {', '.join(FAULTS)}")
    return FAULTS[name]


def strike_with(fault: Fault, host: LabHost, operator_pid: int) -> Callable[[Session], Verdict]:
    """The function that the harness calls when the command reaches the point."""
    return lambda session: fault.strike(Field(host, operator_pid, session))
