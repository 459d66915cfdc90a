"""What people read of an incident: one line, and some more with what, where, since when, which
release, who deployed last, and the next command. Pure text, without addresses."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from cartwheel_monitor.incident_log import Note
from cartwheel_monitor.incidents import Incident, Told
from cartwheel_monitor.judge import Deployed
from cartwheel_monitor.language import _, _n, labelled, listed, said
from cartwheel_monitor.run_kinds import run_kind
from cartwheel_monitor.subjects import KINDS

Mood = str  # info, success, warning or failure: a messenger may colour it

_MOST_NAMED = 3
_MOST_LINES = 6
_MOST_TYPED = 4
_LINE = 300
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_LONGEST = 1e12


@dataclass(frozen=True)
class Message:
    """`title` is one line; `body` has one fact a line. `number`: of its incident, 0 for none. `at`:
    when it became news."""

    title: str
    body: str
    mood: Mood
    number: int = 0
    at: float = 0.0


@dataclass(frozen=True)
class Facts:
    """What is known beside the incident. `releases`: by app and host, what should be live there.
    `deployed`: the last deploy by app."""

    releases: Mapping[tuple[str, str], str] = field(default_factory=dict)
    deployed: Mapping[str, Deployed] = field(default_factory=dict)


def local(at: float) -> str:
    """A time for people, by the monitor's zone; hosts wrote some of them."""
    try:
        return time.strftime("%Y-%m-%d %H:%M %Z", time.localtime(at))
    except (OverflowError, ValueError, OSError):
        return "?"


def of(told: Told, facts: Facts, now: float, when: Callable[[float], str] = local) -> Message:
    """The message about it."""
    one = told.incident
    headline = _news(told.news).format(what=_line(title(one)))
    return Message(headline, "\n".join(map(_line, _body(told, facts, now, when))), _mood(told),
                   one.number, now)  # fmt: skip


def of_note(note: Note) -> Message:
    """What the monitor says about itself."""
    return Message(
        _("monitor: {text}").format(text=_line(said(note.text))), "", "warning", 0, note.at
    )


def merged(missed: Sequence[Message], when: Callable[[float], str] = local) -> Message:
    """What a messenger has missed as one message: of each incident only the last news, in order."""
    last = {one.number: one for one in missed if one.number}
    kept = [one for one in missed if not one.number or last[one.number] is one]
    shown = kept[-4 * _MOST_LINES :]
    lines = [f"{when(one.at)}  {one.title}" for one in shown]
    if len(shown) < len(kept):
        left = len(kept) - len(shown)
        lines.insert(0, _n("and {count} message before", "and {count} messages before", left))
    title = _n("{count} message could not be delivered", "{count} messages could not be delivered",
               len(missed))  # fmt: skip
    moods = {one.mood for one in kept}
    mood = next((one for one in ("failure", "warning", "success") if one in moods), "info")
    return Message(title, "\n".join(lines), mood, 0, missed[-1].at)


def hosts_text(hosts: Iterable[str]) -> str:
    """`web1, web2, web3 and 37 more`"""
    every = sorted(hosts)
    shown = listed(every[:_MOST_NAMED])
    left = len(every) - _MOST_NAMED
    return _("{hosts} and {count} more").format(hosts=shown, count=left) if left > 0 else shown


