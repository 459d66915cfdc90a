"""The app cannot start, or systemd cannot start it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cartwheel.diagnosis import followed, telling, timers
from cartwheel.diagnosis.cause import GUESSED, NAMED, SOON, STOPS, Case, Cause
from cartwheel.host.wire.instance import WEB

if TYPE_CHECKING:
    from cartwheel.host.wire.diagnosis import Sign

BOOT_FAILED = "boot-failed"
# Exit codes from this one on are systemd's own (systemd.exec(5)): what it could not do before the
# program began. 255 is that of a program that ends with -1, as gunicorn does.
_FIRST_STEP, _LAST_STEP = 200, 254
_STEPS = {
    "CHDIR": "the folder in which it runs is missing",
    "EXEC": "its program is missing, or may not be run",
    "NAMESPACE": "its sandbox cannot be set up: a folder that it needs is missing",
    "USER": "its user does not exist",
    "GROUP": "its group does not exist",
    "RUNTIME_DIRECTORY": "its folder in /run cannot be made",
    "STDOUT": "its output cannot be opened",
}
_ILL = frozenset({"process-ill", "restarts"})
_WEB_ILL = _ILL | followed.UPSTREAM | {"app-ill", "front-door-ill", "answers-5xx"}


def causes(case: Case) -> Iterator[Cause]:
    """By gunicorn's word, then by systemd's."""
    yield from _boots(case)
    yield from _units(case)
    yield from _deaths(case)


def _boots(case: Case) -> Iterator[Cause]:
    # What has a reason follows from the cause that is made of that.
    for sign in case.signs("worker-boot"):
        place = next((f" {one}" for one in sign.lines[1:] if one.startswith("at ")), "")
        why = f": {telling.short(sign.lines[0])}{place}" if sign.lines else ""
        yield Cause(
            BOOT_FAILED,
            f"{_named(sign.about)} cannot start{why}",
            f"fix that and deploy, or `fab rollback -H {case.host}`",
            _weight(case, sign.about, NAMED if sign.reason else STOPS),
            telling.lines([sign]),
            sign.first,
            sign.last,
            _follows(sign.about) | {"exceptions", "errors-logged"},
        )


def _units(case: Case) -> Iterator[Cause]:
    failed = _of_processes(case, "unit-failed")
    for process in dict.fromkeys(one.about.partition(" ")[0] for one in failed):
        own = sorted((one for one in failed if one.about.split()[0] == process), key=_vague)
        how = own[0].about.partition(" ")[2]
        yield Cause(
            BOOT_FAILED,
            f"systemd cannot start {_named(process)}: {how or 'see the line'}",
            f"`fab doctor -H {case.host}`; a deploy writes the unit and its files again",
            _weight(case, process, STOPS),
            telling.lines(own),
            telling.first(own),
            telling.last(own),
            _follows(process),
        )
    for sign in _of_processes(case, "unit-timeout"):
        process, _, how = sign.about.partition(" ")
        is_start = how.lower() in ("start", "watchdog")
        yield Cause(
            BOOT_FAILED if is_start else "stop-timeout",
            f"{_named(process)} did not {how.lower()} in time {telling.times(sign.count)}"
            if how.lower() in ("start", "stop", "reload")
            else f"{_named(process)}: {how} {telling.times(sign.count)}",
            "raise its time limit, or find out what it waits for"
            if is_start
            else "its requests took longer than deploy.drain_seconds: they were cut off",
            _weight(case, process, NAMED if is_start else SOON),
            telling.lines([sign]),
            sign.first,
            sign.last,
            _follows(process) if is_start else frozenset[str](),
        )


def _deaths(case: Case) -> Iterator[Cause]:
    """A main process that ended by itself; why is often in the app's messages."""
    signs = _of_processes(case, "unit-died")
    if not signs:
        return
    known = {one.about.partition(" ")[0] for one in case.signs("unit-failed")}
    for sign in signs[:2]:
        process, _, how = sign.about.partition(" ")
        restarts = [one for one in case.signs("unit-restart") if one.about == process]
        code, _, name = how.partition("/")
        step = name if code.isdigit() and _FIRST_STEP <= int(code) <= _LAST_STEP else ""
        if step and process in known:
            continue
        ended = (
            f"killed, SIG{name}" if name in telling.SIGNALS else f"status {how if step else code}"
        )
        yield Cause(
            BOOT_FAILED if step else "restarts",
            f"systemd cannot start {_named(process)}: {_STEPS.get(step, step)} ({how})"
            if step
            else f"{_named(process)} ended by itself {telling.times(sign.count)} ({ended})",
            f"`fab doctor -H {case.host}`; a deploy writes the unit and its files again"
            if step
            else f"`fab logs -H {case.host} --errors`: what it said before",
            _weight(case, process, STOPS if step else GUESSED),
            telling.lines([sign, *restarts]),
            sign.first,
            sign.last,
            _follows(process) - (set() if step else {"restarts"}),
        )


def _follows(label: str) -> frozenset[str]:
    """What others see of it: visitors only see web."""
    return _WEB_ILL if label.partition("@")[0] == WEB else _ILL


def _of_processes(case: Case, kind: str) -> list[Sign]:
    """Those that are not about the job of a timer: `timers` judges these."""
    return [one for one in case.signs(kind) if not one.about.startswith(timers.PREFIX)]


def _vague(sign: Sign) -> int:
    """Which of systemd's messages about one failure say less."""
    how = sign.about.partition(" ")[2]
    return 2 if how.isalpha() or not how else 1 if how.startswith("run '") else 0


def _named(label: str) -> str:
    """`web of release 1.0.bb13a6fd`, if that is not the live one."""
    process, _, release = label.partition("@")
    return f"{process} of release {release}" if release else process


def _weight(case: Case, label: str, weight: int) -> int:
    """A release that is not live makes nobody ill, if the live one is well."""
    serving = case.found.status.serving
    return SOON if "@" in label and serving is not None and serving.healthy else weight
