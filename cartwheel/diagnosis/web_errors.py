"""What the web server complains about: what each kind means, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cartwheel.diagnosis.cause import GUESSED, NAMED, SOON, SYMPTOM, Case, Cause
from cartwheel.diagnosis.requests import FAILS, LEFT, SLOW
from cartwheel.plan.web_server import RUNS

if TYPE_CHECKING:
    from cartwheel.host.wire.diagnosis import Sign

FRONT, APP = "front-door-ill", "app-ill"
_BAD_ANSWERS = frozenset({FAILS, FRONT})
_NO_ANSWERS = frozenset({FAILS, FRONT, LEFT, SLOW})
_MOST_LINES = 4


@dataclass(frozen=True)
class Kind:
    """What a kind of error means. `title` and `todo` have the places {web} (the web server's
    name), {about}, {count} and {host}. `least`: fewer of them say nothing, `share`: nor does a
    smaller share of all requests."""

    title: str
    todo: str
    weight: int
    least: int = 3
    share: float = 0.0
    explains: frozenset[str] = _BAD_ANSWERS


_RESTART = "`fab restart -H {host}` makes the socket and its folders anew"
_WORKERS = (
    "more gunicorn.workers or gunicorn.threads, if the host has processors to spare; first see what"
    " the workers wait for (`fab ps -H {host}`)"
)
# `least` where it is above 1: what a reboot, or one broken client, makes on a healthy host.
KINDS = {
    "permission": Kind(
        "{web} may not open the app's socket {about} (13: Permission denied), {count} times",
        f"{_RESTART}; `fab setup -H {{host}}` puts {{web}}'s user into the app's group",
        NAMED,
    ),
    "no-socket": Kind(
        "the app's socket {about} is missing ({web}: 2: No such file), {count} times",
        f"the app does not run, or its socket was deleted: `fab status -H {{host}}`; {_RESTART}",
        SYMPTOM + 5,
    ),
    "refused": Kind(
        "nobody listens at the app's socket {about} ({web}: Connection refused), {count} times",
        "the app does not run: `fab status -H {host}`, `fab logs -H {host}` says why",
        SYMPTOM + 5,
    ),
    "queue": Kind(
        "the queue of the app's socket is full (11: Resource temporarily unavailable): {count}"
        " connections were refused, because all workers are busy",
        _WORKERS,
        SYMPTOM + 10,
        explains=_NO_ANSWERS,
    ),
    "timeout": Kind(
        "{web} waited too long for the app's answer{about}, {count} times",
        "see what takes so long there (`fab logs -H {host}`); gunicorn.timeout_seconds ends a"
        " worker that hangs, timeout_seconds of [web.paths] is for what may take long",
        SYMPTOM + 5,
        share=0.002,
        explains=frozenset({FAILS, FRONT, LEFT}),
    ),
    "cut": Kind(
        "the app closed the connection before its answer was complete{about}, {count} times",
        "a worker was killed, or crashed: `fab logs -H {host} --source gunicorn,systemd`",
        SYMPTOM + 5,
        share=0.002,
    ),
    "header": Kind(
        "the head of the app's answer is too large for {web}{about}, {count} times",
        "the app sends more than 16 KB of headers: mostly cookies or a policy; make them shorter",
        NAMED,
        least=2,
    ),
    "invalid": Kind(
        "the app's answer is no valid HTTP{about}, {count} times",
        "look at the headers that the app sends there",
        GUESSED,
    ),
    "no-upstream": Kind(
        "{web} has no upstream left to ask, {count} times",
        "`fab status -H {host}` shows whether the app runs",
        SYMPTOM + 5,
    ),
    "connections": Kind(
        "{web} serves as many connections as it may{limit}, {count} times",
        "raise {setting} in {web}'s configuration, unless slow answers of the app keep them open",
        NAMED,
        least=1,
        explains=_NO_ANSWERS,
    ),
    "files": Kind(
        "{web} has too many open files (24), {count} times",
        "raise LimitNOFILE= of {web}'s unit (`systemctl edit {unit}`), then restart it",
        NAMED,
        least=1,
        explains=_NO_ANSWERS,
    ),
    "memory": Kind(
        "{web} gets no memory (12: Cannot allocate memory), {count} times",
        "see what uses the memory: `fab ps -H {host}`",
        NAMED,
        least=1,
        explains=_NO_ANSWERS,
    ),
    "disk": Kind(
        "{web} cannot write{about} (28: No space left on device), {count} times",
        "free some space: `fab prune -H {host}` removes old releases, `df -h` shows the rest",
        GUESSED,
        least=1,
    ),
    "file": Kind(
        "{web} may not use {about} (13: Permission denied), {count} times",
        "let its user read it (`namei -l {about}` shows which folder is closed)",
        NAMED,
        least=2,
    ),
    "crash": Kind(
        "processes of {web} ended by {about}, {count} times",
        "signal 9 is mostly the kernel's, for memory; 11 is a bug of {web} or one of its modules",
        GUESSED,
        least=1,
        explains=_NO_ANSWERS,
    ),
}
# What a socket that is not the app's any more looks like; the last one must be of now.
_DEAF, _NOW_SECONDS = ("no-socket", "refused"), 60.0
_TOO_LARGE_TODO = (
    "raise web.client_max_body_size (or that of [web.paths] for this path), then"
    " `fab deploy -H {host}`, if requests may be so large"
)
# A limit works as it should if it stops somebody; if it stops one in ten, it stops visitors.
_LIMITED_SHARE, _LIMITED_LEAST = 0.1, 20
_TOO_LARGE_LEAST = 3
_MANY_SHARE = 0.05  # of all requests: visitors notice it everywhere
_CONFLICT = "conflicting server name"
# These pass a test of the configuration, and fail when it is loaded.
_WHEN_LOADED = ("bind() to", "still could not bind", "AH00072")


def causes(case: Case) -> Iterator[Cause]:
    """One cause for each kind of error."""
    for name, kind in KINDS.items():
        signs = case.signs(f"web-{name}")
        if signs:
            yield from _of_kind(case, name, kind, signs)
    yield from _too_large(case)
    yield from _limited(case)
    yield from _configuration(case)


def _of_kind(case: Case, name: str, kind: Kind, signs: Sequence[Sign]) -> Iterator[Cause]:
    # One request is reported for each upstream that was tried: the first one's number is the number
    # of requests. What is about paths adds up.
    by_path = all(one.about.startswith("/") for one in signs) and name != "file"
    count = sum(one.count for one in signs) if by_path else signs[0].count
    visits = case.found.visits
    if count < kind.least or (visits and count < kind.share * visits.count):
        return
    title, todo = (_filled(case, name, text, count, signs) for text in (kind.title, kind.todo))
    # The first line has what the host saw besides the log.
    lines = [line for one in signs[: 2 if by_path else 1] for line in reversed(one.lines[-2:])]
    first, last = min(one.first for one in signs), max(one.last for one in signs)
    weight, explains = kind.weight, kind.explains
    if name in _DEAF and _is_deaf(case, last):
        title += "; the app runs: somebody removed or replaced its socket"
        todo = f"`fab restart -H {case.host}` makes the socket anew"
        weight, explains = NAMED, explains | {APP}
    yield Cause(
        f"web-errors-{name}",
        title,
        todo,
        weight,
        tuple(lines[:_MOST_LINES]),
        first,
        last,
        explains,
    )


def _is_deaf(case: Case, last: float) -> bool:
    """Whether the app runs, and nobody can reach it until now: systemd takes it for active only
    once it listens, so it did."""
    serving = case.found.status.serving
    return (
        serving is not None
        and serving.active == "active"
        and serving.problem == "it does not listen"
        and serving.age_seconds is not None
        and case.found.time - min(serving.age_seconds, _NOW_SECONDS) < last
    )


def _filled(case: Case, name: str, text: str, count: int, signs: Sequence[Sign]) -> str:
    web = case.found.status.web_server.kind
    about = signs[0].about
    if name in ("timeout", "cut", "header", "invalid"):
        about = f" to {about}" if about.startswith("/") else ""
    elif name == "disk":
        about = f" {about}" if about else ""
    limit = f" ({about} worker_connections)" if about.isdigit() else " (MaxRequestWorkers)"
    return text.format(
        web=web,
        about=about.removeprefix("unix:"),
        count=f"{count:,}",
        host=case.host,
        limit=limit,
        setting=limit.strip(" ()").split(" ")[-1],
        unit=f"{web}.service",
    )


# --- limits that were meant ---------------------------------------------------------------


def _too_large(case: Case) -> Iterator[Cause]:
    """413: the access log has each of them, the error log has their sizes."""
    refused, said = case.signs("web-413"), case.signs("web-body")
    signs = refused or said
    count = sum(one.count for one in signs)
    if count < _TOO_LARGE_LEAST:
        return
    most, visits = signs[0], case.found.visits
    web = case.found.status.web_server.kind
    where = f" to {most.about}" if most.about else ""
    title = f"{web} refuses {count:,} requests{where} because they are too large (413)"
    lines = [f"{one.about}: {one.count:,} times 413" for one in refused[:2]]
    lines += [line for one in said[:2] for line in one.lines[-1:]]
    yield Cause(
        "web-errors-body",
        title,
        _TOO_LARGE_TODO.format(host=case.host),
        GUESSED if visits is None or count >= _MANY_SHARE * visits.count else SYMPTOM + 1,
        tuple(lines),
        min(one.first for one in signs),
        max(one.last for one in signs),
    )


def _limited(case: Case) -> Iterator[Cause]:
    visits, signs = case.found.visits, case.signs("web-429")
    count = sum(one.count for one in signs)
    if visits is None or count < max(_LIMITED_LEAST, _LIMITED_SHARE * visits.count):
        return
    web = case.found.status.web_server.kind
    title = f"{web} refuses {count:,} of {visits.count:,} requests because of web.rate_limit (429)"
    busiest = max(visits.minutes, key=lambda one: one.by_client)
    yield Cause(
        "web-errors-rate",
        title,
        "if these are visitors, raise web.rate_limit; behind a proxy all have its address unless"
        " web.trusted_proxies names it",
        GUESSED,
        (
            *(f"{one.about}: {one.count:,} times 429" for one in signs[:2]),
            f"{busiest.client} made {busiest.by_client:,} of {busiest.count:,} requests in"
            f" {visits.step:.0f} s",
        ),
        min(one.first for one in signs),
        max(one.last for one in signs),
    )


# --- its configuration ----------------------------------------------------------------------


def _configuration(case: Case) -> Iterator[Cause]:
    """What it refused; once it accepts its configuration and runs, only what passes that test."""
    state = case.found.status.web_server
    is_well = state.active in RUNS and not state.complaint
    for sign in sorted(
        case.signs("web-configuration", "web-certificate"), key=lambda one: -one.last
    ):
        is_conflict = sign.about.startswith(_CONFLICT)
        if is_well and not is_conflict and not sign.about.startswith(_WHEN_LOADED):
            continue
        is_certificate = sign.kind == "web-certificate"
        yield Cause(
            "certificate" if is_certificate else "web-errors-configuration",
            f"{state.kind} complains about its configuration: {sign.about}",
            f"fix what it names, then `fab {state.kind}.reload -H {case.host}`",
            SOON if is_conflict else NAMED,
            sign.lines[-1:],
            sign.first,
            sign.last,
            frozenset({FRONT, state.kind, f"{state.kind}--t", "https"}),
        )
        return
