"""Exceptions by the place that they come from, and errors that the app logged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cartwheel.diagnosis import requests, telling, timers
from cartwheel.diagnosis.cause import GUESSED, NAMED, STOPS, SYMPTOM, Case, Cause
from cartwheel.diagnosis.chance import chance
from cartwheel.host.wire.instance import WEB

if TYPE_CHECKING:
    from cartwheel.host.wire.diagnosis import Sign, Url, Visits

_ANSWERS = frozenset({"answers-5xx", "app-ill", "front-door-ill"})
# A single exception that is over says little about a host; three of one place are a fault, unless
# there are so many requests that these are rare.
_LATELY_SECONDS = 900.0
_SEVERAL = 3
# Of a few requests a single one counts: somebody tries a host that has no visitors yet.
_FEW_REQUESTS = 10
_MOST = 4
# Apps log errors of single requests: less than this in the time is everyday.
_ERRORS = 10
# Scanners send requests for invented hosts all day.
_REFUSED = 10


def causes(case: Case) -> Iterator[Cause]:
    """What the app itself logged that is about its own code, files and settings."""
    shown = 0
    for sign in case.signs("exception"):
        if shown < _MOST and _matters(case, sign):
            shown += 1
            yield _exception(case, sign)
    yield from _errors(case)
    yield from _settings(case)
    yield from _files(case)
    yield from _hosts(case)


def _matters(case: Case, sign: Sign) -> bool:
    """Whether it is more than the odd request that fails on every busy host: a job fails of it, or
    visitors notice it."""
    visits, serving = case.found.visits, case.found.status.serving
    is_ill = serving is not None and not serving.healthy
    only_web = bool(sign.processes) and all(one == WEB for one in sign.processes)
    if sign.count < _SEVERAL and timers.is_well_again(case, sign):
        return False
    if timers.is_failing(case, sign):
        return True
    if visits is None or is_ill or not only_web:
        return sign.count >= _SEVERAL or _is_lately(case, sign)
    if sign.count < _SEVERAL:
        return _is_lately(case, sign) and visits.count <= _FEW_REQUESTS * sign.count
    return _is_frequent(visits, sign) or _fails_visitors(visits, sign)


def _is_frequent(visits: Visits, sign: Sign) -> bool:
    """Whether it is improbable that this many of the requests fail by what is usual."""
    during = sum(
        one.count
        for one in visits.minutes
        if one.at + visits.step > sign.first and one.at <= sign.last
    )
    count = max(during, sign.count)
    return chance(sign.count, count, requests.USUAL_SHARE) < requests.CHANCE


def _fails_visitors(visits: Visits, sign: Sign) -> bool:
    """Whether the site or a page fails at the same time."""
    run = requests.failing_run(visits)
    if run is not None and sign.last >= run.begin - visits.step and sign.first <= run.end:
        return True
    return any(_fails_page(url, sign) for url in visits.failing)


def _fails_page(url: Url, sign: Sign) -> bool:
    within = requests.within(url, sign.first, sign.last)
    mostly = within.failed >= requests.PATH_SHARE * within.count
    return mostly and within.failed >= requests.PATH_FAILED


def _is_lately(case: Case, sign: Sign) -> bool:
    return case.found.time - sign.last < _LATELY_SECONDS


def _exception(case: Case, sign: Sign) -> Cause:
    kind, _, place = sign.about.partition(" at ")
    where = f" at {place}" if place else ""
    return Cause(
        "exceptions",
        f"the app raised {kind}{where} {telling.times(sign.count)}",
        f"`fab logs -H {case.host} --errors` shows the whole traceback"
        if not place
        else f"look at {place.partition(' in ')[0]}; `fab rollback -H {case.host}` if a deploy"
        " brought it",
        NAMED if sign.count >= _SEVERAL else GUESSED,
        telling.lines([sign]),
        sign.first,
        sign.last,
        _ANSWERS | ({timers.SLUG} if any(map(_is_job, sign.processes)) else set()),
    )


def _is_job(process: str) -> bool:
    return process.startswith(timers.PREFIX)


def _errors(case: Case) -> Iterator[Cause]:
    for sign in case.signs("error")[:2]:
        if sign.count >= _ERRORS and _is_lately(case, sign):
            yield Cause(
                "errors-logged",
                f"the app logged the same error {telling.times(sign.count)}:"
                f" {telling.short(sign.about)}",
                f"`fab logs -H {case.host} --errors`",
                SYMPTOM + 5,
                telling.lines([sign]),
                sign.first,
                sign.last,
                _ANSWERS,
            )


def _settings(case: Case) -> Iterator[Cause]:
    for sign in case.signs("setting"):
        named = sign.about if sign.about.isupper() else ""
        yield Cause(
            "setting",
            f"the app lacks the variable {named}" if named else "a setting of the app is wrong",
            f"set {named or 'it'} in [env] or as a secret, then `fab deploy -H {case.host}`",
            STOPS if case.signs("worker-boot") else NAMED,
            telling.lines([sign]),
            sign.first,
            sign.last,
            _ANSWERS | {"boot-failed", "restarts", "process-ill", timers.SLUG},
        )


def _files(case: Case) -> Iterator[Cause]:
    """Files that the app may not use: by their rights, its sandbox, or a broken disk."""
    for sign in case.signs("permission"):
        path = telling.path(sign.about)
        yield Cause(
            "permission",
            f"the app may not use {path}: permission denied{_how_often(sign)}",
            "give it to the app's user, or allow it: hardening.folders, hardening.allow",
            NAMED,
            telling.lines([sign]),
            sign.first,
            sign.last,
            _ANSWERS | {"boot-failed", "restarts", "process-ill", timers.SLUG},
        )
    for sign in case.signs("read-only"):
        path = telling.path(sign.about)
        yield Cause(
            "read-only",
            f"the app cannot write {path}: its file system is read-only for it{_how_often(sign)}",
            "keep it in the shared folder, or allow the folder with hardening.folders; if the disk"
            " itself became read-only, see the kernel's messages",
            NAMED,
            telling.lines([sign]),
            sign.first,
            sign.last,
            _ANSWERS | {"boot-failed", "restarts", "process-ill", timers.SLUG},
        )


def _how_often(sign: Sign) -> str:
    return f" ({telling.times(sign.count)})" if sign.count > 1 else ""


def _hosts(case: Case) -> Iterator[Cause]:
    for sign in case.signs("host-refused"):
        is_name = any(part.isalpha() for part in sign.about.split("."))
        if sign.count < _REFUSED or not (is_name or sign.about == "CSRF"):
            continue
        is_csrf = sign.about == "CSRF"
        yield Cause(
            "host-refused",
            "the app refuses requests: CSRF checks fail"
            if is_csrf
            else f"the app refuses requests for {sign.about}",
            "add the site's address to CSRF_TRUSTED_ORIGINS"
            if is_csrf
            else "add the name to ALLOWED_HOSTS if it is the site's own",
            GUESSED,
            telling.lines([sign]),
            sign.first,
            sign.last,
            _ANSWERS,
        )
