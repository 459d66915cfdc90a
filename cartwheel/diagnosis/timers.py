"""Jobs of timers that failed, by their last run and by what systemd says of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cartwheel.diagnosis import telling
from cartwheel.diagnosis.cause import GUESSED, SOON, Case, Cause

if TYPE_CHECKING:
    from cartwheel.host.wire.diagnosis import Sign
    from cartwheel.host.wire.timer import Run

SLUG = "timer"
PREFIX = "timer "
_UNIT_SIGNS = ("unit-died", "unit-failed", "unit-timeout")
_FAILED = ("failed", "timeout")
# A job that fails this often is ill, though its last run was good.
_SEVERAL = 3


def causes(case: Case) -> Iterator[Cause]:
    """Each timer whose last run failed, or several before it."""
    signs = case.signs(*_UNIT_SIGNS)
    names = {one.name: one.runs[0] for one in case.found.status.timers if one.runs}
    mentioned = [one.about.split()[1] for one in signs if one.about.startswith(PREFIX)]
    for name in dict.fromkeys([*names, *mentioned]):
        own = [one for one in signs if one.about.split()[:2] == ["timer", name]]
        cause = _of(case, name, names.get(name), own)
        if cause:
            yield cause


def _of(case: Case, name: str, run: Run | None, signs: list[Sign]) -> Cause | None:
    is_failing = run is not None and run.result in _FAILED
    last = telling.last(signs) if signs else run.ended if run else None
    if run and run.result == "done" and (run.ended or 0.0) >= (last or 0.0):
        if telling.count(signs) < _SEVERAL:
            return None
    elif not is_failing and not signs:
        return None
    how = run.detail if run and is_failing else _how(signs[0].about.split(" ", 2)[-1])
    how = how.replace("exit status", "exit code")
    often = f" {telling.times(telling.count(signs))}" if telling.count(signs) > 1 else ""
    is_recent = last is None or last >= case.found.since
    first = telling.first(signs) if signs else last
    return Cause(
        SLUG,
        f"timer {name}: its job failed{often} ({how})",
        f"`fab logs -H {case.host} --timer {name}` shows what it printed",
        GUESSED if is_recent else SOON,
        telling.lines(signs),
        first,
        None if is_failing else last,
    )


def _how(status: str) -> str:
    """systemd's `1/FAILURE`, as `fab` says it."""
    code, _, name = status.partition("/")
    if not code.isdigit():
        return status
    return f"killed by SIG{name}" if name in telling.SIGNALS else f"exit code {code}"


def is_failing(case: Case, sign: Sign) -> bool:
    """Whether the job of a timer said it whose last run failed."""
    return any(
        f"{PREFIX}{one.name}" in sign.processes
        and bool(one.runs)
        and one.runs[0].result in _FAILED
        and one.runs[0].started <= sign.last
        for one in case.found.status.timers
    )


def is_well_again(case: Case, sign: Sign) -> bool:
    """Whether only jobs of timers said it, and all of these had a good run since."""
    good = {
        f"{PREFIX}{one.name}"
        for one in case.found.status.timers
        if one.runs and one.runs[0].result == "done" and one.runs[0].started >= sign.last
    }
    return bool(sign.processes) and set(sign.processes) <= good
