"""Move a host to another release, with all its processes, and roll back unless it is confirmed.

Old and new run side by side. One rename of `current` moves the traffic. Until `confirm` the old
side stays warm and `pending.json` says how to roll back; a process that finds that file
without its session rolls back (see `recover`).
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
import uuid
from pathlib import Path
from typing import Callable, Dict, Iterable, List, Optional

from cartwheel.host.layout import Layout
from cartwheel.host.process import advice, health, instances, listing, timers
from cartwheel.host.process.drain import Quiet
from cartwheel.host.process.kinds import kind_of
from cartwheel.host.process.parts import named
from cartwheel.host.release import access, leftovers, media, verify
from cartwheel.host.state import assignment, journal, pending, releases, sides
from cartwheel.host.switch import watch_period, way_back
from cartwheel.host.system import files, locks, systemd
from cartwheel.host.system.context import ContactLost, Context, OpError
from cartwheel.host.system.tracebacks import own_files, shorten
from cartwheel.host.web import configuration, front_door
from cartwheel.host.web.chosen import web_server
from cartwheel.host.wire.assigned import Assigned
from cartwheel.host.wire.codec import to_json
from cartwheel.host.wire.health import Probe
from cartwheel.host.wire.instance import WEB, Instance
from cartwheel.host.wire.journal import Entry
from cartwheel.host.wire.messages import State
from cartwheel.host.wire.pending import Pending
from cartwheel.host.wire.process import Starts
from cartwheel.host.wire.request import Done
from cartwheel.host.wire.switching import (
    Confirm,
    Finish,
    Finished,
    GoBack,
    Switch,
    Switched,
    Watch,
    WentBack,
)

_POLL_SECONDS = 0.2
_READ_LINES = 200
_LOG_LINES = 25
_EXCEPTION = re.compile(r"^((?:\w+\.)*\w*(?:Error|Exception|Exit)\b.*)$", re.MULTILINE)
_WORDS_MAX = 200
_ENDS_LATER = "all its workers are busy: it stops once no connection waits"
_CONTACT_LOST = "the connection to the operator was lost"


Tell = Callable[[str, State, str], None]  # as Context.emit: step, state, detail


class Deal:
    """One switch in a session, between `switch` and the end of `finish`.

    The operator, the confirm deadline's timer and the end of the session may all ask to confirm,
    roll back or finish; the first one decides.
    """

    def __init__(self, at: Layout, mark: Pending, asked: Switch) -> None:
        self.at = at
        self.mark = mark
        self.asked = asked
        self._guard = threading.RLock()
        self._state = "pending"
        self.queue: Optional[Quiet] = None  # of the old instance, once the traffic moved
        self.left_open = 0  # connections of the old side when it was asked to stop
        self._timer = threading.Timer(
            asked.confirm_seconds, self.go_back, ["it was not confirmed in time"]
        )
        self._timer.daemon = True

    @property
    def is_pending(self) -> bool:
        return self._state == "pending"

    def front(self) -> str:
        """What is wrong with the answers to visitors; "" if nothing, or if none come here."""
        if not self.mark.to_assigned.has_web:
            return ""
        return front_door.ask(self.at, self.asked.probe, self.asked.listen, self.mark.to)

    def arm(self) -> None:
        """Start the time limit of the confirmation, `confirm_seconds`."""
        self._timer.start()

    def confirm(self) -> None:
        """The point of no return. Raises OpError("reverted") once a revert began."""
        with self._guard:
            if self._state in ("reverting", "reverted"):
                raise OpError("reverted", "the host has already rolled back")
            if self._state == "pending":
                self._timer.cancel()
                pending.clear(self.at, self.mark)
                self._state = "confirmed"
                journal.append(self.at.journal, self.mark.entry("confirmed"))

    def go_back(self, reason: str, *, is_bad: bool = False) -> bool:
        """Go back to the old release unless confirmed; True if it rolled back, now or before. A new
        release that `is_bad` is removed."""
        with self._guard:
            if self._state in ("pending", "reverting"):
                self._timer.cancel()
                self._state = "reverting"  # from here on no confirmation is taken
                way_back.go_back(self.at, self.mark, reason, is_bad=is_bad)
                self._state = "reverted"
            return self._state == "reverted"

    def finish(self, tell: Tell = lambda _step, _state, _detail: None) -> None:
        """Drain and stop the old instance, prune."""
        with self._guard:
            if self._state != "confirmed":
                return
            self._state = "finished"
            self.left_open = end_old_side(self.at, self.mark, tell, self.queue)
            assignment.note(self.at, self.mark.to, self.mark.to_assigned)
            if self.asked.settings is not None:
                releases.note_settings(self.at, self.mark.to, self.asked.settings)
            leftovers.clean(self.at, lambda text: tell("repair", "note", text))
            releases.prune(self.at, self.asked.keep_releases)

    def at_end(self) -> None:
        """At the session's end: roll back if not confirmed, or else finish the switch."""
        if not self.go_back(_CONTACT_LOST + " before the confirmation"):
            self.finish()


