"""The hosts that a balancer on this host sends nothing to, and who took them out.

A mark is written before a host is taken out, and goes after it is back. What a deploy took
out comes back when its session ends in any way, when it was killed (`recover`), at boot,
and with the next session's lock. What a person took out stays out until a person puts it
back.
"""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Protocol

from cartwheel.host.balancer import haproxy, nginx_links
from cartwheel.host.layout import Layout
from cartwheel.host.system import files, systemd
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.web.nginx import Nginx

Args = Dict[str, Any]
Marks = Dict[str, Args]

DEPLOY, PERSON = "deploy", "person"
_BACK_SECONDS = 5.0
_POLL_SECONDS = 0.1
_REPORT_SECONDS = 5.0


class Way(Protocol):
    """One host in one balancer. Every method may raise OpError("balancer")."""

    def is_in(self) -> Optional[bool]:
        """Whether it gets requests; None where the balancer does not know it."""

    def take_out(self) -> None: ...

    def put_back(self) -> None: ...

    def under_way(self) -> int:
        """How many requests it still has from this balancer."""

    def not_back(self) -> str:
        """Why it gets no requests although it was put back; "" if it does."""


_KINDS: Dict[str, Callable[..., Way]] = {
    "nginx": nginx_links.Link,
    "haproxy": haproxy.Server,
}


def _way(values: Args) -> Way:
    fields = {key: value for key, value in values.items() if key != "kind"}
    return _KINDS[values["kind"]](**fields)


def look(ctx: Context, args: Args) -> Args:
    """For each host of `ways` whether it is in (None: not known here), and its mark; `down`
    says why the balancer itself sends nothing to anybody.

    Raises OpError: "not-set-up", "balancer".
    """
    at = _set_up(args)
    marks = read(at)
    return {
        "hosts": {
            name: {"is_in": _way(way).is_in(), "mark": marks.get(name)}
            for name, way in args["ways"].items()
        },
        "down": _down(args["ways"]),
    }


def _down(ways: Args) -> str:
    """A HAProxy that is down does not answer `is_in`; of nginx only files are asked."""
    if all(way["kind"] != "nginx" for way in ways.values()):
        return ""
    active = systemd.state(Nginx.unit).active
    return (
        "" if active in ("active", "reloading") else "nginx does not run: it is {}".format(active)
    )


def take_out(ctx: Context, args: Args) -> Args:
    """Take the hosts of `ways` out, and wait until they have no requests from here, at most
    `drain_seconds`. `by` says who wants it; `failed` which hosts stay in, and why.

    Raises OpError("not-set-up").
    """
    at = _set_up(args)
    if args["by"] == DEPLOY and "balancer" not in ctx.memory:
        ctx.memory["balancer"] = True
        ctx.at_end.append(functools.partial(_settle_silently, at))
    failed: Dict[str, str] = {}
    gone: Dict[str, Way] = {}
    for name, values in args["ways"].items():
        try:
            _take_out(at, name, values, args)
            gone[name] = _way(values)
        except OpError as error:
            failed[name] = error.message
    _drain(ctx, gone, args["drain_seconds"])
    return {"failed": failed}


def _take_out(at: Layout, name: str, values: Args, args: Args) -> None:
    """What a person took out, here or by the balancer's own means, stays theirs; what a person
    takes out now is so from now on."""
    marks = read(at)
    if args["by"] == DEPLOY and name not in marks and _way(values).is_in() is False:
        return
    if args["by"] == PERSON or name not in marks:
        said = {"by": args["by"], "who": args["who"], "message": args["message"]}
        _write(at, {**marks, name: {**said, "since": time.strftime("%F %T"), "way": values}})
    _way(values).take_out()


def _drain(ctx: Context, gone: Dict[str, Way], seconds: float) -> None:
    end = time.monotonic() + seconds
    reported = time.monotonic()
    while True:
        busy = {name: count for name, count in _under_way(gone).items() if count}
        now = time.monotonic()
        told = ", ".join("{} for {}".format(count, name) for name, count in busy.items())
        if not busy:
            return
        if now > end:
            # Nobody loses them: the host itself goes on answering what it has.
            ctx.emit("balancer", "note", "requests still under way: " + told)
            return
        if now - reported > _REPORT_SECONDS:
            reported = now
            ctx.emit("balancer", "progress", "requests under way: " + told)
        ctx.pause(_POLL_SECONDS)


def _under_way(gone: Dict[str, Way]) -> Dict[str, int]:
    try:
        return {name: way.under_way() for name, way in gone.items()}
    except OpError:  # whether it can be told is seen when they come back
        return {}


def put_back(ctx: Context, args: Args) -> Args:
    """Put the hosts of `ways` back, and wait until they get requests, at most `wait_seconds`;
    for a deploy only those that a deploy took out. `failed` says which are not back, and why.

    Raises OpError("not-set-up").
    """
    at = _set_up(args)
    marks = read(at)
    mine = {
        name: values
        for name, values in args["ways"].items()
        if args["by"] == PERSON or marks.get(name, {}).get("by") == DEPLOY
    }
    return {"failed": _put_back(at, mine, args["wait_seconds"])}


def _put_back(at: Layout, ways: Dict[str, Args], wait_seconds: float) -> Dict[str, str]:
    """All are put back before the first is waited for. Those that failed, and why."""
    failed: Dict[str, str] = {}
    for name, values in ways.items():
        try:
            way = _way(values)
            way.put_back()
            _write(at, {key: mark for key, mark in read(at).items() if key != name})
        except OpError as error:
            failed[name] = error.message
    end = time.monotonic() + wait_seconds
    for name in [name for name in ways if name not in failed]:
        why = _await_back(_way(ways[name]), end)
        if why:
            failed[name] = why
    return failed


def _await_back(way: Way, end: float) -> str:
    while True:
        try:
            why = way.not_back()
        except OpError as error:
            return error.message
        if not why or time.monotonic() > end:
            return why
        time.sleep(_POLL_SECONDS)


def is_owed(at: Layout) -> bool:
    """Whether a deploy that is over left hosts out, or may have."""
    try:
        return any(mark["by"] == DEPLOY for mark in read(at).values())
    except OpError:
        return True


def settle(at: Layout, say: Callable[[str], None]) -> List[str]:
    """Put back what a deploy took out; the caller holds the lock. What cannot be put back now
    stays marked for whoever comes next."""
    owed = {name: mark["way"] for name, mark in read(at).items() if mark["by"] == DEPLOY}
    if not owed:
        return []
    failed = _put_back(at, owed, _BACK_SECONDS)
    for name, why in failed.items():
        say("{} could not be put back into the balancer: {}".format(name, why))
    done = ["put {} back into the balancer".format(name) for name in owed if name not in failed]
    for text in done:
        say(text)
    return done


def _settle_silently(at: Layout) -> None:
    settle(at, lambda _text: None)


def _set_up(args: Args) -> Layout:
    at = Layout(args["app"], Path(args["base"]))
    if not at.balancer.is_dir():
        raise OpError("not-set-up", "this host is not set up as a balancer for {}".format(at.app))
    return at


def read(at: Layout) -> Marks:
    """Who is out, and for whom."""
    return files.read_json(at.balancer_marks) or {}


def _write(at: Layout, marks: Marks) -> None:
    if marks != read(at):
        files.write_json(at.balancer_marks, marks)
