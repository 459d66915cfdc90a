"""Judge a host's health from its answer to `status`, the same for every task.

A host is unhealthy if its visitors get no good answer now, or would get none after the next reboot,
or if it cannot take the next release. Other findings are notes: a freeze, a running deploy,
leftovers (docs/output.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cartwheel.plan import tls, web_server
from cartwheel.plan.maintenance import closed_text
from cartwheel.plan.processes import stopped_text
from cartwheel.plan.refusals import MIN_FREE_BYTES, MIN_FREE_INODES, held_refusal, stopped_refusal
from cartwheel.settings import names
from cartwheel.settings.certificates import covers

if TYPE_CHECKING:
    from cartwheel.host.wire.status import Serving, Status
    from cartwheel.host.wire.tls import TlsState

Level = Literal["ok", "note", "PROBLEM"]

_LOW_BYTES = 512 << 20
_LEAST_LEFT = 0.2  # of a certificate's lifetime; who renews by program does so at a third
# Findings whose details need their name in front.
_NAMED = ("leftover", "also running", "disk")


@dataclass(frozen=True)
class Finding:
    """One finding about a host: `detail` describes it, `todo` says what to do next if something is
    wrong. `serving`: visitors get no good answer because of it."""

    host: str
    what: str
    level: Level
    detail: str
    todo: str = ""
    serving: bool = False

    @property
    def ok(self) -> bool:
        """Whether this finding is good."""
        return self.level != "PROBLEM"

    @property
    def note(self) -> str:
        """The finding as a part of one line."""
        return f"{self.what}: {self.detail}" if self.what in _NAMED else self.detail

    @property
    def fields(self) -> dict[str, str | bool]:
        """The finding for programs, without the host."""
        return {
            "what": self.what,
            "level": self.level.lower(),
            "ok": self.ok,
            "detail": self.detail,
            "next": self.todo,
        }


def conditions(host: str, status: Status, *, has_web: bool = True) -> list[Finding]:
    """All findings of `status` about a host: first whether it serves, last the notes. `has_web`:
    it should run web once something is deployed there."""
    visited = has_web if status.release is None else status.serving is not None
    of_web = (_app, _front_door, _web_server, _tls) if visited else ()
    finders = (_serves, _whole, *of_web, _processes, _timers, _boot, _disk, _notes)
    return [finding for finder in finders for finding in finder(host, status)]


def health(findings: Sequence[Finding], status: Status) -> str:
    """The host's state in one word or two."""
    problems = [one for one in findings if not one.ok]
    if status.release is None:
        return "not deployed"
    if status.stopped:
        return "stopped"
    if any(one.serving for one in problems):
        return "UNHEALTHY"
    return "AT RISK" if problems else "healthy"


# --- does it serve? -----------------------------------------------------------------------


def _serves(host: str, status: Status) -> Iterator[Finding]:
    deploys = f"`fab deploy -H {host}`"
    if not status.set_up:
        todo = f"`fab setup -H {host}`, then {deploys}"
        yield _problem(host, "setup", "the host is not set up for this app", todo)
    if status.release is None:
        detail = "nothing is deployed"
        if status.current:
            detail = f"the link `current` names {status.current}, which is missing"
        elif status.rollback:
            detail = f"the link `current` is missing; {status.rollback} served last"
        yield _problem(host, "serves", detail, f"{deploys} makes it live", serving=True)
    elif status.stopped:
        detail, todo = stopped_refusal(status.stopped).message, f"`fab start -H {host}` starts it"
        yield _problem(host, "serves", detail, todo, serving=True)
    else:
        yield Finding(host, "serves", "ok", status.release)


def _whole(host: str, status: Status) -> Iterator[Finding]:
    """The release on disk: if it is damaged, a running app does not start again after a reboot."""
    if status.release is not None and status.not_whole:
        detail = f"{status.release} is damaged: {status.not_whole}"
        yield _problem(host, "release", detail, f"`fab deploy -H {host}` makes it again")