def switch(ctx: Context, request: Switch) -> Switched:
    """Start the new web instance, wait until it passes its health check, start what works beside
    it, move the traffic, watch everything, and at last replace what must never run twice.

    On return the switch is pending. Any failure leaves or restores the old release.
    Raises OpError("not-whole") before anything is done.
    """
    at = ctx.at
    releases.refuse_spoilt(at, request.release)
    mark = _mark_for(ctx, request)
    _open_served(ctx, mark, request)
    _start(ctx, mark, request.probe)
    _begin(ctx, mark)
    deal = Deal(at, mark, request)
    ctx.memory["switch"] = deal
    ctx.at_end.append(deal.at_end)
    try:
        _move_and_watch(ctx, deal)
    except ContactLost:
        raise  # at_end goes back
    except Exception as error:
        raise _gone_back(deal, error) from error
    deal.arm()
    return Switched(mark.id)


def _open_served(ctx: Context, mark: Pending, asked: Switch) -> None:
    """Open the static folders of both releases, whatever the settings were when they were made,
    and the folders of media. A problem with media stops a deploy; a rollback only notes it."""
    at = ctx.at
    if asked.site_changes:
        verify.check_served(at, mark.to, asked.served)
    for folder in asked.served.packages.values():
        for release in (mark.to, mark.was):
            if release is not None:
                access.open_served(at, release, folder)
    try:
        media.ensure(ctx, asked.served)
    except OpError as error:
        if asked.fresh or asked.site_changes:
            raise
        ctx.emit("media", "note", error.message)


def _gone_back(deal: Deal, error: Exception) -> OpError:
    """Roll back because of `error`; returns the error to report."""
    own = error.log if isinstance(error, OpError) else ""  # the web server's
    log = own or _log(deal.at, deal.mark)
    deal.go_back(str(error), is_bad=True)
    before = deal.mark.was or "nothing (it was the first deploy)"
    told = f"{error}{_last_words(log)}; the host rolled back to {before}"
    return OpError("reverted", told, advice.of_log(log), log)


def watch(ctx: Context, request: Watch) -> Done:
    """Watch a switched host in real traffic for `seconds` more, while it waits for the
    confirmation; roll back if it gets unhealthy."""
    deal = _deal(ctx)
    if deal is None or not deal.is_pending:
        raise OpError("reverted", "this host has no switch to watch: it has rolled back")
    try:
        with contextlib.closing(_real_traffic(deal)) as real:
            real.begin()
            _stay_well(ctx, deal, real, request.seconds)
    except ContactLost:
        raise  # at_end goes back
    except Exception as error:
        raise _gone_back(deal, error) from error
    return Done()


def _deal(ctx: Context) -> Optional[Deal]:
    """The switch of this session."""
    deal = ctx.memory.get("switch")
    return deal if isinstance(deal, Deal) else None


