"""Read the logs of an application and of its site in the web server. Changes nothing."""

from __future__ import annotations

import heapq
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, List, Tuple

from cartwheel.host.layout import Layout, content_of
from cartwheel.host.look import log_journal
from cartwheel.host.look.log_files import SiteLog
from cartwheel.host.look.log_lines import Log, Wanted, send
from cartwheel.host.state import journal, releases
from cartwheel.host.system.context import Context
from cartwheel.host.web.chosen import web_server
from cartwheel.host.web.server import WebServer
from cartwheel.host.wire.output import ReadLogs
from cartwheel.host.wire.request import Done

MOST_LINES = 20_000  # of one log, for this host's memory


def sources(*servers: WebServer) -> Tuple[str, ...]:
    """The names of all sources, with these kinds of web servers."""
    of_web = (name for web in servers for name in _of_web(web))
    return (*log_journal.APP, *of_web, *log_journal.OPERATIONS)


def _of_web(web: WebServer) -> Tuple[str, str]:
    return f"{web.name}-access", f"{web.name}-error"


def logs(ctx: Context, request: ReadLogs) -> Done:
    """Send the lines as events `log`, in order of time, and then an event `done`, which says why
    lines are missing if some are; with `follow` new lines until contact is lost.

    Raises OpError("usage") for a pattern that is none, and for an unknown process.
    """
    is_of = _is_of(ctx.at, request.release)
    wanted = Wanted(request, request.sources or sources(web_server(ctx.at)), time.time(), is_of)
    every = [log for log in logs_of(ctx.at, request.processes) if wanted.any_of(log.sources)]
    most = MOST_LINES if request.lines is None else min(request.lines, MOST_LINES)
    last = [log.last(ctx, wanted, most) for log in every]
    for line in heapq.merge(*last, key=lambda one: one.at):
        send(ctx, line)
    needs_journal = wanted.any_of((*log_journal.APP, "hooks"))
    missing = log_journal.unkept() if needs_journal else ""
    if request.release and not any(last) and not _was_here(ctx.at, is_of):
        missing = f"--release {request.release}: no such release was here"
    ctx.emit("log", "done", missing)
    if request.follow:
        with ThreadPoolExecutor(len(every)) as pool:
            followed = [pool.submit(log.follow, ctx, wanted) for log in every]
        for one in followed:
            one.result()
    return Done()


def logs_of(at: Layout, processes: Tuple[str, ...] = ()) -> List[Log]:
    """Every log of the app, or of `processes` alone."""
    if processes:
        return [log_journal.of_app(at, processes)]
    web = web_server(at)
    access, errors = web.logs(at.app)
    of_access, of_errors = _of_web(web)
    return [
        log_journal.of_app(at),
        SiteLog(access, of_access, web),
        SiteLog(errors, of_errors, web),
        log_journal.of_operations(at),
        log_journal.Attempts(at),
    ]


def _was_here(at: Layout, is_of: Callable[[str], bool]) -> bool:
    """Whether this host has such a release, or remembers one."""
    known = {one.release for one in journal.read(at.journal) if one.release}
    return any(map(is_of, known.union(releases.names(at))))


def _is_of(at: Layout, wanted: str) -> Callable[[str], bool]:
    """Whether a release is the `wanted` one, which is its name or its version."""

    def is_of(release: str) -> bool:
        content = content_of(release)
        named = (release, content, content.rpartition(".")[0])
        return wanted in named or wanted == releases.manifest(at, release).version

    return is_of
