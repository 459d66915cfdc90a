"""Jobs of timers that fail: until their next good run."""

from __future__ import annotations

from typing import Any

import pytest

from cartwheel.diagnosis.cause import Cause
from cartwheel.diagnosis.ranking import Ranked, ranked
from cartwheel.host.wire.diagnosis import Sign
from tests.unit.answers import status
from tests.unit.diagnosis.cases import NOW, case

LINE = "cartwheel-shop_job.tidy.1.0.aa.service: Main process exited, code=exited, status=1/FAILURE"


def _timer(result: str, ago: float, detail: str = "") -> dict[str, Any]:
    run = {"number": 3, "started": NOW - ago, "ended": NOW - ago + 2, "result": result}
    return {
        **{"name": "tidy", "timer": {"schedule": "0 3 * * *"}, "active": True, "following": None},
        **{"paused": None, "runs": [{**run, "detail": detail}]},
    }


def _sign(kind: str, about: str, ago: float, count: int = 1, line: str = LINE) -> Sign:
    processes = ("timer tidy",) if kind == "exception" else ()
    return Sign(kind, about, count, NOW - ago, NOW - ago, (line,), processes)


DIED = _sign("unit-died", "timer tidy 1/FAILURE", 59)
RAISED = _sign("exception", "KeyError at job.py:10 in count", 59, line="KeyError: 'customer'")


def found(*signs: Sign, timer: dict[str, Any] | None = None) -> list[Ranked]:
    state = status(timers=[timer] if timer else [])
    return ranked(case(signs=signs, status=state))


def causes(*signs: Sign, timer: dict[str, Any] | None = None) -> list[Cause]:
    return [one.cause for one in found(*signs, timer=timer)]


def test_a_job_that_fails_and_why() -> None:
    exception, timer = found(DIED, RAISED, timer=_timer("failed", 60, "exit status 1"))
    assert exception.cause.slug == "exceptions"
    assert timer.cause.title == "timer tidy: its job failed (exit code 1)"
    assert timer.cause.evidence == (LINE,)
    assert timer.follows == ("exceptions",)
    assert "fab logs -H web1 --timer tidy" in timer.cause.todo


@pytest.mark.parametrize(
    ("signs", "timer", "title"),
    [
        # Nothing else has it: the timer has gone, or the journal.
        ((DIED,), None, "timer tidy: its job failed (exit code 1)"),
        ((), _timer("failed", 60, "exit status 1"), "timer tidy: its job failed (exit code 1)"),
        (
            (),
            _timer("timeout", 60, "it took longer than timeout_seconds"),
            "timer tidy: its job failed (it took longer than timeout_seconds)",
        ),
        (
            (_sign("unit-died", "timer tidy 1/FAILURE", 59, 4),),
            _timer("done", 20),
            "timer tidy: its job failed 4 times (exit code 1)",
        ),
        (
            (_sign("unit-failed", "timer tidy EXEC spawning /srv/a: No such file", 59),),
            None,
            "timer tidy: its job failed (EXEC spawning /srv/a: No such file)",
        ),
        (
            (_sign("unit-died", "timer tidy 9/KILL", 59),),
            _timer("cut", 60),
            "timer tidy: its job failed (killed by SIGKILL)",
        ),
    ],
)
def test_a_job(signs: tuple[Sign, ...], timer: dict[str, Any] | None, title: str) -> None:
    (cause,) = causes(*signs, timer=timer)
    assert (cause.slug, cause.title) == ("timer", title)


def test_it_is_over_after_the_next_good_run() -> None:
    assert causes(DIED, RAISED, timer=_timer("done", 30)) == []
    assert causes(DIED, timer=_timer("cut", 30)) != []
    assert causes(timer=_timer("cut", 30)) == []


def test_until_then_it_is_not_over() -> None:
    raised = _sign("exception", "KeyError at job.py:10 in count", 5000, line="KeyError: 'a'")
    timer = _timer("failed", 5001, "exit status 1")
    assert [one.slug for one in causes(raised, timer=timer)] == ["exceptions", "timer"]