def _mark_for(ctx: Context, asked: Switch) -> Pending:
    at, old, was = ctx.at, releases.serving(ctx.at), assignment.read(ctx.at)
    wanted = asked.assigned or (_then(at, asked, was) if asked.kind == "rollback" else was)
    return Pending(
        id=uuid.uuid4().hex,
        kind=asked.kind,
        to=asked.release,
        to_slot=_free(ctx, asked.release, but=was.side(old.release, old.slot) if old else ()).slot,
        was=releases.pointed(at.current),
        was_slot=old.slot if old else None,
        was_fallback=releases.pointed(at.fallback),
        was_previous=releases.pointed(at.previous),
        shared=configuration.snapshot(asked.site_changes),
        # The plan may be outdated: a release that is live or may become live is never fresh.
        fresh=asked.fresh and asked.release not in releases.named(at),
        started=time.time(),
        version=asked.version,
        who=ctx.about.who,
        message=ctx.about.message,
        next_previous=_next_previous(at, asked),
        commit=releases.manifest(at, asked.release).commit or None,
        was_assigned=was,
        to_assigned=_possible(at, asked.release, wanted),
    )


def _then(at: Layout, asked: Switch, now: Assigned) -> Assigned:
    """What a rollback returns to: the counts of then. A process that runs on other hosts by now
    stays there, and web and its site stay where they are; a process that the live release does not
    know comes back."""
    then = assignment.noted(at, asked.release) or now
    current = releases.pointed(at.current)
    known = {WEB, *(releases.processes(at, current) if current else ())}
    back = {name: count for name, count in then.counts.items() if name not in known}
    kept = {name: then.counts.get(name, count) for name, count in now.counts.items()}
    jobs = releases.jobs(at, current) if current else []
    timers_back = {name for name in then.timers if name not in jobs}
    names = tuple(sorted(timers_back | set(now.timers)))
    return Assigned({**kept, **back}, now.holders, timers=names)


def _possible(at: Layout, release: str, wanted: Assigned) -> Assigned:
    """What of this the release has: an earlier one may lack a process or a timer."""
    has, jobs = {WEB, *releases.processes(at, release)}, releases.jobs(at, release)
    return Assigned(
        {name: count for name, count in wanted.counts.items() if name in has},
        wanted.holders,
        timers=tuple(name for name in wanted.timers if name in jobs),
    )


def _free(ctx: Context, release: str, *, but: Iterable[Instance]) -> Instance:
    """The slot of the new instance, beside stopping instances of its release. If these have all
    slots of an earlier version's release, wait for one. Raises OpError("deadline")."""
    but = list(but)
    one = instances.free(ctx.at, release, but=but)
    if one is None:
        ctx.emit("start", "progress", f"earlier instances of {release} are still stopping")
    while one is None:
        ctx.pause(_POLL_SECONDS)
        one = instances.free(ctx.at, release, but=but)
    return one


def _starting(at: Layout, mark: Pending, *when: Starts) -> List[Instance]:
    """The new instances that start then."""
    return [one for one in sides.wanted(at, mark.new_side) if sides.starts(at, one) in when]


def _start(ctx: Context, mark: Pending, probe: Probe) -> None:
    """Start web, if it runs here, and wait until it passes its check. After a failure only its log
    remains."""
    at = ctx.at
    try:
        for one in _starting(at, mark, "first"):
            ctx.emit("start", "start", mark.to)
            instances.start(ctx, at, one)
            ctx.emit("start", "done", kind_of(one).prove(ctx, at, one, probe))
    except Exception as error:  # whatever it was, the instance must not stay
        log = _log(at, mark)
        _undo_start(at, mark, error)
        if isinstance(error, OpError):
            message = error.message + _last_words(log)
            hint = advice.of_log(log) or error.hint
            raise OpError(error.slug, message, hint, log or error.log) from error
        raise


def _log(at: Layout, mark: Pending) -> str:
    """The end of the new instances' log, for the error. All of it is kept (`way_back`)."""
    text = way_back.log_of(at, mark, _READ_LINES)
    entry = releases.manifest(at, mark.to).entry
    shown = shorten(text, own_files(at.packages(mark.to), entry))
    return "\n".join(shown.splitlines()[-_LOG_LINES:])


def _last_words(log: str) -> str:
    """The exception that ended it, from the log's traceback, if there is one."""
    found = _EXCEPTION.findall(log)
    return "; it said: " + found[-1][:_WORDS_MAX] if found else ""


