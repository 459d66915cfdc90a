"""The hosts that are taken out of a balancer on this host, and who took them out.

A mark is written before a host is taken out, and removed after the host is back. A host that a
deploy took out comes back when the session ends in any way, after a kill (`recover`), at boot, and
when the next session takes the lock. A host that a person took out stays out until a person puts
it back.
"""

from __future__ import annotations

import functools
import time
from typing import Callable, Dict, Mapping, Optional, Protocol, Type

from cartwheel.host.balancer import haproxy, nginx_links
from cartwheel.host.layout import Layout
from cartwheel.host.system import files, systemd
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.web.nginx import Nginx
from cartwheel.host.wire.balancer import (
    AskStandings,
    By,
    Failed,
    PutBack,
    Standing,
    Standings,
    TakenOut,
    TakeOut,
    Way,
)
from cartwheel.host.wire.codec import WireError, from_disk, to_json

Marks = Dict[str, TakenOut]

_BACK_SECONDS = 5.0
_POLL_SECONDS = 0.1


class Switchable(Protocol):
    """One host in one balancer. Every method may raise OpError("balancer")."""

    def is_in(self) -> Optional[bool]:
        """Whether it gets requests; None if the balancer does not know it."""

    def take_out(self) -> None: ...

    def put_back(self) -> None: ...

    def under_way(self) -> int:
        """How many requests it still has from this balancer."""

    def not_back(self) -> str:
        """Why it gets no requests although it is in; "" if it does."""


_KINDS: Dict[str, Type[Switchable]] = {"nginx": nginx_links.Link, "haproxy": haproxy.Server}


def _host(way: Way) -> Switchable:
    """Raises OpError("balancer") for a mark that only another version understands."""
    try:
        return from_disk(_KINDS[way["kind"]], way)
    except (KeyError, WireError) as error:
        raise OpError("balancer", f"its mark is of another version: {error}") from error


def look(ctx: Context, request: AskStandings) -> Standings:
    """The hosts that are in, and the marks of those that are out.

    Raises OpError: "not-set-up", "balancer".
    """
    at = _set_up(ctx)
    marks = read(at)
    hosts = {
        name: Standing(_host(way).is_in(), marks.get(name)) for name, way in request.ways.items()
    }
    return Standings(hosts, _down(request.ways))


def _down(ways: Mapping[str, Way]) -> str:
    """Why the balancer is down; "" if it runs. Needed for nginx, because `is_in` reads only files;
    a HAProxy that is down does not answer `is_in`."""
    if all(way["kind"] != "nginx" for way in ways.values()):
        return ""
    active = systemd.state(Nginx.unit).active
    return "" if active in ("active", "reloading") else f"nginx does not run: it is {active}"


def take_out(ctx: Context, request: TakeOut) -> Failed:
    """Take hosts out; the answer names those that stay in. Raises OpError("not-set-up")."""
    at = _set_up(ctx)
    if request.by == "deploy" and "balancer" not in ctx.memory:
        ctx.memory["balancer"] = True
        ctx.at_end.append(functools.partial(settle, at, lambda _text: None))
    failed: Dict[str, str] = {}
    gone: Dict[str, Switchable] = {}
    for name, way in request.ways.items():
        try:
            _take_out(ctx, name, way, request.by)
            gone[name] = _host(way)
        except OpError as error:
            failed[name] = error.message
    _drain(ctx, gone, request.drain_seconds)
    return Failed(failed)


def _take_out(ctx: Context, name: str, way: Way, by: By) -> None:
    """The new mark: a host that a person took out, here or in the balancer itself, stays theirs; a
    host that a person takes out now becomes theirs."""
    marks, host = read(ctx.at), _host(way)
    if by == "deploy" and name not in marks and host.is_in() is False:
        return
    if by == "person" or name not in marks:
        who, message = ctx.about.who, ctx.about.message
        mark = TakenOut(by, way, who, message, since=time.strftime("%F %T"))
        _write(ctx.at, {**marks, name: mark})
    host.take_out()


def _drain(ctx: Context, gone: Mapping[str, Switchable], seconds: float) -> None:
    end = time.monotonic() + seconds
    while True:
        busy = {name: count for name, count in _under_way(gone).items() if count}
        if not busy:
            return
        told = ", ".join(f"{count} for {name}" for name, count in busy.items())
        if time.monotonic() > end:
            # None is lost: the host goes on answering the requests that it has.
            ctx.emit("balancer", "note", "requests still running: " + told)
            return
        ctx.progress("balancer", "requests running: " + told)
        ctx.pause(_POLL_SECONDS)


def _under_way(gone: Mapping[str, Switchable]) -> Dict[str, int]:
    try:
        return {name: host.under_way() for name, host in gone.items()}
    except OpError:  # whether the balancer accepts it shows when they come back
        return {}


def put_back(ctx: Context, request: PutBack) -> Failed:
    """Put hosts back; the answer names those that are not. Raises OpError("not-set-up")."""
    at = _set_up(ctx)
    mine, owed = request.ways, _owed(at)
    if request.by == "deploy":
        mine = {name: way for name, way in mine.items() if name in owed}
    return Failed(_put_back(at, mine, request.wait_seconds))


def _put_back(at: Layout, ways: Mapping[str, Way], wait_seconds: float) -> Dict[str, str]:
    """Put all back, then wait for each. Returns those that failed, and why."""
    failed: Dict[str, str] = {}
    for name, way in ways.items():
        try:
            _host(way).put_back()
            _write(at, {key: mark for key, mark in read(at).items() if key != name})
        except OpError as error:
            failed[name] = error.message
    end = time.monotonic() + wait_seconds
    for name in [name for name in ways if name not in failed]:
        why = _await_back(_host(ways[name]), end)
        if why:
            failed[name] = why
    return failed


def _await_back(host: Switchable, end: float) -> str:
    while True:
        try:
            why = host.not_back()
        except OpError as error:
            return error.message
        if not why or time.monotonic() > end:
            return why
        time.sleep(_POLL_SECONDS)


def is_owed(at: Layout) -> bool:
    """Whether a finished deploy left hosts out, or may have."""
    try:
        return bool(_owed(at))
    except OpError:
        return True


def settle(at: Layout, say: Callable[[str], None]) -> None:
    """Return the hosts that a deploy took out; the caller holds the lock. A host that cannot be
    returned now keeps its mark for the next run."""
    owed = _owed(at)
    failed = _put_back(at, owed, _BACK_SECONDS)
    for name in owed:
        if name in failed:
            say(f"{name} could not be returned to the balancer: {failed[name]}")
        else:
            say(f"returned {name} to the balancer")


def _owed(at: Layout) -> Dict[str, Way]:
    """The ways back of the hosts that a deploy took out."""
    return {name: mark.way for name, mark in read(at).items() if mark.by == "deploy"}


def _set_up(ctx: Context) -> Layout:
    at = ctx.at
    if not at.balancer.is_dir():
        raise OpError("not-set-up", f"this host is not set up as a balancer for {at.app}")
    return at


def read(at: Layout) -> Marks:
    """The hosts that are out, with their marks. Raises OpError("host-state") for a damaged file."""
    return files.read_record(Dict[str, TakenOut], at.balancer_marks) or {}


def _write(at: Layout, marks: Marks) -> None:
    if marks != read(at):
        files.write_json(at.balancer_marks, to_json(marks))