def _processes(host: str, status: Status) -> Iterator[Finding]:
    """The processes besides web."""
    if status.stopped:
        return
    for name, mark in status.stopped_processes.items():
        if status.assigned.has(name) or not status.assigned.holders.get(name):
            todo = f"`fab process.start -H {host} --name {name}`"
            yield Finding(host, name, "note", stopped_text(name, mark), todo)
    for one in status.processes:
        if one.problem:
            named = f"-H {host} --name {one.process}"
            todo = f"`fab logs -H {host} --process {one.process}` says why;"
            todo += f" `fab process.start {named}` starts it, `fab process.restart {named}` anew"
            yield _problem(host, one.process, f"{one.process}@{one.label}: {one.problem}", todo)
    well = [one.process for one in status.processes if not one.problem]
    if well:
        yield Finding(host, "processes", "ok", ", ".join(_counted(well)))


def _timers(host: str, status: Status) -> Iterator[Finding]:
    for one in status.timers:
        what = f"timer {one.name}"
        last = one.runs[0] if one.runs else None
        if not one.active:
            todo = f"`fab doctor --fix -H {host}` starts it again"
            yield _problem(host, what, f"{what} does not wait for its next run", todo)
        elif one.paused:
            todo = f"`fab timer.resume -H {host} --name {one.name}` lifts it"
            since = f"{one.paused.who} since {one.paused.since}"
            yield Finding(host, what, "note", f"{what} is paused by {since}", todo)
        elif last is not None and last.result not in ("done", "running"):
            todo = f"`fab logs -H {host} --timer {one.name}` shows what it printed"
            detail = f"{what}: run {last.number} {last.result}: {last.detail}"
            yield Finding(host, what, "note", detail, todo)
        else:
            yield Finding(host, what, "ok", one.timer.key)


def _counted(names: Sequence[str]) -> Iterator[str]:
    """`2 worker`, `beat`."""
    for name in dict.fromkeys(names):
        count = names.count(name)
        yield f"{count} {name}" if count > 1 else name


def _asked(status: Status) -> Serving | None:
    """The instance that should answer; None if nothing is deployed or the app is stopped."""
    return None if status.stopped else status.serving


def _app(host: str, status: Status) -> Iterator[Finding]:
    serving = _asked(status)
    if serving is None:
        return
    logs = f"`fab logs -H {host}` says why"
    if serving.problem:
        detail = ": ".join([*_state_of_unit(serving), serving.problem])
        todo = f"{logs}; {_way_out(host, serving, status.rollback)}"
        yield _problem(host, "app", detail, todo, serving=True)
    elif serving.suspended:
        # Some requests are answered, some reach a worker that does nothing.
        todo = f"`fab restart -H {host}` starts it again"
        yield _problem(host, "app", _suspended(serving), todo, serving=True)
    else:
        yield Finding(host, "app", "ok", f"healthy, {serving.workers} workers")


def _state_of_unit(serving: Serving) -> Iterator[str]:
    if serving.active != "active":
        yield f"its unit is {serving.active} ({serving.result})"
    if serving.restarts:
        yield f"restarted {serving.restarts} times by systemd"
    if serving.suspended:
        yield _suspended(serving)


def _suspended(serving: Serving) -> str:
    return f"{serving.suspended} of its processes are suspended by a signal"


def _way_out(host: str, serving: Serving, rollback: str | None) -> str:
    """The task that makes an unhealthy app answer again."""
    if serving.active in ("inactive", "failed"):
        return f"`fab start -H {host}` starts it"
    back = f"`fab rollback -H {host}` goes back to {rollback}"
    if not rollback:
        back = f"`fab deploy -H {host}` deploys a release that works"
    return f"`fab restart -H {host}` starts it again, {back}"


