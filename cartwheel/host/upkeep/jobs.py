"""Maintenance of a running application: stop, start, prune, packages."""

from __future__ import annotations

import contextlib
import shutil
import time
from dataclasses import replace
from typing import Dict, Iterable, List, Optional, Union

from cartwheel.host import recover
from cartwheel.host.layout import Layout
from cartwheel.host.packages import kinds
from cartwheel.host.process import advice, instances
from cartwheel.host.process.kinds import kind_of
from cartwheel.host.process.parts import named
from cartwheel.host.release import access, downloads, leftovers
from cartwheel.host.state import assignment, environment, journal, record, releases, sides, whole
from cartwheel.host.switch import way_back
from cartwheel.host.system import children, files, journald, systemd
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.web import configuration
from cartwheel.host.web import kinds as kinds_of_web
from cartwheel.host.web.server import WebServer
from cartwheel.host.wire.codec import to_json
from cartwheel.host.wire.commands import Migrate, RunHook
from cartwheel.host.wire.health import Probe
from cartwheel.host.wire.instance import WEB, Instance
from cartwheel.host.wire.journal import Entry
from cartwheel.host.wire.making import Abandon
from cartwheel.host.wire.marks import Stopped
from cartwheel.host.wire.request import Done
from cartwheel.host.wire.running import Prune, Pruned, Served, Start, Stop
from cartwheel.host.wire.setup import Installed, InstallPackages
from cartwheel.host.wire.switching import Unchanged
from cartwheel.host.wire.upkeep import Repair, Repaired
from cartwheel.host.wire.web import Empty, ReloadWebServer, TestWebServer

_STOP_MARGIN_SECONDS = 15.0  # longer than the unit's own limit, so that it has ended
_REPORT_SECONDS = 5.0
_LOG_LINES = 25


def stop(ctx: Context, request: Stop) -> Served:
    """Stop serving, and set the mark that boot and deploy respect. Wait for web's last requests;
    a job may take longer, and systemd waits for that."""
    at, wanted = ctx.at, _deployed(ctx.at)
    if at.stopped.exists():
        return Served(False, wanted.release)
    mark = Stopped(ctx.about.who, ctx.about.message, time.strftime("%F %T"))
    files.write_json(at.stopped, to_json(mark))
    side = sides.of(at, wanted)
    for one in side:
        systemd.stop(at.unit(one))
    entry = Entry(kind="stop", release=wanted.release, result="done", **to_json(mark))
    journal.append(at.journal, entry)
    for one in side:
        if one.process == WEB:
            _await_end(ctx, at.unit(one), request.drain_seconds + _STOP_MARGIN_SECONDS)
    left = [one for one in systemd.instances(at) if one in side]
    if left:
        told = ", ".join(map(named, left))
        ctx.emit("stop", "note", f"{told}: finishing the last job, within processes.*.stop_seconds")
    return Served(True, wanted.release)


def _deployed(at: Layout) -> Instance:
    wanted = releases.serving(at)
    if wanted is None:
        raise OpError("not-deployed", f"{at.app} is not deployed on this host")
    return wanted


def _await_end(ctx: Context, unit: str, seconds: float) -> None:
    """Wait until systemd has stopped it: within this time, unless its own settings say longer.
    systemd goes on without this process."""
    end = time.monotonic() + seconds
    while not systemd.ends(unit, within_seconds=_REPORT_SECONDS) and time.monotonic() < end:
        ctx.emit("stop", "progress", "it is answering its last requests")
        ctx.poll()


def start(ctx: Context, request: Start) -> Served:
    """Remove the mark of `fab stop`, start the release of `current`, wait until it answers."""
    at, began = ctx.at, time.time()
    _deployed(at)
    changed = files.remove(at.stopped)
    changed |= recover.start_serving(at)
    wanted = _deployed(at)
    _prove(ctx, sides.of(at, wanted), request.probe, began)
    if changed:
        who = ctx.about.who
        entry = Entry(kind="start", release=wanted.release, result="done", who=who)
        journal.append(at.journal, entry)
    return Served(changed, wanted.release)


