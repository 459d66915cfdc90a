"""Tasks that only read, except `status --finish` and `doctor --fix`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from cartwheel.terminal.scene import app_task, names, number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cartwheel.commands.scene import Scene
    from cartwheel.errors import CartwheelError
    from cartwheel.fleet.sessions import Result
    from cartwheel.host.wire.history import History, Listed, Releases
    from cartwheel.host.wire.status import Status
    from cartwheel.plan.condition import Finding
    from cartwheel.terminal.show import Output

    Findings = Sequence[Finding]

_MEGABYTE_BITS = 20
_DAY_SECONDS = 86400.0
_COMMIT_DIGITS = 9


@app_task(
    changing=lambda options: bool(options["finish"]),
    quiet=True,
    help={
        "finish": "Deploy to hosts that rolled back while the others confirmed, and start what runs"
        " nowhere and should run on one host."
    },
)
def status(scene: Scene, out: Output, finish: bool = False) -> int:
    """Show each host's live release, its health and memory.

    Exits with 1 if a host is not well or does not answer (docs/output.md).

    Times are in this machine's time zone, with their age; memory is the sum over all processes
    of the release; the commit is that of the source, `-dirty` if it had other changes.
    """
    from cartwheel.commands import ask, fronts
    from cartwheel.commands.holding import places, troubles
    from cartwheel.errors import CartwheelError, Exit
    from cartwheel.fleet.sessions import failures, successes
    from cartwheel.fleet.truth import left_behind
    from cartwheel.plan.condition import conditions
    from cartwheel.terminal.maintenance import closed_lines

    found, code = ask.status(scene), 0
    behind = left_behind(found)
    if finish and (behind or troubles(scene, successes(found))):
        code = _finish(scene, out, found, behind)
        found = found if behind else ask.status(scene)
    silent = failures(found)
    judged = {
        host: conditions(host, one, has_web=scene.assigned(host).has_web)
        for host, one in successes(found).items()
    }
    if finish and behind:
        rest = {host: one for host, one in judged.items() if host not in behind}
        return max(code, _complain(out, silent, rest))
    now = time.time()
    rows = [_status_row(host, one, judged.get(host, []), now) for host, one in found.items()]
    out.table(rows, _STATUS_HEADS)
    where = places(scene, successes(found))
    if where:
        out.say("; ".join(where))
    secure = fronts.judged(scene)
    for line in fronts.lines(secure):
        out.say(line)
    out.put(https={host: [one.fields for one in several] for host, several in secure.items()})
    for line in closed_lines(successes(found)):
        out.say(line)
    served = {one.content for one in successes(found).values()}
    for release in sorted(set(behind.values())):
        out.say(_behind_text([host for host in behind if behind[host] == release], release))
    if len(served) > 1 and not behind:
        out.say("Different releases are live; `fab deploy` brings all hosts to one.")
    out.put_answers(
        {
            host: one if isinstance(one, CartwheelError) else _fields(one, judged[host])
            for host, one in found.items()
        }
    )
    more = [*troubles(scene, successes(found)), *fronts.problems(secure)]
    return max(code, _complain(out, silent, judged, more) and Exit.FAILED)


def _finish(
    scene: Scene, out: Output, found: Mapping[str, Result[Status]], behind: Mapping[str, str]
) -> int:
    """Deploy to the hosts that are behind; then give what runs nowhere, and should run on one host,
    to a host."""
    from cartwheel.commands import ask
    from cartwheel.commands.holding import troubles
    from cartwheel.commands.rollback import finish, give
    from cartwheel.fleet.sessions import successes

    code = out.report(finish(scene, behind)) if behind else 0
    if code == 0 and troubles(scene, successes(ask.status(scene) if behind else found)):
        failed = give(scene)
        code = out.failed(ExceptionGroup("hosts", list(failed.values()))) if failed else 0
    return code


def _fields(status: Status, findings: Findings) -> dict[str, Any]:
    """All fields in one object for programs: also whether the host is well, and its problems."""
    from cartwheel.host.wire.codec import to_json

    known = to_json(status)
    serving = known.pop("serving") or {}
    problems = [finding.fields for finding in findings if not finding.ok]
    return {**known, **serving, "well": not problems, "problems": problems}


def _complain(
    out: Output,
    silent: Mapping[str, CartwheelError],
    judged: Mapping[str, Findings],
    more: Sequence[CartwheelError] = (),
) -> int:
    """Print why hosts do not answer, each problem of those that do, and what else is wrong, with
    what to do next. Returns the exit code."""
    from cartwheel.errors import HostError

    errors = [
        *silent.values(),
        *(
            HostError("not-well", one.detail, host=host, hint=one.todo)
            for host, findings in judged.items()
            for one in findings
            if not one.ok
        ),
        *more,
    ]
    return out.failed(ExceptionGroup("hosts", errors)) if errors else 0


def _behind_text(hosts: list[str], release: str) -> str:
    from cartwheel.telling import hosts_text

    went = "it went back" if len(hosts) == 1 else "they went back"
    return (
        f"{hosts_text(hosts)}: behind, because {went} from {release}, which is live on others;"
        " `fab status --finish` or `fab deploy` finishes it."
    )


_STATUS_HEADS = ("HOST", "LIVE", "SINCE", "HEALTH", "WORKERS", "MEMORY", "COMMIT", "NOTES")


def _status_row(host: str, one: Result[Status], findings: Findings, now: float) -> tuple[str, ...]:
    from cartwheel.errors import CartwheelError
    from cartwheel.plan.condition import health

    if isinstance(one, CartwheelError):
        return (host, "?", "-", "not known", "-", "-", "-", one.message)
    state = health(findings, one)
    notes = [finding.note for finding in findings if finding.level != "ok"]
    serving = one.serving
    if one.release is None:
        return (host, "nothing", "-", state, "-", "-", "-", "; ".join(notes))
    if serving is None:  # no web runs there
        commit = commit_text(one.commit)
        return (host, one.release, "-", state, "-", "-", commit, "; ".join(notes))
    if serving.restarts:
        times = "once" if serving.restarts == 1 else f"{serving.restarts} times"
        notes.append(f"restarted {times}, unplanned")
    memory = f"{serving.memory_bytes >> _MEGABYTE_BITS} MB" if serving.memory_bytes else "-"
    return (
        host,
        one.release,
        since_text(serving.age_seconds, now),
        state,
        str(serving.workers),
        memory,
        commit_text(one.commit),
        "; ".join(notes),
    )


def since_text(age_seconds: float | None, now: float) -> str:
    """A time in the operator's time zone, independent of the host's clock, and its age."""
    from cartwheel.telling import age_text
    from cartwheel.terminal.format import local_time

    if age_seconds is None:
        return "-"
    form = "%H:%M" if age_seconds < _DAY_SECONDS else "%Y-%m-%d"
    return f"{local_time(now - age_seconds, form)} ({age_text(age_seconds)})"


def commit_text(commit: str | None) -> str:
    """`1a2b3c4d5`, or `1a2b3c4d5-dirty`: as git abbreviates it."""
    digest, hyphen, dirty = (commit or "").partition("-")
    return f"{digest[:_COMMIT_DIGITS]}{hyphen}{dirty}" or "-"


@app_task(quiet=True)
def ps(scene: Scene, out: Output) -> int:
    """List every process and timer: state, release, memory.

    A process that is draining was asked to stop, and finishes its requests or its job. A timer is
    shown with its next and its last run; `fab timer.list` shows more of them.
    """
    from cartwheel.commands import processes
    from cartwheel.fleet.sessions import successes
    from cartwheel.terminal import timers
    from cartwheel.terminal.processes import HEADS, rows

    found = processes.list_all(scene)
    code = out.answer_table(found, HEADS, rows)
    every = {host: one.timers for host, one in successes(found).items()}
    listed = timers.names(every.values())
    of_timers = [
        (host, *row) for host, one in every.items() for row in timers.rows(one, listed, most=1)
    ]
    if of_timers:
        out.table(of_timers, ("HOST", *timers.HEADS))
    return code


@app_task(quiet=True)
def releases(scene: Scene, out: Output) -> int:
    """List the releases on each host, oldest first."""
    from cartwheel.commands import ask
    from cartwheel.terminal.format import utc_to_local

    def rows(one: Releases) -> list[tuple[str, ...]]:
        return [
            (
                listed.release,
                utc_to_local(listed.created or ""),
                listed.who or "",
                commit_text(listed.commit),
                _place(listed, one),
            )
            for listed in one.releases
        ]

    heads = ("RELEASE", "CREATED", "BY", "COMMIT", "STATE")
    return out.answer_table(ask.releases(scene), heads, rows)


def _place(listed: Listed, one: Releases) -> str:
    release, setback = listed.release, listed.setback
    if release == one.current:
        return f"live, damaged: {one.not_whole[release]}" if release in one.not_whole else "live"
    if release in one.not_whole:
        return f"damaged: {one.not_whole[release]}"
    if release == one.rollback:
        return "previous"
    if setback is None:
        return ""
    return "failed" if setback.how == "failed" else "rolled back"


@app_task(quiet=True, help={"lines": "Number of entries (default 20)."})
def history(scene: Scene, out: Output, lines: str = "20") -> int:
    """Show what was done on each host: when, by whom, result."""
    from cartwheel.commands import ask
    from cartwheel.terminal.format import minute

    def rows(one: History) -> list[tuple[str, ...]]:
        return [
            (
                minute(entry.at),
                " ".join(
                    filter(None, (_TASKS.get(entry.kind or "?", entry.kind or "?"), entry.process))
                ),
                entry.release or "",
                _RESULTS.get(entry.result or "?", entry.result or "?"),
                entry.who or "",
                commit_text(entry.commit),
                entry.reason or entry.message or "",
            )
            for entry in one.entries
        ]

    heads = ("WHEN", "TASK", "RELEASE", "RESULT", "BY", "COMMIT", "WHY")
    return out.answer_table(ask.history(scene, number("lines", lines, least=1)), heads, rows)


# Their names in the journal.
_TASKS = {"hold": "lock.hold", "release": "lock.release"}
_RESULTS = {"confirmed": "done", "reverted": "rolled back"}


@app_task(
    quiet=True,
    help={
        "lines": "Number of lines of each log (default: 50, with --since all).",
        "follow": "Keep following.",
        "since": "Only lines from this time on: 15m, 2h, 1d, 14:30, yesterday, '2026-11-29 14:30'.",
        "grep": "Only lines in which this regular expression is found; capitals count if it has"
        " any.",
        "errors": "Only errors: tracebacks, logged errors, 5xx answers, failed deploys.",
        "source": "Only these, comma-separated: app, gunicorn, systemd, access and error (the web"
        " server's), cartwheel, hooks.",
        "release": "Only lines of this release or version; the web server does not log it.",
        "process": "Only what these processes print, comma-separated: worker, or web.",
        "timer": "Only what the last run of this timer printed.",
        "run": "With --timer: the run with this number in timer.list (default: the last).",
    },
)
def logs(
    scene: Scene,
    out: Output,
    lines: str = "",
    follow: bool = False,
    since: str = "",
    grep: str = "",
    errors: bool = False,
    source: str = "",
    release: str = "",
    process: str = "",
    timer: str = "",
    run: str = "last",
) -> int:
    """Show the logs of app, web server and deploys, by time.

    Times are by each host's clock, in this machine's time zone. --json has them as `time`.
    """
    from cartwheel.commands import logs as of
    from cartwheel.host.wire.output import ReadLogs
    from cartwheel.terminal.format import local_time

    if timer:
        return _run_output(scene, out, timer, run, follow=follow)
    most = "" if since else "50"
    asked = ReadLogs(
        lines=number("lines", lines or most, least=1) if lines or most else None,
        follow=follow,
        sources=of.checked_sources(scene.settings, names("source", source)),
        ago_seconds=of.ago(since) if since else None,
        pattern=of.checked_pattern(grep),
        errors=errors,
        release=release,
        processes=names("process", process),
    )

    def show(line: of.Line) -> None:
        prefix = f"[{line.host}] {local_time(line.at)} {line.origin}: "
        told = {"source": line.source, "process": line.process}
        out.data(line.host, line.text, prefix=prefix, at=line.at, **told)

    for host, note in of.logs(scene, asked, show).items():
        out.complain(f"[{host}] {note}")
    return 0


def _run_output(scene: Scene, out: Output, timer: str, run: str, *, follow: bool) -> int:
    from cartwheel.commands import timers

    which = None if run.lower() == "last" else number("run", run, least=1)
    checked = timers.checked_name(scene, timer, "--timer")
    prefix = "[{}] " if len(scene.hosts) > 1 else ""

    def show(host: str, text: str) -> None:
        out.data(host, text, prefix=prefix.format(host), source=f"timer {timer}")

    for host, one in timers.output(scene, checked, which, show, follow=follow).items():
        out.complain(f"[{host}] run {one.number}: {one.detail or one.result}")
    return 0


@app_task(
    changing=lambda options: bool(options["fix"]),
    quiet=True,
    help={"fix": "Remove leftovers of interrupted runs, and list them."},
)
def doctor(scene: Scene, out: Output, fix: bool = False) -> int:
    """Check the live release, and all that a deploy needs.

    Exits with 1 if a host is not well or does not answer; notes do not count.
    """
    from cartwheel.commands.doctor import doctor as run

    findings = run(scene, fix=fix)
    out.table(
        [(f.host, f.level, f.what, f.detail, f.todo) for f in findings],
        ("HOST", "", "WHAT", "DETAIL", "NEXT"),
    )
    out.put(findings=[{"host": f.host, **f.fields} for f in findings])
    return 0 if all(finding.ok for finding in findings) else 1
