"""gunicorn's workers: silent for too long, dead, or all busy."""

from __future__ import annotations

from collections.abc import Iterator

from cartwheel.diagnosis import followed, telling
from cartwheel.diagnosis.cause import GUESSED, NAMED, STOPS, SYMPTOM, Case, Cause

_ANSWERS = followed.UPSTREAM | followed.SLOW | {"app-ill"}
# A queue of a busy, healthy host empties within milliseconds: a worker that accepts takes all that
# wait. With this many per worker waiting at the moment of a look, nobody accepts.
_WAITING = 8
_FULL_PART = 0.5
# Requests that nobody has read for a second: a host that is only busy has one or two at times.
_UNREAD = 3
# More of its periods than this held back: the app gets less than half of the time it wants.
_THROTTLED = 0.5
# In its debug mode asyncio warns about each step longer than 0.1 s. At the start there are some.
_BLOCKED = 3


def causes(case: Case) -> Iterator[Cause]:
    """Timeouts, deaths, queues."""
    yield from _timeouts(case)
    yield from _deaths(case)
    yield from _busy(case)
    yield from _blocked(case)


def _timeouts(case: Case) -> Iterator[Cause]:
    silent, stuck = case.signs("worker-timeout"), case.signs("worker-stuck")
    if not silent:
        return
    place = f", mostly at {stuck[0].about}" if stuck and stuck[0].about else ""
    count = telling.times(telling.count(silent))
    yield Cause(
        "worker-timeout",
        f"workers of {silent[0].about} hung for longer than gunicorn.timeout_seconds"
        f" {count}{place}",
        "find out what that code waits for; a request that may take long needs"
        " gunicorn.threads or a larger gunicorn.timeout_seconds",
        # The place names the code; without it something else may keep the workers waiting.
        NAMED if place else GUESSED,
        telling.lines([*silent, *stuck]),
        telling.first(silent),
        telling.last(silent),
        _ANSWERS | {"workers-busy", "worker-died"},
    )


def _deaths(case: Case) -> Iterator[Cause]:
    died = case.signs("worker-died")
    if not died:
        return
    faults = case.signs("kernel-fault")
    how = " and ".join(dict.fromkeys(one.about.partition(" ")[2] for one in died[:2]))
    process = died[0].about.partition(" ")[0]
    crashed = "SIGSEGV" in how or "SIGABRT" in how or "SIGBUS" in how or "SIGILL" in how
    yield Cause(
        "worker-died",
        f"workers of {process} died {telling.times(telling.count(died))} ({how})",
        "a library in C crashed: update it, or set PYTHONFAULTHANDLER=1 in [env] to see where"
        if crashed
        else f"`fab logs -H {case.host}`: what the worker said before it ended",
        NAMED if crashed else GUESSED,
        telling.lines([*died, *faults]),
        telling.first(died),
        telling.last(died),
        _ANSWERS,
    )


def _busy(case: Case) -> Iterator[Cause]:
    serving = case.found.status.serving
    is_silent = serving is not None and "did not answer" in serving.problem
    for one in case.found.uses:
        if one.queue is None or one.active != "active":
            continue
        waiting = one.queue + one.waiting
        enough = _WAITING * max(1, one.workers)
        is_full = one.queue_max is not None and one.queue >= _FULL_PART * one.queue_max
        # Our own request waits too: if it is not read either, nobody is free.
        is_stuck = is_silent and waiting > 0
        if not (one.queue >= enough or is_full or one.waiting >= _UNREAD or is_stuck):
            continue
        evidence = [
            f"{one.queue} connections wait to be accepted, of at most {one.queue_max}",
            f"{one.waiting} were accepted, and nobody has read their request for a second",
            f"{one.answering} are being answered; of all, {one.left} visitors have gone already",
        ]
        yield Cause(
            "workers-busy",
            f"all {one.workers} workers of {one.process} are busy: {waiting} requests wait"
            if one.workers
            else f"{one.process} has no worker: {waiting} requests wait",
            f"`fab logs -H {case.host}`: what is slow or hangs; `fab restart -H {case.host}` frees"
            " them; then gunicorn.workers, gunicorn.threads or more hosts",
            STOPS if is_stuck else GUESSED,
            (*evidence, *_throttled(case)),
            explains=_ANSWERS,
        )
    for line in _throttled(case):
        yield Cause(
            "cpu-limit",
            line,
            "raise CPUQuota= (hardening.unit)",
            GUESSED,
            explains=frozenset({"slow", "workers-busy", "worker-timeout"}),
        )


def _throttled(case: Case) -> Iterator[str]:
    for one in case.found.uses:
        if one.throttled is not None and one.throttled > _THROTTLED:
            yield f"{one.process} is held back by its CPUQuota= in {one.throttled:.0%} of its time"


def _blocked(case: Case) -> Iterator[Cause]:
    blocked = case.signs("blocked")
    if telling.count(blocked) < _BLOCKED:
        return
    yield Cause(
        "blocked-loop",
        f"code of {blocked[0].about} blocked its event loop"
        f" {telling.times(telling.count(blocked))}",
        "let slow code run in a thread (asyncio.to_thread)",
        SYMPTOM,
        telling.lines(blocked),
        telling.first(blocked),
        telling.last(blocked),
        frozenset({"slow", "workers-busy"}),
    )