def _undo_start(at: Layout, mark: Pending, error: Exception) -> None:
    way_back.discard(at, mark)
    journal.append(at.journal, mark.entry("failed", str(error) or _CONTACT_LOST))
    if mark.fresh and not isinstance(error, ContactLost):
        releases.discard(at, mark.to)


def _begin(ctx: Context, mark: Pending) -> None:
    """Write down how to roll back; before this, nothing but the new instance was added."""
    try:
        ctx.poll()
        pending.write(ctx.at, mark)
    except (ContactLost, OpError, OSError) as error:
        _undo_start(ctx.at, mark, error)
        raise


def _move_and_watch(ctx: Context, deal: Deal) -> None:
    """The switch itself and its watch period. Raises OpError("unhealthy")."""
    with contextlib.closing(_real_traffic(deal)) as real:
        _move(ctx, deal)
        real.begin()
        ctx.emit("traffic", "done", "to " + deal.mark.to)
        if deal.asked.site_changes:
            health.wait_for_reload(ctx, deal.front)
        old = deal.mark.old
        if old is not None and deal.mark.was_assigned.has_web:
            deal.queue = kind_of(old).queue(deal.at, old)
        _stay_well(ctx, deal, real, deal.asked.watch_seconds)
        _replace_last(ctx, deal, real)


def _real_traffic(deal: Deal) -> watch_period.Real:
    if not deal.mark.to_assigned.has_web:
        return watch_period.NoTraffic()
    return watch_period.Watch(deal.at, deal.mark.new, deal.mark.kind, deal.asked.limits)


class _Everything:
    """What runs of the new side, looked at together."""

    def __init__(self, deal: Deal, real: watch_period.Real) -> None:
        self._deal = deal
        self._real = real

    def complaint(self) -> str:
        """Why the host must roll back; "" if it need not."""
        deal, real = self._deal, self._real
        if deal.queue is not None:
            deal.queue.look()
        problem = self._of_instances() or real.problem()
        answers = "" if problem else deal.front()
        # What ended meanwhile says more than the answers that came of it.
        return problem or (answers and self._of_instances()) or answers

    def _of_instances(self) -> str:
        at, probe = self._deal.at, self._deal.asked.probe
        side = {one: at.unit(one) for one in sides.wanted(at, self._deal.mark.new_side)}
        states = systemd.states(list(side.values()))
        found = (kind_of(one).problem(at, one, probe, states[side[one]]) for one in side)
        return next(filter(None, found), "")


def _stay_well(ctx: Context, deal: Deal, real: watch_period.Real, seconds: float) -> None:
    """Watch the switched release for this long, and until every process that started beside the old
    ones is ready. Raises OpError("unhealthy") and ("not-ready")."""
    at, probe = deal.at, deal.asked.probe
    ctx.emit("probation", "start", f"{seconds:g} s")
    started = _starting(at, deal.mark, "beside", "instead")
    proofs = [kind_of(one).proof(ctx, at, one, probe) for one in started]
    health.watch(ctx, _Everything(deal, real).complaint, proofs, seconds=seconds)
    if real.warning():
        ctx.emit("probation", "note", real.warning() + "; a rollback goes on regardless")
    ctx.emit("probation", "done", real.told())


def _move(ctx: Context, deal: Deal) -> None:
    """Start what works beside the old ones, or instead of them; move the links, then reload the web
    server if its files changed."""
    at, mark, changes = deal.at, deal.mark, deal.asked.site_changes
    for one in _starting(at, mark, "beside"):
        instances.start(ctx, at, one)
    for one in _starting(at, mark, "instead"):
        _replace(ctx, mark, one)
    timers.begin(at, mark)
    releases.point(at, at.fallback, mark.was or mark.to)
    releases.point_slot(at, mark.new)
    assignment.point(at, mark.to_assigned)
    releases.point(at, at.current, mark.to)
    timers.ensure(at)
    if changes:
        with locks.shared_parts(ctx):
            install_site(at, changes)
            configuration.reload(ctx, web_server(at), start=mark.to_assigned.has_web)


