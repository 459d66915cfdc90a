"""Databases and other services, by what the app logged about them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cartwheel.diagnosis import followed, telling
from cartwheel.diagnosis.cause import GUESSED, NAMED, STOPS, Case, Cause
from cartwheel.diagnosis.services_compared import tried

if TYPE_CHECKING:
    from cartwheel.host.wire.diagnosis import Sign

# By the end of the sign's text (`services_named` of the host): the slug, and what to do.
_PROBLEMS = {
    "refuses connections": (
        "service-refuses",
        "see whether it runs there and listens on that port; the address is one of the app's"
        " variables",
    ),
    "does not answer in time": ("service-slow", "see whether it is overloaded, or a firewall"),
    "its name cannot be resolved": (
        "service-unknown",
        "correct the name in the app's variables, or the host's name resolution",
    ),
    "rejects the login": (
        "service-login",
        "correct the user or password in the app's variables, then deploy",
    ),
    "has too many connections": (
        "service-crowded",
        "use fewer workers or smaller pools, or raise its limit (max_connections)",
    ),
    "breaks connections off": ("service-breaks", "see its own log: it was restarted, or crashes"),
    "is starting or stopping": ("service-refuses", "see its own log: why it was restarted"),
    "lets statements wait for locks too long": (
        "service-locks",
        "find the transaction that holds the lock: a migration, a job, a forgotten session",
    ),
    "has no room": ("service-full", "make room on its disk, or in its memory"),
    "is read-only": ("service-read-only", "let the app use the primary; see why it is read-only"),
    "lacks a table or column that the app uses": (
        "schema",
        "run the migrations: the database is older (or newer) than this release",
    ),
    "lacks the database that the app uses": ("service-login", "create it, or correct its name"),
    "has no free connection in the app's own pool": (
        "service-crowded",
        "close connections after use, or make the pool larger",
    ),
    "answers with errors": ("service-fails", "see the other side's log"),
    "is damaged": ("service-fails", "restore it from a backup"),
}
# A service that refuses must be seen more than once, or lately: each may be restarted.
_SEVERAL = 3
_LATELY_SECONDS = 900.0
# Short waits and broken connections happen on every busy host: they are retried.
_EVERYDAY = frozenset({"service-slow", "service-breaks", "service-locks", "service-fails"})


def causes(case: Case) -> Iterator[Cause]:
    """What the app says of its services, the most frequent first; then names and certificates."""
    seen = set[tuple[str, str]]()
    for sign in case.signs("service"):
        cause = _of(case, sign)
        what = (cause.slug, sign.about.partition(" (address")[0]) if cause else ("", "")
        if cause and what not in seen:
            seen.add(what)
            yield cause
    yield from _names(case)
    yield from _certificates(case)


def _of(case: Case, sign: Sign) -> Cause | None:
    service, _, problem = sign.about.rpartition(": ")
    slug, todo = _PROBLEMS.get(problem, ("service-fails", "see its own log"))
    lately = case.found.time - sign.last < _LATELY_SECONDS
    enough = sign.count >= _SEVERAL or (lately and slug not in _EVERYDAY)
    if not enough or tried(sign, case.found.services):
        return None
    named = service.replace(" (address not in the log)", "")
    named = "a service" if named == "service" else named
    title = f"{named}: {problem}" if problem.startswith("its ") else f"{named} {problem}"
    return Cause(
        slug,
        f"{title} ({telling.times(sign.count)} in the app's log)",
        todo,
        STOPS if sign.count >= _SEVERAL and lately and slug not in _EVERYDAY else NAMED,
        telling.lines([sign]),
        sign.first,
        sign.last,
        followed.APP,
    )


def _names(case: Case) -> Iterator[Cause]:
    for sign in case.signs("names")[:2]:
        if tried(sign, case.found.services):
            continue
        named = f" of {sign.about}" if sign.about else "s"
        yield Cause(
            "service-unknown" if sign.about else "names",
            f"the app cannot resolve the name{named} ({telling.times(sign.count)})",
            "correct the name in the app's variables, or the host's name resolution"
            " (/etc/resolv.conf)",
            NAMED,
            telling.lines([sign]),
            sign.first,
            sign.last,
            followed.APP,
        )


def _certificates(case: Case) -> Iterator[Cause]:
    for sign in case.signs("tls")[:2]:
        yield Cause(
            "service-certificate",
            f"the app does not trust the certificate of a service ({telling.times(sign.count)})",
            "see whether it has expired, or its authority is unknown here (ca-certificates);"
            " the host's clock matters too",
            NAMED if sign.count >= _SEVERAL else GUESSED,
            telling.lines([sign]),
            sign.first,
            sign.last,
            followed.APP,
        )
