"""Subjects, incidents and the judge's state as JSON, and back.

Readers pass over what they do not know, and have a default for what is missing: another version
may have written it. What cannot be read at all is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Union

from cartwheel_monitor.incidents import Book, Incident, Member
from cartwheel_monitor.judge import Deployed, State
from cartwheel_monitor.pulse import Pulse
from cartwheel_monitor.quiet import Silence
from cartwheel_monitor.subjects import KINDS, Subject

Json = Union[None, bool, int, float, str, "list[Json]", "dict[str, Json]"]
Table = Mapping[str, Json]


def of_incident(one: Incident) -> dict[str, Json]:
    return {
        "number": one.number,
        "kind": one.kind,
        "app": one.app,
        "began": one.began,
        "seen": one.seen,
        "members": [_of_member(each) for each in one.members.values()],
        "past": [_of_member(each) for each in one.past],
        "told": one.told,
        "worse": one.worse,
        "ended": one.ended,
        "release": one.release,
    }


def incident(found: Json) -> Incident | None:
    """None for what is no incident, or is of a kind that this version does not know."""
    if not isinstance(found, dict) or text(found, "kind") not in KINDS:
        return None
    members = {one.subject: one for one in _members(found.get("members"))}
    return Incident(
        number=int(number(found, "number")),
        kind=text(found, "kind"),
        app=text(found, "app"),
        began=number(found, "began"),
        seen=number(found, "seen"),
        members=members,
        past=tuple(_members(found.get("past"))),
        told=optional(found, "told"),
        worse=found.get("worse") is True,
        ended=optional(found, "ended"),
        release=text(found, "release"),
    )


def of_silence(one: Silence) -> dict[str, Json]:
    return {"until": one.until, "why": one.why, "who": one.who, "app": one.app, "host": one.host}


def silences(found: Json) -> tuple[Silence, ...]:
    return tuple(
        Silence(
            number(one, "until"),
            text(one, "why"),
            text(one, "who"),
            text(one, "app"),
            text(one, "host"),
        )
        for one in _tables(found)
    )


def of_state(state: State) -> dict[str, Json]:
    return {
        "pulses": [
            {
                "subject": _of_subject(subject),
                "state": one.state,
                "bad": one.bad,
                "good": one.good,
                "began": one.began,
                "problem": one.problem,
            }
            for subject, one in state.pulses.items()
        ],
        "open": [of_incident(one) for one in state.book.open.values()],
        "next_number": state.book.next_number,
        "locked": [[app, host, at] for (app, host), at in state.locked.items()],
        "silences": [of_silence(one) for one in state.silences],
        "deployed": [
            {"app": app, "at": one.at, "kind": one.kind, "release": one.release, "who": one.who}
            for app, one in state.deployed.items()
        ],
        "unended": [[app, host, what] for (app, host), what in state.unended.items()],
        "closed": [[app, host] for app, host in state.closed.items()],
    }


def state(found: Json) -> State:
    """What of it can be read."""
    known: Table = found if isinstance(found, dict) else {}
    pulses: dict[Subject, Pulse] = {}
    for one in _tables(known.get("pulses")):
        subject = _subject(one.get("subject"))
        if subject is not None:
            pulses[subject] = Pulse(
                "down" if one.get("state") == "down" else "well",
                int(number(one, "bad")),
                int(number(one, "good")),
                number(one, "began"),
                text(one, "problem"),
            )
    every = [one for one in map(incident, _list(known.get("open"))) if one is not None]
    locked = {
        (str(app), str(host)): float(at)
        for app, host, at in _rows(known.get("locked"), 3)
        if isinstance(at, (int, float))
    }
    unended = {
        (str(app), str(host)): str(what) for app, host, what in _rows(known.get("unended"), 3)
    }
    deployed = {
        text(one, "app"): Deployed(
            number(one, "at"), text(one, "kind"), text(one, "release"), text(one, "who")
        )
        for one in _tables(known.get("deployed"))
    }
    closed = {str(app): str(host) for app, host in _rows(known.get("closed"), 2)}
    return State(
        pulses, book(every, int(number(known, "next_number"))), locked,
        silences(known.get("silences")), unended, deployed, closed,
    )  # fmt: skip


def book(open_: Iterable[Incident], next_number: int = 1) -> Book:
    """The book with these open incidents."""
    known = {one.number: one for one in open_}
    return Book(known, max([next_number, 1, *(number + 1 for number in known)]))


def text(found: Table, key: str) -> str:
    value = found.get(key)
    return value if isinstance(value, str) else ""


def number(found: Table, key: str) -> float:
    return optional(found, key) or 0.0


def optional(found: Table, key: str) -> float | None:
    value = found.get(key)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number else None  # type: ignore[arg-type]  # is_number says so


def _of_subject(one: Subject) -> list[Json]:
    return [one.kind, one.app, one.host, one.about]


def _subject(found: Json) -> Subject | None:
    parts = [one for one in _list(found) if isinstance(one, str)]
    if len(parts) < 4 or parts[0] not in KINDS:  # noqa: PLR2004 - as _of_subject writes it
        return None
    return Subject(parts[0], parts[1], parts[2], parts[3])


def _of_member(one: Member) -> dict[str, Json]:
    return {
        "subject": _of_subject(one.subject),
        "began": one.began,
        "problem": one.problem,
        "places": list[Json](sorted(one.places)),
    }


def _members(found: Json) -> Iterator[Member]:
    for one in _tables(found):
        subject = _subject(one.get("subject"))
        if subject is not None:
            places = frozenset(each for each in _list(one.get("places")) if isinstance(each, str))
            yield Member(subject, number(one, "began"), text(one, "problem"), places)


def _list(found: Json) -> list[Json]:
    return found if isinstance(found, list) else []


def _rows(found: Json, size: int) -> Iterator[list[Json]]:
    """The lists of this size."""
    yield from (one for one in map(_list, _list(found)) if len(one) == size)


def _tables(found: Json) -> Iterator[dict[str, Json]]:
    yield from (one for one in _list(found) if isinstance(one, dict))
