"""Remove an application: the host is as setup found it, except for packages and `shared`.

`shared` (uploads, databases) is the application's data; it is removed only on request. What
applications share is removed with the last one. Every step can run again after a crash; the record
is removed last.
"""

from __future__ import annotations

import grp
import pwd
from pathlib import Path
from typing import Iterator, List

from cartwheel.host import layout
from cartwheel.host.balancer import nginx_site
from cartwheel.host.layout import Layout
from cartwheel.host.process import instances, timers
from cartwheel.host.process.parts import named
from cartwheel.host.state import record, releases, watchers
from cartwheel.host.state.record import Record
from cartwheel.host.system import children, files, locks, systemd
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.upkeep import monitors
from cartwheel.host.web import configuration, shared_file, tls_change
from cartwheel.host.web.chosen import web_server
from cartwheel.host.wire.upkeep import Removed, Uninstall

_CALL_SECONDS = 30.0
_POLL_SECONDS = 0.2


def uninstall(ctx: Context, request: Uninstall) -> Removed:
    """Stop the app, remove its site, then everything in the record.

    Raises OpError("not-set-up").
    """
    at = ctx.at
    known = record.read(at)
    if known is None:
        with locks.shared_parts(ctx):
            _shared_parts(ctx, at)  # remove the traces of this run's own lock
        raise OpError("not-set-up", f"{at.app} is not set up on this host")
    removed = nginx_site.remove(ctx, at)
    removed += _site(ctx, at)
    removed += tls_change.uninstall(ctx, at)
    removed += _instances(ctx, at, now=request.now)
    removed += _boot_unit(ctx, at)
    removed += _directories(at, request.remove_shared)
    watchers.leave(at)
    if not at.root.exists():  # where `shared` stays, its files must not become somebody else's
        removed += _account(ctx, known)
        for folder in reversed(known.made_folders):
            files.remove_empty(Path(folder))
        files.remove(at.record)
    with locks.shared_parts(ctx):
        removed += _shared_parts(ctx, at)
    return Removed(tuple(removed), (str(at.shared),) if at.shared.exists() else ())


def _site(ctx: Context, at: Layout) -> List[str]:
    """Remove the app's site; restore the distribution's default site if setup disabled it."""
    web, removed = web_server(at), []
    with locks.shared_parts(ctx):
        if files.remove(web.site(at.app)):
            removed.append(str(web.site(at.app)))
        if configuration.put_back(configuration.disabled(at)):
            removed.append("restored " + str(web.default_site))
        if removed:
            configuration.reload(ctx, web)
    return removed + configuration.remove_logs(web, at.app)


def _instances(ctx: Context, at: Layout, *, now: bool) -> List[str]:
    gone: List[str] = []
    # First, so that nothing starts it again in between.
    for link in (at.current, at.fallback, at.previous, at.assigned):
        files.remove(link)
    gone += [str(at.timer_unit(name)) for name in timers.installed(at)]
    timers.ensure(at)
    running = list(systemd.instances(at))
    if now:
        for one in running:
            systemd.kill(at.unit(one))
        for job in systemd.jobs(at):
            systemd.kill(at.job_unit(*job).name)
    instances.retire(at, running)
    gone += ["stopped " + at.unit(one) for one in running]
    _await_end(ctx, at)
    timers.forget_ended(at)
    for name in [*releases.names(at), *releases.leftovers(at)]:
        releases.remove(at, name)
        gone.append("release " + name)
    return gone


def _await_end(ctx: Context, at: Layout) -> None:
    """Wait for the last requests and jobs: they need code, data and user, which go next. systemd
    kills what takes longer than the time limit of its unit."""
    told = ""
    while running := ", ".join(sorted(_under_way(at))):
        if running != told:
            told = running
            ctx.emit("stop", "progress", f"{running} is finishing its work")
        ctx.progress("stop", f"{running} is finishing its work")
        ctx.pause(_POLL_SECONDS)


def _under_way(at: Layout) -> Iterator[str]:
    for one in systemd.instances(at):
        yield f"{named(one)} of {one.release}"
    for name, release in systemd.jobs(at):
        yield f"timer {name} of {release}"


def _boot_unit(ctx: Context, at: Layout) -> List[str]:
    gone: List[str] = []
    if at.boot_unit.exists():
        argv = ["systemctl", "disable", "--now", "--quiet", at.boot_unit.name]
        children.run(ctx, argv, timeout_seconds=_CALL_SECONDS)
        files.remove(at.boot_unit)
        gone.append(at.boot_unit.name)
    systemd.reload(ctx)  # the releases' units are gone too
    return gone


def _directories(at: Layout, remove_shared: bool) -> List[str]:
    doomed = [at.cache, at.releases, at.lib, at.logs, layout.RUN / at.app]
    doomed += [at.assignments, at.locks, at.stopped_processes, at.timers, at.users]
    doomed += [at.watch_lists, at.page_users]
    doomed += [at.shared] if remove_shared else []
    removed = [str(path) for path in doomed if files.remove_tree(path)]
    marks = (at.stopped, at.frozen, at.pending, at.disabled)
    for path in (at.journal, *marks, at.probe_map, at.log_rotation):
        files.remove(path)
    if files.remove_empty(at.root):
        removed.append(str(at.root))
    return removed


def _account(ctx: Context, known: Record) -> List[str]:
    """Remove the user and the group of its sockets."""
    gone: List[str] = []
    user, group = known.user, known.group
    if any(entry.gr_name == group for entry in grp.getgrall()):
        children.check(ctx, ["groupdel", group], "account", f"group {group} does not go")
        gone.append("group " + group)
    if any(entry.pw_name == user for entry in pwd.getpwall()):
        children.check(ctx, ["userdel", user], "account", f"user {user} does not go")
        gone.append("user " + user)
    return gone


def _shared_parts(ctx: Context, at: Layout) -> List[str]:
    """Remove what applications share, with the last one; including the locks, which are held."""
    gone: List[str] = []
    locks.discard(at.lock)
    tools = (layout.PIP, layout.UV, layout.LOOK)
    own = {name for tool in tools for name in (tool.name, files.GONE + tool.name)}
    if own.issuperset(files.names(layout.LIB)):
        gone += monitors.remove_all(ctx, at)
        gone += [str(tool) for tool in tools if files.remove_tree(tool)]
        gone += shared_file.remove()
        locks.discard(layout.HOST_LOCK)
        locks.discard(layout.ACME_LOCK)
    shared = (layout.LIB, layout.LOGS, layout.STATE, layout.RUN)
    return gone + [str(folder) for folder in shared if files.remove_empty(folder)]
