"""Many hosts in few lines: hosts in the same state share one."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cartwheel.events import Event
from cartwheel.telling import MOST_NAMED, hosts_text
from cartwheel.terminal.format import half_within, seconds_text
from cartwheel.terminal.progress import OPERATOR, Running

MOST_APART = 4  # up to this many hosts have lines of their own
MOST_ROWS = 8  # up to this many rows on a terminal
_ODD_SECONDS = 0.5  # a host that took this much longer than most is named
_ODD_TIMES = 2.0  # a row that lasts this many times longer than most stays separate


def who(hosts: Sequence[str]) -> str:
    """The names of a few hosts, or the number of many."""
    return hosts_text(hosts) if len(hosts) <= MOST_NAMED else f"{len(hosts)} hosts"


# --- finished steps


@dataclass(frozen=True)
class Told:
    """An event of several hosts, and how long it took them, as text."""

    event: Event
    took: str


class Ends:
    """Collects finished steps until no host is still working on the same one."""

    def __init__(self, hosts: Iterable[str]) -> None:
        self._hosts = frozenset(hosts)
        self._steps: dict[str, dict[str, Event]] = {}
        self._ready: set[str] = set()

    def take(self, event: Event) -> list[Told]:
        """Add a host's finished step. Returns the steps that can be shown now, because all hosts
        have finished them."""
        again = event.host in self._steps.get(event.step, {})
        told = self._tell([event.step]) if again else []
        ended = self._steps.setdefault(event.step, {})
        ended[event.host] = event
        return told + (self._tell([event.step]) if ended.keys() >= self._hosts else [])

    def look(self, busy: Collection[str]) -> list[Told]:
        """The steps that each `busy` host (one that is working on a step) had finished at two
        looks in a row: between two of its steps a host is idle for a moment."""
        ready = {step for step, ended in self._steps.items() if ended.keys() >= set(busy)}
        steps = [step for step in self._steps if step in ready & self._ready]
        self._ready = ready
        return self._tell(steps)

    def rest(self) -> list[Told]:
        """All remaining steps, in the order in which the first host finished them."""
        return self._tell(list(self._steps))

    def _tell(self, steps: Iterable[str]) -> list[Told]:
        self._ready.difference_update(steps)
        return [told for step in steps for told in _told(self._steps.pop(step))]


def _told(ended: Mapping[str, Event]) -> list[Told]:
    """One line for the hosts that succeeded; failures were shown when they happened."""
    good = [event for event in ended.values() if event.state != "failed"]
    if not good:
        return []
    moved = [event for event in good if event.state != "unchanged"]
    details = {event.detail for event in good}
    parts = [details.pop()] if len(details) == 1 else []
    if moved and len(moved) < len(good):
        parts.append(f"unchanged on {len(good) - len(moved)}")
    shown = replace(
        (moved or good)[0],
        host=who([event.host for event in good]),
        detail=", ".join(part for part in parts if part),
    )
    return [Told(shown, _took(good))]


def _took(ended: Sequence[Event]) -> str:
    """`2.1 s; slowest web7 4.0 s`: the first number is the median."""
    half = half_within(event.seconds or 0.0 for event in ended)
    last = max(ended, key=lambda event: event.seconds or 0.0)
    slowest = (last.seconds or 0.0) - half >= _ODD_SECONDS
    named = f"slowest {last.host} {seconds_text(last.seconds)}" if slowest else ""
    return "; ".join(part for part in (seconds_text(half), named) if part)


# --- running steps


def groups(running: Sequence[Running], room: int, now: float) -> list[list[Running]]:
    """The rows to draw, each for one host or for several in the same state; the longest running
    first. The last row is for all hosts that have no row in `room`."""
    if len(running) <= min(room, MOST_ROWS):
        return [[one] for one in running]
    alike = _by(running, lambda one: (one.step, _kind(one.detail)))
    if len(alike) > room:
        alike = _by(running, lambda one: (one.step, ""))
    rows = _with_odd_ones(alike, room, now)
    rows.sort(key=lambda row: min(one.since for one in row))
    if len(rows) > room:
        rest = [one for row in rows[room - 1 :] for one in row]
        rows = [*rows[: room - 1], rest]
    return rows


def _by(
    running: Iterable[Running], state: Callable[[Running], tuple[str, str]]
) -> list[list[Running]]:
    found: dict[tuple[str, str], list[Running]] = {}
    for one in running:
        found.setdefault(state(one), []).append(one)
    return list(found.values())


def _kind(detail: str) -> str:
    """`Collecting` of `Collecting flask==3.1`."""
    word = re.match(r"[^\W\d]+", detail)
    return word[0] if word else ""


def _with_odd_ones(rows: list[list[Running]], room: int, now: float) -> list[list[Running]]:
    """Give a row's slowest host a row of its own if it takes much longer than the others."""
    found: list[list[Running]] = []
    for row in rows:
        slowest = min(row, key=lambda one: one.since)
        limit = _ODD_TIMES * (now - half_within(one.since for one in row)) + _ODD_SECONDS
        if len(row) > 1 and now - slowest.since > limit and len(found) < room // 2:
            found.append([slowest])
            row.remove(slowest)
    return rows + found


def in_one(row: Sequence[Running]) -> Running:
    """The hosts of a row as one: since when most of them are there, and the detail they share."""
    if len(row) == 1:
        return row[0]
    steps = list(dict.fromkeys(one.step for one in row))
    details = {one.detail for one in row}
    return Running(
        who([one.host or OPERATOR for one in row]),
        ", ".join(steps),
        half_within(one.since for one in row),
        details.pop() if len(details) == 1 else "",
    )
