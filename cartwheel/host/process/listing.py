"""Every instance on this host: its state, since when, until when at most. Changes nothing."""

from __future__ import annotations

import time
from typing import Dict, List, Optional, Tuple

from cartwheel.host.layout import Layout
from cartwheel.host.process import worker
from cartwheel.host.state import assignment, releases, stopped
from cartwheel.host.system import files, systemd
from cartwheel.host.system.systemd import UnitState
from cartwheel.host.wire.instance import WEB, Instance
from cartwheel.host.wire.marks import Stopped
from cartwheel.host.wire.process import Process
from cartwheel.host.wire.processes import Row, State

_DRAINING: State = "draining"


def rows(at: Layout) -> List[Row]:
    """The instances of the live side, then all others that systemd still has."""
    running, one = systemd.instances(at), releases.serving(at)
    side = list(assignment.read(at).side(one.release, one.slot)) if one else []
    every = [*side, *sorted(set(running).difference(side))]
    units = [unit for each in every for unit in (at.unit(each), at.drain_unit(each))]
    states, marks = systemd.states(units), _Marks(at)
    return [_row(at, each, running.get(each) == systemd.STOPPING, states, marks) for each in every]


def draining(at: Layout) -> Tuple[Row, ...]:
    """The instances, besides web, that still finish their jobs."""
    return tuple(one for one in rows(at) if one.state == _DRAINING and one.process != WEB)


def known(at: Layout) -> Dict[str, Process]:
    """The processes besides web that are here, that somebody has stopped here, or that this host
    may be given; as the live release describes them."""
    release = releases.pointed(at.current)
    every = releases.manifest(at, release).processes if release else {}
    names = {*assignment.read(at).counts, *stopped.processes(at)}
    names |= {name for name, one in every.items() if one.starts == "last"}
    return {name: every.get(name, Process()) for name in sorted(names - {WEB})}


class _Marks:
    """Who stopped the whole application, or one process."""

    def __init__(self, at: Layout) -> None:
        self._all = files.read_record(Stopped, at.stopped)
        self._processes = stopped.processes(at)

    def of(self, process: str) -> Optional[Stopped]:
        return self._processes.get(process, self._all)


def _row(
    at: Layout, one: Instance, is_stopping: bool, states: Dict[str, UnitState], marks: _Marks
) -> Row:
    unit, drain = states[at.unit(one)], states[at.drain_unit(one)]
    mark = marks.of(one.process)
    state = _DRAINING if is_stopping else _state(unit, mark)
    since, left = _times(state, unit, drain)
    return Row(
        process=one.process,
        instance=one.label,
        release=one.release,
        state=state,
        since_seconds=since,
        until_seconds=left,
        memory_bytes=unit.memory_bytes or systemd.memory_of_processes(unit.main_pid),
        restarts=unit.restarts,
        main_pid=unit.main_pid,
        ended=unit.result if state == "failed" else "",
        stopped=mark,
    )


def _state(unit: UnitState, mark: Optional[Stopped]) -> State:
    if unit.is_up:
        return "starting" if worker.waits_for_lock(unit.main_pid) else "running"
    if unit.active == systemd.STOPPING:
        return _DRAINING
    if unit.sub == "auto-restart":
        return "failed"
    if not unit.is_at_rest:
        return "starting"
    if mark is not None:
        return "stopped"
    return "failed" if unit.active == "failed" else "down"


def _times(
    state: State, unit: UnitState, drain: UnitState
) -> Tuple[Optional[float], Optional[float]]:
    """Since how many seconds it has been so, and how many seconds it may still take."""
    if state != _DRAINING:
        return _ago(unit.since_monotonic if state == "running" else unit.left_monotonic), None
    if unit.active == systemd.STOPPING:
        since, most = _ago(unit.left_monotonic), unit.stop_seconds
    else:  # asked once no connection waits for it (systemd.stop_when_quiet)
        since, most = _ago(drain.since_monotonic), 2 * unit.stop_seconds
    return since, None if since is None else max(0.0, round(most - since, 1))


def _ago(monotonic: Optional[float]) -> Optional[float]:
    if monotonic is None:
        return None
    return round(time.clock_gettime(time.CLOCK_MONOTONIC) - monotonic, 1)
