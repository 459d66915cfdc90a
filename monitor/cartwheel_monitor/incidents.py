"""From subjects that go down and come back to incidents that people are told of: one for a cause.

Pure: `Book` is what is open, and each step makes a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from cartwheel_monitor.subjects import HOST, KINDS, NETWORK, SITE, Subject

_LEAST_HOSTS = 3  # of fewer hosts "most of them" says nothing

News = Literal["opened", "worse", "again", "recovered"]


@dataclass(frozen=True)
class Member:
    """A subject that is down as a part of an incident. `places`: the hosts that it is about; of a
    site all hosts of its app."""

    subject: Subject
    began: float
    problem: str
    places: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Incident:
    """`members` are down now, `past` were. `seen`: when the monitor knew; `told`: when people last
    heard of it; `worse`: it has become graver since. `release`: the one that served when it began.
    """

    number: int
    kind: str
    app: str
    began: float
    seen: float
    members: Mapping[Subject, Member]
    past: tuple[Member, ...] = ()
    told: float | None = None
    worse: bool = False
    ended: float | None = None
    release: str = ""

    @property
    def every(self) -> tuple[Member, ...]:
        """All that are or were down."""
        return (*self.members.values(), *self.past)

    @property
    def places(self) -> frozenset[str]:
        """The hosts that it is about."""
        return frozenset(place for one in self.every for place in one.places)

    @property
    def is_over(self) -> bool:
        return self.ended is not None

    @property
    def own(self) -> tuple[Member, ...]:
        """The members that it is named after; the others follow from them."""
        return tuple(one for one in self.every if one.subject.kind == self.kind) or self.every


@dataclass(frozen=True)
class Told:
    """Something that people are to hear now."""

    news: News
    incident: Incident


@dataclass(frozen=True)
class Book:
    """The open incidents by number, and the next number."""

    open: Mapping[int, Incident] = field(default_factory=dict)
    next_number: int = 1


def went_down(book: Book, member: Member, now: float, release: str = "") -> Book:
    """A subject is down: it joins the incident that it belongs to, or begins one."""
    subject = member.subject
    for one in book.open.values():
        if one.is_over or not _belongs(one, member):
            continue
        members = {**one.members, subject: member}
        joined = replace(one, members=members, began=min(one.began, member.began))
        if KINDS[subject.kind].grave and not KINDS[one.kind].grave:
            told = one.told is not None
            joined = replace(joined, kind=subject.kind, app=subject.app, worse=told)
        return _with(book, joined)
    begun = Incident(
        number=book.next_number,
        kind=subject.kind,
        app=subject.app,
        began=member.began,
        seen=now,
        members={subject: member},
        release=release,
    )
    return replace(_with(book, begun), next_number=book.next_number + 1)


def came_back(book: Book, subject: Subject, now: float) -> Book:
    """A subject is well again: its incident is over when all its members are. What only happened is
    not undone by that."""
    for one in book.open.values():
        if subject in one.members:
            members = {key: each for key, each in one.members.items() if key != subject}
            past = (*one.past, one.members[subject])
            is_over = not members and not KINDS[one.kind].event
            return _with(
                book, replace(one, members=members, past=past, ended=now if is_over else None)
            )
    return book


def still_down(book: Book, subject: Subject, problem: str) -> Book:
    """A subject is down as before; perhaps it says something else now."""
    for one in book.open.values():
        found = one.members.get(subject)
        if found is not None and found.problem != problem:
            members = {**one.members, subject: replace(found, problem=problem)}
            return _with(book, replace(one, members=members))
    return book


def news(
    book: Book,
    now: float,
    *,
    watched_hosts: int,
    is_hushed: Callable[[Incident], bool] = lambda _one: False,
) -> tuple[Book, tuple[Told, ...]]:
    """What people are to hear now, and the book after it. An incident that was over before anybody
    was told is told neither way. One that `is_hushed` waits; that it is over is told."""
    book = _joined_by_network(book, watched_hosts)
    told: list[Told] = []
    for one in sorted(book.open.values(), key=lambda each: each.number):
        what = _news_of(one, now)
        if what is not None and (what == "recovered" or not is_hushed(one)):
            known = replace(one, told=now, worse=False)
            told.append(Told(what, known))
            book = _with(book, known)
        if one.is_over or _is_past(one, now):
            book = _without(book, one.number)
    return book, tuple(told)


def _news_of(one: Incident, now: float) -> News | None:
    kind = KINDS[one.kind]
    if one.is_over:
        return "recovered" if one.told is not None else None
    if one.told is None:
        return "opened" if now - one.seen >= kind.gather_seconds else None
    if kind.event:
        return None
    if one.worse:
        return "worse"
    return "again" if now - one.told >= kind.again_seconds else None


def _is_past(one: Incident, now: float) -> bool:
    """Whether something that happened is told, and nothing more can belong to it."""
    kind = KINDS[one.kind]
    return kind.event and one.told is not None and now - one.seen > kind.together_seconds


def _belongs(one: Incident, member: Member) -> bool:
    """Whether a subject that went down has the same cause as an incident: it follows from it, or
    the other way round, at about the same time; or the same went wrong in many places at once."""
    subject = member.subject
    follows = KINDS[subject.kind].follows
    if one.kind == NETWORK.name:
        return subject.kind in (HOST.name, SITE.name)
    if one.kind in follows and _same_place(one, member):
        return True
    # One after the other, each soon after one before: what spreads has one cause.
    apart = min(abs(member.began - each.began) for each in one.every)
    if apart > KINDS[subject.kind].together_seconds:
        return False
    if (one.kind, one.app) == (subject.kind, subject.app):
        return True
    grave = KINDS[subject.kind].grave or KINDS[one.kind].grave
    return grave and _same_place(one, member)


def _same_place(one: Incident, member: Member) -> bool:
    same_app = bool(member.subject.app) and one.app == member.subject.app
    return same_app or bool(one.places & member.places)


def _joined_by_network(book: Book, watched_hosts: int) -> Book:
    """When most hosts fail at once, the monitor's own network may be the cause: one incident."""
    silent = list(_untold_silence(book))
    places = {place for one in silent for place in one.places}
    if len(silent) < 1 or watched_hosts < _LEAST_HOSTS or 2 * len(places) <= watched_hosts:
        return book
    joined = replace(
        silent[0],
        kind=NETWORK.name,
        app="",
        began=min(one.began for one in silent),
        seen=min(one.seen for one in silent),
        members={key: each for one in silent for key, each in one.members.items()},
        past=tuple(each for one in silent for each in one.past),
    )
    for one in silent:
        book = _without(book, one.number)
    return _with(book, joined)


def _untold_silence(book: Book) -> Iterator[Incident]:
    """Hosts that cannot be looked into, of which nobody has heard yet, and the sites with them."""
    fresh = [one for one in book.open.values() if one.told is None and not one.is_over]
    if any(member.subject.kind == HOST.name for one in fresh for member in one.every):
        yield from (one for one in fresh if one.kind in (HOST.name, SITE.name))


def _with(book: Book, one: Incident) -> Book:
    return replace(book, open={**book.open, one.number: one})


def _without(book: Book, number: int) -> Book:
    return replace(book, open={key: one for key, one in book.open.items() if key != number})