def span(seconds: float) -> str:
    """How long something takes, in its largest unit."""
    # Hosts wrote some of these times: they may be infinite, or no number.
    whole = int(min(max(0.0, seconds), _LONGEST))
    if whole >= 2 * _DAY:
        return _n("{count} day", "{count} days", whole // _DAY)
    if whole >= 2 * _HOUR:
        return _n("{count} hour", "{count} hours", whole // _HOUR)
    if whole >= _MINUTE:
        return _n("{count} minute", "{count} minutes", whole // _MINUTE)
    return _n("{count} second", "{count} seconds", whole)


def _news(news: str) -> str:
    return {
        "opened": _("{what}"),
        "worse": _("worse: {what}"),
        "again": _("still: {what}"),
        "recovered": _("recovered: {what}"),
    }[news]


def _mood(told: Told) -> Mood:
    if told.news == "recovered":
        return "success"
    is_grave = KINDS[told.incident.kind].grave or told.incident.kind in ("host", "network")
    return "failure" if is_grave else "warning"


def title(one: Incident) -> str:
    """What is wrong, in one line."""
    hosts = {place for each in one.own for place in each.places}
    texts = {
        "site": _("{app} does not answer"),
        "host": _("{hosts} cannot be looked into"),
        "errors": _("{app} answers with errors"),
        "slow": _("{app} is slow"),
        "process": _("{app}: a process does not run on {hosts}"),
        "restarts": _("{app}: a process is started again and again on {hosts}"),
        "timer": _("{app}: a timer failed or is late on {hosts}"),
        "memory": _("hardly any memory left on {hosts}"),
        "disk": _("disk full, or soon, on {hosts}"),
        "clock": _("wrong clock on {hosts}"),
        "certificate": _("{app}: its certificate ends"),
        "behind": _("{app}: another release on {hosts}"),
        "deploy": _("{app}: a deploy failed on {hosts}"),
        "unfinished": _("{app}: a deploy is not finished on {hosts}"),
        "network": _("{count} hosts fail at once: perhaps the monitor's own network"),
    }
    return texts[one.kind].format(app=one.app, hosts=hosts_text(hosts), count=len(hosts))


def _body(told: Told, facts: Facts, now: float, when: Callable[[float], str]) -> Iterator[str]:
    one = told.incident
    yield from _problems(one)
    lasted = span((one.ended if one.ended is not None else now) - one.began)
    if told.news == "recovered":
        yield _("it lasted {span}, from {began}").format(span=lasted, began=when(one.began))
        return
    yield _("since {began} ({span})").format(began=when(one.began), span=lasted)
    if one.app:
        yield from _releases(one, facts)
        yield from _deployed(one, facts, when)
    todo = next_command(one)
    if todo:
        yield _("next: {command}").format(command=todo)


def _problems(one: Incident) -> Iterator[str]:
    """What is wrong, each with its hosts; first what the incident is named after."""
    hosts: dict[str, set[str]] = {}
    members = [each for each in one.own if each.subject in one.members] or list(one.own)
    for each in (*members, *(each for each in one.every if each not in members)):
        places = {each.subject.host} if each.subject.host else set()
        hosts.setdefault(each.problem, set()).update(places)
    for problem, places in list(hosts.items())[:_MOST_LINES]:
        yield labelled(hosts_text(places), problem) if places else problem
    left = len(hosts) - _MOST_LINES
    if left > 0:
        yield _n("and {count} more", "and {count} more", left)


def _releases(one: Incident, facts: Facts) -> Iterator[str]:
    by_release: dict[str, set[str]] = {}
    for (app, host), release in facts.releases.items():
        if app == one.app and release:
            by_release.setdefault(release, set()).add(host)
    if len(by_release) == 1:
        yield _("release: {release}").format(release=next(iter(by_release)))
        return
    for release, hosts in list(by_release.items())[:_MOST_LINES]:
        yield _("release: {release} on {hosts}").format(release=release, hosts=hosts_text(hosts))


def _deployed(one: Incident, facts: Facts, when: Callable[[float], str]) -> Iterator[str]:
    last = facts.deployed.get(one.app)
    if last is not None:
        before = one.began - last.at
        how = (
            _("last {kind}: {release} by {who}, {when} ({span} before it began)")
            if 0 <= before < _DAY
            else _("last {kind}: {release} by {who}, {when}")
        )
        yield how.format(
            kind=run_kind(last.kind), release=last.release, who=last.who, when=when(last.at),
            span=span(before),
        )  # fmt: skip


def next_command(one: Incident) -> str:
    """What to run next; "" where no command helps."""
    if one.kind == "network":
        return ""
    hosts = sorted(place for each in one.own for place in each.places)
    where = f" -H {','.join(dict.fromkeys(hosts[:_MOST_TYPED]))}" if hosts else ""
    task = {
        "deploy": "history",
        "unfinished": "status",
        "behind": "status",
        "certificate": "tls.status",
    }.get(one.kind, "diagnose")
    return f"fab {task}{where}"


def _line(text: str) -> str:
    """One line, not too long, without what a terminal would obey: hosts wrote parts of it."""
    plain = "".join(each if each.isprintable() else " " for each in text)
    return plain if len(plain) <= _LINE else plain[: _LINE - 1] + "…"