def _front_door(host: str, status: Status) -> Iterator[Finding]:
    """The answer through the web server; not judged if the app itself does not answer or the web
    server does not run, because that is the cause and reported already."""
    web = status.web_server.kind
    unread = web_server.unread(status.web_server)
    if unread and status.web_server.unit_file:
        todo = f"`fab setup -H {host}` makes it, then `fab deploy -H {host}`"
        if status.web_server.folder:
            todo = (
                f"let {web}'s configuration on {host} include it, then `fab {web}.reload -H {host}`"
            )
        yield _problem(host, "site", unread, todo, serving=True)
        return
    if status.release is not None and not status.web_server.site:
        todo = f"`fab deploy -H {host}` writes it"
        yield _problem(host, "site", f"{web}'s file for the site is missing", todo)
    serving = _asked(status)
    if serving is None or serving.problem or not _web_server_answers(status):
        return
    if not serving.front:
        yield Finding(host, "front door", "ok", f"healthy through {web}")
        return
    todo = f"`fab setup -H {host}` makes the token again"
    if status.web_server.token:
        todo = (
            f"`fab {web}.reload -H {host}` makes {web} read its site;"
            f" `fab deploy -H {host}` writes it where it was changed"
        )
    yield _problem(host, "front door", serving.front, todo, serving=True)


def _web_server_answers(status: Status) -> bool:
    """The web server, by its unit, or by its answer if it was started by hand."""
    by_hand = status.serving is not None and not status.serving.front
    return status.web_server.active in web_server.RUNS or by_hand


def _web_server(host: str, status: Status) -> Iterator[Finding]:
    state, web = status.web_server, status.web_server.kind
    active, unit_file = state.active, state.unit_file
    enable = web_server.enabling(state, host)
    broken = web_server.broken(state)
    if broken:
        todo = f"fix what {web} names, then `fab {web}.reload -H {host}`"
        ours = web_server.broken_by_us(state)
        if ours:
            todo = f"`fab deploy -H {host}` writes {ours} again, without what other files say"
        yield _problem(host, f"{web} -t", broken, todo)
    if not unit_file:
        todo = f"`fab setup -H {host}` installs it"
        yield _problem(host, web, f"there is no {web}", todo, serving=True)
    elif active not in web_server.RUNS:
        answers = _web_server_answers(status)
        start = f"`fab {web}.reload -H {host}` starts it"
        todo = start if unit_file in web_server.STARTS_AT_BOOT else f"{enable}, then {start}"
        what = "does not run"
        if answers:
            what = "answers, but systemd does not run it"
            todo = f"stop it on {host} (`pkill -x {web}`), then {todo}"
        detail = f"{web} {what}: it is {active}, {unit_file}"
        yield _problem(host, web, detail, todo, serving=not answers)
    elif unit_file not in web_server.STARTS_AT_BOOT:
        yield _problem(host, web, f"{web} is {unit_file}: it does not start at boot", enable)
    else:
        yield Finding(host, web, "ok", "runs, and starts at boot")


def _tls(host: str, status: Status) -> Iterator[Finding]:
    if status.tls is not None and _web_server_answers(status):
        at_balancer = status.tls.end == "balancer"
        brings = "`fab balancer.setup`" if at_balancer else f"`fab deploy -H {host}`"
        yield from _secure(host, status.tls, brings, status.web_server.kind)


def in_front(host: str, state: TlsState | None, server_names: Sequence[str]) -> list[Finding]:
    """HTTPS on a balancer that is to end it for these names."""
    setup = "`fab balancer.setup`"
    if state is None or state.end != "balancer":
        todo = f"{setup} brings the certificate"
        return [_problem(host, "https", "HTTPS is not served", todo, serving=True)]
    found, served = (
        list(_secure(host, state, setup, names.balancer_web_server().name)),
        tls.certificate(state.served),
    )
    missing = [name for name in server_names if served and not covers(served.names, name)]
    if missing:
        detail = f"the certificate is not for {', '.join(missing)}"
        todo = f"{setup} brings one that is"
        found.append(_problem(host, "https", detail, todo, serving=True))
    return found


