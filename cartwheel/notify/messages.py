"""What is told of a run: pure text, without secrets and addresses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cartwheel.errors import CartwheelError, Exit
from cartwheel.telling import hosts_text

if TYPE_CHECKING:
    from cartwheel.fleet.report import HostReport, Report

Mood = Literal["info", "success", "warning", "failure"]
Moment = Literal["begun", "done", "failed"]

_MOST_FAILURES = 5
_DONE = {"deploy": "is live", "rollback": "is live again", "restart": "was restarted"}


@dataclass(frozen=True)
class Message:
    """`title` is one line; `body` has one fact a line. `mood` colours it, where a messenger can."""

    moment: Moment
    title: str
    body: str
    mood: Mood


@dataclass(frozen=True)
class Run:
    """What a message is about: the application (with its environment), the task, its hosts, who
    began it, and why."""

    app: str
    kind: str
    hosts: tuple[str, ...]
    who: str
    why: str

    @property
    def line(self) -> str:
        """`deploy on web1, web2 by ann@desk: fix the cart`"""
        why = f": {self.why}" if self.why else ""
        return f"{self.kind} on {hosts_text(self.hosts)} by {self.who}{why}"


def begun(run: Run) -> Message:
    return Message("begun", f"{run.app}: {run.kind} has begun", run.line, "info")


def test(run: Run) -> Message:
    title = f"{run.app}: a test"
    return Message("done", title, f"a test of [notify] by {run.who}", "info")


def ended(run: Run, report: Report) -> Message | None:
    """The result of a run; None where it changed nothing."""
    code = Exit(report.exit_code)
    if code == Exit.OK:
        if all(one.outcome == "unchanged" for one in report.hosts):
            return None
        title = f"{run.app}: {report.version or report.release} {_DONE.get(run.kind, 'is done')}"
        return Message("done", title, "\n".join(_of_success(run, report)), "success")
    title = f"{run.app}: {run.kind} {_HOW.get(code, 'failed')}"
    mood: Mood = "warning" if code == Exit.REVERTED else "failure"
    return Message("failed", title, "\n".join(_of_failure(run, report)), mood)


_HOW = {Exit.REVERTED: "went back", Exit.ATTENTION: "needs attention"}


def stopped(run: Run, error: BaseException) -> Message:
    """A run that ended before it had a result: by a refusal, or by its operator."""
    if isinstance(error, KeyboardInterrupt):
        return Message("failed", f"{run.app}: {run.kind} was interrupted", run.line, "warning")
    lines = [run.line, *(f"{one}" for one in _errors(error))]
    return Message("failed", f"{run.app}: {run.kind} failed", "\n".join(lines), "failure")


def _errors(error: BaseException) -> Iterator[str]:
    from cartwheel.telling import leaves

    for one in list(leaves(error))[:_MOST_FAILURES]:
        if isinstance(one, CartwheelError):
            host = getattr(one, "host", "")
            yield f"{f'[{host}] ' if host else ''}{one.message}"
        else:
            yield f"unexpected {type(one).__name__}"


def _of_success(run: Run, report: Report) -> Iterator[str]:
    yield run.line
    yield f"{report.release}, in {report.seconds:.0f} s"
    before = dict.fromkeys(host.before for host in report.hosts if host.before)
    before.pop(report.release, None)
    if before:
        yield f"before: {', '.join(before)}"


def _of_failure(run: Run, report: Report) -> Iterator[str]:
    yield run.line
    failed = [one for one in report.hosts if one.error is not None]
    for one in failed[:_MOST_FAILURES]:
        yield f"[{one.host}] {one.error.message if one.error else ''}"
    if len(failed) > _MOST_FAILURES:
        yield f"and {len(failed) - _MOST_FAILURES} more hosts"
    yield f"live: {_live(report.hosts)}"


def _live(hosts: tuple[HostReport, ...]) -> str:
    by_release: dict[str, list[str]] = {}
    for one in hosts:
        by_release.setdefault(one.serves or "nothing", []).append(one.host)
    if len(by_release) == 1:
        return next(iter(by_release))
    return ", ".join(f"{release} on {hosts_text(on)}" for release, on in by_release.items())
