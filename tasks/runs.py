"""Tasks for the records of runs that this machine has started."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cartwheel.errors import Exit
from cartwheel.fab import FabContext
from cartwheel.terminal.scene import number, plain_task

if TYPE_CHECKING:
    from cartwheel.runs.read import Run
    from cartwheel.terminal.progress import Progress
    from cartwheel.terminal.show import Output

_ENDS = {
    Exit.OK: "done",
    Exit.FAILED: "failed",
    Exit.USAGE: "refused",
    Exit.REVERTED: "failed, rolled back",
    Exit.ATTENTION: "needs attention",
    Exit.LOCKED: "locked",
    Exit.INTERRUPTED: "interrupted",
}
_STATES = {"alive": "running", "killed": "was killed"}
_MOST_NAMED = 2


@plain_task(hosts="none", name="list", help={"lines": "Number of runs (default 20)."})
def list_runs(c: FabContext, out: Output, lines: str = "20") -> int:
    """List the runs that changed hosts, newest first."""
    from cartwheel.places import runs_dir
    from cartwheel.runs.read import newest

    found = newest(runs_dir(), number("lines", lines, least=1))
    if found:
        heads = ("RUN", "WHEN", "TASK", "APP", "HOSTS", "OUTCOME", "TOOK", "WHY")
        out.table([_row(run) for run in found], heads)
    else:
        out.say("There are no records of runs on this machine.")
    out.put(runs=[_fields(run) for run in found])
    return 0


@plain_task(
    hosts="none",
    positional=("run",),
    help={
        "run": "Name of the run in runs.list, or its beginning, or `last`.",
        "all": "One row for each host, even if many have the same outcome.",
    },
)
def show(c: FabContext, out: Output, run: str, all: bool = False) -> int:
    """Show what a run did: its failures, its final table.

    --json adds every event, as the run would have printed it.
    """
    from cartwheel.places import runs_dir
    from cartwheel.runs.read import find

    found = find(runs_dir(), run)
    for line in told(found, apart=all, width=out.width):
        out.say(line)
    out.put(run=_fields(found), events=list(found.events), result=found.result)
    return 0


def _row(run: Run) -> tuple[str, ...]:
    from cartwheel.telling import hosts_text
    from cartwheel.terminal.format import minute, seconds_text

    return (
        run.name,
        minute(run.about["began"]),
        run.about["word"],
        _app(run.about) or "-",
        hosts_text(run.about["hosts"], _MOST_NAMED) or "-",
        outcome_of(run),
        seconds_text(_seconds(run)) or "-",
        _reason(run) or run.about["message"],
    )


def _fields(run: Run) -> dict[str, Any]:
    known = ("word", "app", "environment", "project", "hosts", "who", "message", "began")
    return {
        "run": run.name,
        "state": run.state,
        **{name: run.about.get(name) for name in known},
        "exit": run.result["exit"] if run.result else None,
        "seconds": _seconds(run),
        "reason": _reason(run),
    }


def outcome_of(run: Run) -> str:
    """How a run ended, as text."""
    from cartwheel.terminal.report import outcome_text

    if run.result is None:
        return _STATES[run.state]
    outcomes = {one["outcome"] for one in run.result["hosts"] if "outcome" in one}
    if run.result["exit"] == Exit.OK and len(outcomes) == 1:
        return outcome_text(outcomes.pop(), run.about["word"])
    return _ENDS.get(run.result["exit"], "failed")


def _app(about: Mapping[str, Any]) -> str:
    return ".".join(part for part in (about.get("app"), about.get("environment")) if part)


def _seconds(run: Run) -> float | None:
    """How long it took, or has taken so far; None if it was killed."""
    if run.result is not None:
        return float(run.result["seconds"])
    return time.time() - run.about["began"] if run.state == "alive" else None


def _reason(run: Run) -> str:
    errors = run.result["errors"] if run.result else []
    return str(errors[0]["message"]) if errors else ""


def told(run: Run, *, apart: bool, width: int | None = None) -> Iterator[str]:
    """A run as lines, tables in this `width`; with `apart` one row for each host."""
    yield from _head(run)
    progress = _replayed(run)
    if run.result is None:
        yield from _where_it_was(run, progress, width)
    else:
        yield from _end(run.result, progress, apart=apart, width=width)


def _head(run: Run) -> Iterator[str]:
    from cartwheel.telling import hosts_text
    from cartwheel.terminal.format import local_time, seconds_text

    about = run.about
    took = seconds_text(_seconds(run))
    yield f"{run.name}  {about['word']} {_app(about)}".rstrip() + f": {outcome_of(run)}"
    for name, text in {
        "began": local_time(about["began"]) + (f", {took}" if took else ""),
        "by": about.get("who", ""),
        "why": about["message"],
        "hosts": hosts_text(about["hosts"]),
        "project": about["project"],
    }.items():
        if text:
            yield f"  {name + ':':<8} {text}"


def _replayed(run: Run) -> Progress:
    from cartwheel.events import Event
    from cartwheel.terminal.progress import Progress

    progress = Progress()
    for one in run.events:
        event = Event(one["step"], one["state"], one["detail"], one["host"], one["seconds"])
        progress.take(event, one["at"])
    return progress


def _where_it_was(run: Run, progress: Progress, width: int | None) -> Iterator[str]:
    from cartwheel.terminal.format import table_lines

    at = {one.host: one for one in progress.innermost()}
    hosts = run.about["hosts"]
    rows = [
        (host, at[host].step if host in at else "-", at[host].detail if host in at else "")
        for host in hosts
    ]
    yield from table_lines(rows, ("HOST", "STEP", ""), width)
    if hosts and run.state == "killed":
        yield f"`fab status -H {','.join(hosts)}` shows which release is live"


def _end(
    result: Mapping[str, Any], progress: Progress, *, apart: bool, width: int | None
) -> Iterator[str]:
    """The end of a run, as it printed it."""
    from cartwheel.telling import Place, failure_of, text_of
    from cartwheel.terminal import report as form
    from cartwheel.terminal.format import clean, table_lines

    report = form.report_of(result)
    places = form.places_of(report, progress) if report else {}
    failures = [
        failure_of(one, places.get(one["host"], Place(progress.step_of(one["host"]))))
        for one in result["errors"]
    ]
    if report:
        yield from form.notes_of(report)
    if failures:
        yield from clean(text_of(failures)).splitlines()
    if report:
        yield from table_lines(form.rows_of(report, progress, apart=apart), form.HEADS, width)
        yield from form.closing_of(report, progress, result["exit"])
    elif result["hosts"]:
        answers = [_answer_row(one) for one in result["hosts"]]
        yield from table_lines(answers, ("HOST", "RESULT"), width)


def _answer_row(one: Mapping[str, Any]) -> tuple[str, str]:
    answer = one.get("answer") or {}
    if one.get("error"):
        return one["host"], "failed"
    if "current" in answer:  # after Ctrl-C every host is asked for it
        return one["host"], f"{answer['current'] or 'nothing'} is live"
    return one["host"], "done"