def _replace(
    ctx: Context, mark: Pending, one: Instance, complaint: Callable[[], str] = lambda: ""
) -> None:
    """End the old instances of a process that must not run twice, then start the new one. Raises
    OpError("unhealthy") as soon as there is a complaint."""
    at = ctx.at
    for old in mark.old_side:
        if old.process == one.process:
            systemd.stop(at.unit(old))
    instances.await_end(ctx, at, one.process, complaint)
    instances.start(ctx, at, one)


def _replace_last(ctx: Context, deal: Deal, real: watch_period.Real) -> None:
    """Replace, one by one, what must never run twice, while everything else is still watched."""
    at, complaint = deal.at, _Everything(deal, real).complaint
    for one in _starting(at, deal.mark, "last"):
        ctx.emit("processes", "start", one.process)
        _replace(ctx, deal.mark, one, complaint)
        proof = kind_of(one).proof(ctx, at, one, deal.asked.probe)
        health.watch(ctx, complaint, [proof], seconds=0)
        ctx.emit("processes", "done", one.process)


def install_site(at: Layout, changes: Dict[str, Optional[str]]) -> None:
    """Write the web server's files (None: remove); the caller reloads it."""
    for name, text in changes.items():
        if text is None and name != str(web_server(at).site(at.app)):
            # Saved first, for uninstall: this file is the distribution's.
            known = {**configuration.snapshot([name]), **configuration.disabled(at)}
            files.write_json(at.disabled, to_json(known))
        if text is None:
            files.remove(Path(name))
        else:
            files.write(Path(name), text.encode())


def end_old_side(at: Layout, mark: Pending, tell: Tell, queue: Optional[Quiet]) -> int:
    """After the confirmation, point `previous` at the rollback target and `fallback` at the new
    release. Then, after one more look at its `queue`, ask the old side to finish its requests and
    stop, without waiting for that (see `instances`). Returns the number of connections that it
    still had: websockets, streams, and requests that take longer than the watch period."""
    if mark.old is not None:
        releases.point(at, at.previous, mark.next_previous)
    releases.point(at, at.fallback, mark.to)
    pending.forget(at)
    left_open = 0
    for one, active in systemd.instances(at).items():
        if one not in mark.new_side and active != systemd.STOPPING:
            tell("drain", "start", one.release if one.process == WEB else named(one))
            own = (queue if one == mark.old else None) or kind_of(one).queue(at, one)
            asked = instances.end(at, one, own)
            left_open += own.open if own else 0
            tell("drain", "done", "" if asked else _ENDS_LATER)
    if left_open:
        _note_left_open(at, mark, left_open)
    return left_open


def _note_left_open(at: Layout, mark: Pending, count: int) -> None:
    were = "connection was" if count == 1 else "connections were"
    noted = Entry(
        kind="drain",
        release=mark.was,
        result="done",
        who=mark.who,
        reason=f"{count} {were} still open",
        connections=count,
    )
    journal.append(at.journal, noted)


def _next_previous(at: Layout, asked: Switch) -> Optional[str]:
    """The rollback target after the confirmation of this switch, from the journal."""
    if asked.kind == "restart":
        return releases.pointed(at.previous)
    confirmed = Entry(kind=asked.kind, release=asked.release, result="confirmed")
    entries = [*journal.read(at.journal), confirmed]
    return releases.rollback_target(at, asked.release, entries)


def confirm(ctx: Context, request: Confirm) -> Done:
    """Confirm the switch `id`; refused once a revert began."""
    deal = _deal(ctx)
    if deal is None or deal.mark.id != request.id:
        raise OpError("reverted", "this host has no switch with this id to confirm")
    deal.confirm()
    return Done()


def finish(ctx: Context, request: Finish) -> Finished:
    """Do what remains after the confirmation; it goes on without the operator."""
    deal = _deal(ctx)
    if deal is not None:
        deal.finish(ctx.emit)
    return Finished(listing.draining(ctx.at), deal.left_open if deal else 0)


def go_back(ctx: Context, request: GoBack) -> WentBack:
    """Roll back for the operator: another host of the fleet failed, because the release `is_bad`
    or for a passing reason."""
    deal = _deal(ctx)
    reverted = deal is not None and deal.go_back(request.reason, is_bad=request.is_bad)
    return WentBack(reverted, releases.pointed(ctx.at.current))
