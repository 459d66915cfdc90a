"""Report the live release, its uptime and its health. Changes nothing."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Iterator, Optional

from cartwheel.host.layout import Layout, content_of
from cartwheel.host.look import parts, timers
from cartwheel.host.process import health
from cartwheel.host.process.parts import age
from cartwheel.host.state import assignment, freeze, journal, pending, releases, sides, stopped
from cartwheel.host.system import files, systemd
from cartwheel.host.system.context import Context
from cartwheel.host.system.systemd import UnitState
from cartwheel.host.web import front_door, maintenance, serving, tls
from cartwheel.host.web.chosen import web_server
from cartwheel.host.wire.assigned import held_timer
from cartwheel.host.wire.instance import WEB, Instance
from cartwheel.host.wire.manifest import Manifest
from cartwheel.host.wire.marks import Stopped
from cartwheel.host.wire.status import AskStatus, Disk, Running, Serving, Status

_AT_ONCE = 6  # most of them wait for a program or an answer
_STEADY_SECONDS = 600.0  # so long after its last restart, nothing is wrong any more
_LOOKS = 3  # a deploy switches at most once in this short time; a rollback may follow


def status(ctx: Context, request: AskStatus) -> Status:
    """One host's line of `fab status`: what should be live, and whether it is healthy."""
    at = ctx.at
    for _look in range(_LOOKS):
        wanted = releases.serving(at)
        answer = _status_of(at, wanted, request)
        if releases.serving(at) == wanted:  # otherwise a deploy has switched meanwhile
            break
    return answer


def _status_of(at: Layout, wanted: Optional[Instance], asked: AskStatus) -> Status:
    """Ask programs and the application in parallel."""
    server, side = web_server(at), sides.of(at, wanted)
    web = next((one for one in side if one.process == WEB), None)
    units = [server.unit, at.boot_unit.name, *(at.unit(one) for one in side)]
    release, current = wanted.release if wanted else None, releases.pointed(at.current)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        asking_states = pool.submit(systemd.states, units)
        asking_instances = pool.submit(systemd.instances, at)
        asking_leftovers = pool.submit(parts.left_over, at)
        problem = pool.submit(_problem, at, web, asked)
        front = pool.submit(_front, at, web, asked)
        secure = pool.submit(tls.state, at)
        # A broken disk is reported by what cannot be read from it.
        disk = _disk(at)
        entries = journal.read(at.journal)
        cut_off = releases.cut_off(at, release, entries)
    states = asking_states.result()
    others = {one: how for one, how in asking_instances.result().items() if one not in side}
    lock, leftovers = asking_leftovers.result()
    known = releases.manifest(at, release) if release else Manifest()
    return Status(
        release=release,
        content=content_of(release) if release else None,
        version=known.version,
        commit=known.commit,
        current=current,
        not_whole=releases.problem(at, current) if current else "",
        rollback=releases.rollback_target(at, release, entries),
        cut_off=cut_off,
        cut_off_content=content_of(cut_off) if cut_off else None,
        last=entries[-1] if entries else None,
        set_up=files.read_json(at.record) is not None,
        stopped=files.read_record(Stopped, at.stopped),
        stopped_processes=stopped.processes(at),
        pending=pending.look(at),
        lock=lock,
        freeze=freeze.read(at),
        leftovers=leftovers,
        also_running=tuple(one.release for one in others if others[one] != systemd.STOPPING),
        stopping=tuple(one.release for one in others if others[one] == systemd.STOPPING),
        web_server=serving.look(at, server, states[server.unit]),
        boot=states[at.boot_unit.name].unit_file,
        boot_unit=at.boot_unit.name,
        disk=disk,
        serving=_serving(states[at.unit(web)], problem.result(), front.result()) if web else None,
        timers=tuple(replace(one, runs=one.runs[:1]) for one in timers.states(at)),
        processes=tuple(_running(at, one, states[at.unit(one)]) for one in side if one != web),
        assigned=assignment.read(at),
        exclusive=tuple(sorted(_only_once(at, known))),
        tls=secure.result(),
        maintenance=maintenance.read(at),
    )


def _only_once(at: Layout, known: Manifest) -> Iterator[str]:
    """What of the live release only one host may have; of timers, the fleet says which."""
    yield from (name for name, one in known.processes.items() if one.starts == "last")
    yield from filter(assignment.read(at).holders.__contains__, map(held_timer, known.timers))


def _problem(at: Layout, web: Optional[Instance], asked: AskStatus) -> str:
    """The problem with web's answer on its own socket; "" if there is none."""
    return health.ask_socket(at.socket(web), asked.probe) if web else ""


def _serving(state: UnitState, problem: str, front: str) -> Serving:
    return Serving(
        age_seconds=age(state),
        active=state.active,
        sub=state.sub,
        result=state.result,
        workers=len(systemd.worker_pids(state.main_pid)),
        suspended=systemd.suspended(state.main_pid),
        memory_bytes=state.memory_bytes or systemd.memory_of_processes(state.main_pid),
        restarts=state.restarts,
        main_pid=state.main_pid,
        problem=problem,
        front=front,
        healthy=not problem,
    )


def _running(at: Layout, one: Instance, state: UnitState) -> Running:
    problem = "" if state.is_up else f"its unit is {state.active} ({state.result})"
    up_seconds = age(state) or 0.0
    if state.restarts and up_seconds < _STEADY_SECONDS:
        problem = f"restarted {state.restarts} times by systemd, up for {up_seconds:.0f} s"
    return Running(one.process, one.label, state.active, problem)


def _front(at: Layout, web: Optional[Instance], asked: AskStatus) -> str:
    """The problem with the answer through the web server; "" if there is none. The web server and
    the socket are asked in parallel: a hanging instance costs one health.timeout_seconds."""
    if web is None:
        return ""
    return front_door.look(at, asked.probe, _port(at, asked.listen), web.release)


def _port(at: Layout, wanted: int) -> int:
    """The port of the site as it is installed; the settings may already have another."""
    web = web_server(at)
    own = str(web.site(at.app))
    ports = [port for one in web.installed().servers if one.file == own for port in one.ports]
    return wanted if wanted in ports or not ports else ports[0]


def _disk(at: Layout) -> Disk:
    free_bytes, free_inodes = parts.free_on(at.root)
    flags = os.statvfs(parts.existing(at.root)).f_flag
    return Disk(free_bytes, free_inodes, read_only=bool(flags & os.ST_RDONLY))