def _prove(ctx: Context, side: Iterable[Instance], probe: Probe, began: float) -> None:
    """Wait until these instances pass their checks. Raises OpError with the log of one."""
    for one in side:
        try:
            kind_of(one).prove(ctx, ctx.at, one, probe)
        except OpError as error:
            log = systemd.log(ctx.at.unit(one), _LOG_LINES, began)
            raise OpError(error.slug, error.message, error.hint, log) from error


def prune(ctx: Context, request: Prune) -> Pruned:
    """Remove old releases and leftovers; returns the names of both. With `cache`, remove the
    downloads of pip and uv too."""
    cleaned = leftovers.clean(ctx.at, lambda _text: None)
    removed = releases.prune(ctx.at, request.keep_releases)
    emptied_bytes = downloads.empty(ctx.at) if request.cache else 0
    return Pruned(tuple(removed), tuple(cleaned), emptied_bytes)


def abandon(ctx: Context, request: Abandon) -> Done:
    """Remove a release whose preparation failed; its journal entry and its log stay."""
    at, release = ctx.at, request.release
    if release not in releases.protected(at) and request.fresh:
        releases.discard(at, release)
    way_back.keep_log(at, release, request.log)
    entry = Entry(kind=request.kind, release=release, version=request.version, result="failed")
    told = replace(entry, who=ctx.about.who, reason=request.reason, commit=request.commit or None)
    journal.append(at.journal, told)
    return Done()


def unchanged(ctx: Context, request: Unchanged) -> Done:
    """Record a deploy of the live release: one journal entry. What should run and does not is
    started; nothing else is touched.

    Raises OpError("facts-changed") if it is not live any more, OpError("not-whole"), and the
    reason why what was started is not well.
    """
    at, release = ctx.at, request.release
    wanted = releases.serving(at)
    if wanted is None or wanted.release != release:
        raise OpError("facts-changed", "the live release has changed in the meantime")
    releases.refuse_spoilt(at, release)
    was = assignment.read(at)
    if request.holders not in (None, was.holders):
        assignment.write(at, replace(was, holders=request.holders))
    _start_again(ctx, wanted, request.probe)
    leftovers.clean(at, lambda text: ctx.emit("repair", "note", text))
    known = record.read(at)
    if known is not None:
        access.tighten(ctx, at, known.user, known.group)
    entry = Entry(kind="deploy", release=release, version=request.version, result="unchanged")
    told = replace(entry, who=ctx.about.who, commit=request.commit or None)
    journal.append(at.journal, told)
    return Done()


def _start_again(ctx: Context, wanted: Instance, probe: Optional[Probe]) -> None:
    """Start what of the live side is down, and wait until it is well."""
    at, began = ctx.at, time.time()
    found = {one.what for one in ctx.memory["found"] if one.kind == leftovers.DOWN}
    side = sides.of(at, wanted)
    down = {*instances.down(at, side), *(one for one in side if at.unit(one) in found)}
    if not down or probe is None or at.stopped.exists():
        return
    recover.start_serving(at)
    wanted_again = {(one.process, one.number) for one in down}  # perhaps in another slot
    side = sides.of(at, _deployed(at))
    again = [one for one in side if (one.process, one.number) in wanted_again]
    _prove(ctx, again, probe, began)
    ctx.emit("start", "note", f"started {', '.join(map(named, again))}: it was down")


def migrate(ctx: Context, request: Migrate) -> Done:
    """Run a prepared release's command before the release goes live, as the app's user, in its
    environment; adds a journal entry. Raises OpError("migration-failed")."""
    at, release = ctx.at, request.release
    done = _command(ctx, request, environment.of_release(at, release), "migrate")
    entry = Entry(kind="migrate", release=release, who=ctx.about.who)
    if done.status != 0:
        reason = f"{request.command} ended with {done.status}"
        journal.append(at.journal, replace(entry, result="failed", reason=reason))
        hint = advice.of_command(request.command, done.output)
        raise OpError("migration-failed", reason, hint, children.tail(done.output))
    journal.append(at.journal, replace(entry, result="done"))
    return Done(changed=True)


