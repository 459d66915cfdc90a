"""The app cannot start, or systemd cannot start it."""

from __future__ import annotations

from collections.abc import Iterator

from cartwheel.diagnosis import telling
from cartwheel.diagnosis.cause import GUESSED, NAMED, STOPS, Case, Cause

BOOT_FAILED = "boot-failed"
_ILL = frozenset(
    {"app-ill", "front-door-ill", "process-ill", "answers-5xx", "restarts", "web-errors-upstream"}
)


def causes(case: Case) -> Iterator[Cause]:
    """By gunicorn's word, then by systemd's."""
    yield from _boots(case)
    yield from _units(case)
    yield from _deaths(case)


def _boots(case: Case) -> Iterator[Cause]:
    for sign in case.signs("worker-boot"):
        why = telling.short(sign.lines[0]) if sign.lines else ""
        yield Cause(
            BOOT_FAILED,
            f"{sign.about} cannot start: {why}" if why else f"{sign.about} cannot start",
            f"fix that and deploy, or `fab rollback -H {case.host}`",
            STOPS,
            telling.lines([sign]),
            sign.first,
            sign.last,
            _ILL | {"exceptions", "errors-logged"},
        )


def _units(case: Case) -> Iterator[Cause]:
    for sign in case.signs("unit-failed"):
        process, _, how = sign.about.partition(" ")
        yield Cause(
            BOOT_FAILED,
            f"systemd cannot start {process}: {how or 'see the line'}",
            f"`fab doctor -H {case.host}`; a deploy writes the unit and its files again",
            STOPS,
            telling.lines([sign]),
            sign.first,
            sign.last,
            _ILL,
        )
    for sign in case.signs("unit-timeout"):
        process, _, how = sign.about.partition(" ")
        is_start = how.lower() in ("start", "watchdog")
        yield Cause(
            BOOT_FAILED if is_start else "stop-timeout",
            f"{process} did not {how.lower()} in time {telling.times(sign.count)}"
            if how.lower() in ("start", "stop", "reload")
            else f"{process}: {how} {telling.times(sign.count)}",
            "raise its time limit, or find out what it waits for"
            if is_start
            else "its requests took longer than deploy.drain_seconds: they were cut off",
            NAMED if is_start else GUESSED - 10,
            telling.lines([sign]),
            sign.first,
            sign.last,
            _ILL if is_start else frozenset[str](),
        )


def _deaths(case: Case) -> Iterator[Cause]:
    """A main process that ended by itself; why is often in the app's messages."""
    signs = case.signs("unit-died")
    if not signs:
        return
    restarts = case.signs("unit-restart")
    for sign in signs[:2]:
        process, _, how = sign.about.partition(" ")
        killed = "/KILL" in how
        yield Cause(
            "restarts",
            f"{process} ended by itself {telling.times(sign.count)}"
            f" ({'killed' if killed else 'status'} {how})",
            f"`fab logs -H {case.host} --errors`: what it said before",
            GUESSED,
            telling.lines([sign, *restarts]),
            sign.first,
            sign.last,
            _ILL - {"restarts"},
        )
