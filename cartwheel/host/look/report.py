"""Report the live release, its uptime and its health. Changes nothing."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Optional

from cartwheel.host.layout import Layout, content_of
from cartwheel.host.look import parts
from cartwheel.host.process.kinds import kind_of
from cartwheel.host.state import freeze, journal, pending, releases
from cartwheel.host.system import files, systemd
from cartwheel.host.system.context import Context
from cartwheel.host.web import front_door, serving
from cartwheel.host.web.kinds import web_server
from cartwheel.host.wire.instance import Instance
from cartwheel.host.wire.manifest import Manifest
from cartwheel.host.wire.marks import Stopped
from cartwheel.host.wire.status import AskStatus, Disk, Status

_AT_ONCE = 5  # most of them wait for a program or an answer
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
    web = web_server()
    units = [web.unit, at.boot_unit.name, *([at.unit(wanted)] if wanted else [])]
    release, current = wanted.release if wanted else None, releases.pointed(at.current)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        asking_states = pool.submit(systemd.states, units)
        asking_instances = pool.submit(systemd.instances, at)
        asking_leftovers = pool.submit(parts.left_over, at)
        problem = pool.submit(_problem, at, wanted, asked)
        front = pool.submit(_front, at, wanted, asked)
        # A broken disk is reported by what cannot be read from it.
        disk = _disk(at)
        entries = journal.read(at.journal)
        cut_off = releases.cut_off(at, release, entries)
    states = asking_states.result()
    side = releases.side(at, wanted)
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
        pending=pending.look(at),
        lock=lock,
        freeze=freeze.read(at),
        leftovers=leftovers,
        also_running=tuple(one.release for one in others if others[one] != systemd.STOPPING),
        stopping=tuple(one.release for one in others if others[one] == systemd.STOPPING),
        web_server=serving.look(at, states[web.unit]),
        boot=states[at.boot_unit.name].unit_file,
        boot_unit=at.boot_unit.name,
        disk=disk,
        serving=kind_of(wanted).facts(states[at.unit(wanted)], problem.result(), front.result())
        if wanted
        else None,
    )


def _problem(at: Layout, wanted: Optional[Instance], asked: AskStatus) -> str:
    """What is wrong with the live instance, by the check of its kind."""
    side = releases.side(at, wanted)
    return next(filter(None, (kind_of(one).problem(at, one, asked.probe) for one in side)), "")


def _front(at: Layout, wanted: Optional[Instance], asked: AskStatus) -> str:
    """The problem with the answer through the web server; "" if there is none. The web server and
    the socket are asked in parallel: a hanging instance costs one health.timeout_seconds."""
    if wanted is None:
        return ""
    return front_door.look(at, asked.probe, _port(at, asked.listen), wanted.release)


def _port(at: Layout, wanted: int) -> int:
    """The port of the site as it is installed; the settings may already have another."""
    web = web_server()
    own = str(web.site(at.app))
    ports = [port for one in web.servers() if one.file == own for port in one.ports]
    return wanted if wanted in ports or not ports else ports[0]


def _disk(at: Layout) -> Disk:
    free_bytes, free_inodes = parts.free_on(at.root)
    flags = os.statvfs(parts.existing(at.root)).f_flag
    return Disk(free_bytes, free_inodes, read_only=bool(flags & os.ST_RDONLY))