def _secure(host: str, state: TlsState, brings: str, web: str) -> Iterator[Finding]:
    """HTTPS, by a handshake on the host. `brings`: the command that brings a certificate,
    `web`: the kind of the web server."""
    if state.failed:
        yield Finding(
            host, "certificate", "note", f"the last try failed: {state.failed}", _again(host)
        )
    reloads = f"`fab {web}.reload -H {host}` reads the file again"
    served = tls.certificate(state.served)
    if not state.path:
        yield _problem(host, "https", f"https: {state.problem}", _again(host))
        return
    if served is None:
        yield _problem(host, "https", f"https: {state.problem}", reloads, serving=True)
        return
    renew = f"renew it, then {brings}" if state.is_ours else f"renew {state.path}"
    renew = _again(host) if state.directory else renew
    left = f"ends on {served.day}, in {served.days_left(state.time)} days"
    if served.until <= state.time:
        detail = f"the certificate has expired on {served.day}"
        yield _problem(host, "https", detail, renew, serving=True)
    elif state.problem:
        yield _problem(host, "https", f"https: {state.problem}", renew)
    elif state.certificate != state.served:
        detail = f"another certificate is served than {state.path} holds; it {left}"
        yield _problem(host, "https", detail, reloads)
    elif served.part_left(state.time) < _LEAST_LEFT:
        yield _problem(host, "https", f"the certificate {left}", renew)
    else:
        yield Finding(host, "https", "ok", f"the certificate {left}")


def _again(host: str) -> str:
    return f"`fab tls.renew -H {host}` asks again at once, the host itself once an hour"


def _boot(host: str, status: Status) -> Iterator[Finding]:
    if not status.set_up or status.release is None:
        return
    if status.boot in web_server.STARTS_AT_BOOT:
        yield Finding(host, "boot", "ok", "the app starts at boot")
        return
    detail = f"the app does not start at boot: its unit is {status.boot or 'missing'}"
    todo = f"`fab setup -H {host}` fixes it"
    if status.boot.startswith("masked"):  # somebody masked it on purpose
        todo = f"`systemctl unmask {status.boot_unit}` on {host}, then {todo}"
    yield _problem(host, "boot", detail, todo)


def _disk(host: str, status: Status) -> Iterator[Finding]:
    disk = status.disk
    room = f"{disk.free_bytes >> 20} MB, {disk.free_inodes} inodes free"
    prune = f"`fab prune -H {host}` removes old releases"
    if disk.read_only:
        todo = f"`dmesg` on {host} says why; fix the disk, then mount it writable"
        yield _problem(host, "disk", "the app's disk is read-only", todo)
    elif disk.free_bytes < MIN_FREE_BYTES or disk.free_inodes < MIN_FREE_INODES:
        yield _problem(host, "disk", f"the disk is full: {room}", f"free some space; {prune}")
    else:
        level: Level = "note" if disk.free_bytes < _LOW_BYTES else "ok"
        yield Finding(host, "disk", level, room, prune if level == "note" else "")


def _problem(host: str, what: str, detail: str, todo: str, *, serving: bool = False) -> Finding:
    return Finding(host, what, "PROBLEM", detail, todo, serving)


# --- notes --------------------------------------------------------------------------------


def _notes(host: str, status: Status) -> Iterator[Finding]:
    if status.pending is not None:
        to = status.pending.to or "?"
        todo = "" if status.lock else f"`fab doctor --fix -H {host}` goes back from it"
        yield Finding(host, "switch", "note", f"the switch to {to} is not confirmed", todo)
    if status.lock:
        yield Finding(host, "lock", "note", f"locked by {status.lock.owner}")
    if status.freeze:
        detail, todo = held_refusal(status.freeze).message, f"`fab lock.release -H {host}` lifts it"
        yield Finding(host, "freeze", "note", detail, todo)
    if status.maintenance:
        todo = f"`fab maintenance.off -H {host}` opens it"
        yield Finding(host, "maintenance", "note", closed_text(status.maintenance), todo)
    for text in status.leftovers:
        todo = f"`fab doctor --fix -H {host}` or the next deploy removes it"
        yield Finding(host, "leftover", "note", text, todo)
    if status.release is not None and status.also_running:
        detail = ", ".join(dict.fromkeys(status.also_running))
        yield Finding(host, "also running", "note", detail)
    if status.stopping:
        named = ", ".join(dict.fromkeys(status.stopping))
        detail = f"{named} is still finishing its last requests and jobs"
        yield Finding(host, "stopping", "note", detail, f"`fab ps -H {host}` shows them")