def hook(ctx: Context, request: RunHook) -> Done:
    """Run a hook as the app's user, in the environment of the release that is being deployed once
    that is complete. Raises OpError("hook-failed")."""
    at, release = ctx.at, request.release
    whole = releases.manifest_path(at, release).exists()
    base = environment.of_release(at, release) if whole else {"HOME": str(at.shared)}
    step = f"hook {request.hook}"
    title = f"{step} ({request.variables['CARTWHEEL_PHASE']})"
    try:
        done = _command(ctx, request, {**base, **request.variables}, step)
    except OpError as error:
        if error.slug != "deadline":
            raise
        how = f"did not end within {request.timeout_seconds:g} s"
        raise OpError("hook-failed", f"{title} {how}", log=error.log) from None
    if done.status != 0:
        how = f"ended with {done.status}"
        hint = advice.of_command(request.command, done.output)
        raise OpError("hook-failed", f"{title} {how}", hint, children.tail(done.output))
    return Done()


def _command(
    ctx: Context, request: Union[Migrate, RunHook], values: Dict[str, str], step: str
) -> children.Done:
    """Run a shell command as the app's user, in the app's folder; `fab logs` shows its output."""
    at = ctx.at
    return children.run(
        ctx,
        ["/bin/sh", "-c", request.command],
        timeout_seconds=request.timeout_seconds,
        env=values,
        user=environment.app_user(at),
        cwd=str(at.shared),
        umask=0o027,
        step=step,
        on_line=lambda line: journald.write(journald.HOOK, f"{step}: {line}"),
    )


def install_packages(ctx: Context, request: InstallPackages) -> Installed:
    at, manager = ctx.at, kinds.of_this_host()
    missing = manager.missing(request.packages)
    if missing:
        manager.install(ctx, missing)
        known = record.read(at)
        if known is not None:
            names = tuple(sorted({*known.packages, *missing}))
            record.write(at, replace(known, packages=names))
    return Installed(tuple(missing))


def _web_server(name: str) -> WebServer:
    """Raises OpError("not-set-up") where it is not installed."""
    web = kinds_of_web.named(name)
    if shutil.which(web.program) is None:
        raise OpError("not-set-up", f"the host has no {web.name}")
    return web


def web_test(ctx: Context, request: TestWebServer) -> Empty:
    """Raises OpError with the web server's message if its configuration is broken."""
    web = _web_server(request.kind)
    configuration.refuse_broken(ctx, web, web.broken)
    return Empty()


def web_reload(ctx: Context, request: ReloadWebServer) -> Empty:
    web = _web_server(request.kind)
    configuration.refuse_broken(ctx, web, web.broken)
    configuration.reload(ctx, web)
    return Empty()


def repair(ctx: Context, request: Repair) -> Repaired:
    """Remove the leftovers that taking the lock spared for a deploy, and wait for what it started.
    Returns everything removed since the session began, what could not be removed, and the releases
    that a check of every file found damaged; a deploy rebuilds those."""
    at = ctx.at
    if leftovers.is_unfinished(ctx.memory["found"]):
        with contextlib.suppress(OpError):  # who looks next says what is wrong
            recover.prove_serving(ctx, at)
    leftovers.clean(at, lambda text: ctx.emit("repair", "note", text))
    left = tuple(one.text for one in leftovers.find(at))
    found = [one.text for one in ctx.memory["found"]]
    done = tuple(text for text in found if text not in left)
    return Repaired(done, left, tuple(_mark_damaged(at)))


def _mark_damaged(at: Layout) -> List[str]:
    """Mark the releases whose damage only a check of every file finds, so that deploys see it."""
    found = {release: what for release, what in releases.damage(at).items() if what}
    marked = [release for release in found if not releases.problem(at, release)]
    for release in marked:
        whole.mark(at, release, found[release][0])
    return marked
