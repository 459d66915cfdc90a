"""Count requests by path and time."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from dataclasses import replace
from itertools import accumulate, chain
from typing import Callable, Collection, DefaultDict, Dict, Iterator, List, Mapping, Optional, Tuple

from cartwheel.host.diagnose.log_window import Part
from cartwheel.host.web.server import Visit, WebServer
from cartwheel.host.wire.diagnosis import Minute

OTHER = "other paths"
UNKNOWN = "paths that there are not"
FILES = "files of the web server"
_MOST_GROUPS = 300
# What scanners ask for: each another path.
_NOT_THERE = (400, 404, 405, 414)
_UPGRADED = 101
_CLIENT_LEFT = 499


class _Cell:
    """The requests for one path in some seconds."""

    __slots__ = ("count", "failed", "first_failed", "given_up", "times", "weight")

    def __init__(self) -> None:
        self.count = 0.0
        self.failed = 0.0
        self.given_up = 0.0
        self.first_failed: Optional[float] = None
        self.times: List[float] = []
        self.weight = 1.0


class Tally:
    """Requests, added part by part. `group` makes a group of a path, `cell_seconds` is how fine the
    time is. Our own probes do not count; what the web server answered itself does, but not for the
    times."""

    def __init__(self, group: Callable[[str], str], cell_seconds: float) -> None:
        self.lines = 0
        self.strange = 0
        self.count = 0.0
        self.failed = 0.0
        self.by_server = 0.0
        self.first = math.inf
        self.last = 0.0
        self.statuses: DefaultDict[int, float] = defaultdict(float)
        self._group = group
        self._seconds = cell_seconds
        self._groups: Dict[bytes, str] = {}
        self._names: Dict[str, str] = {}
        self._cells: DefaultDict[str, Dict[int, _Cell]] = defaultdict(dict)
        self._by_status: Dict[str, DefaultDict[int, float]] = {}
        # Requests by cell where all were read; and where blocks were, the begin of each block and
        # how many requests there were until the next one.
        self._dense: DefaultDict[int, float] = defaultdict(float)
        self._sparse: List[Tuple[float, float]] = []
        self._clients: DefaultDict[Tuple[int, bytes], float] = defaultdict(float)
        self._agents: Dict[bytes, bytes] = {}
        self._limits: Dict[Tuple[int, str], Tuple[float, float, float]] = {}

    def add(self, web: WebServer, part: Part, *, without_failed: bool = False) -> None:
        """Count the lines of a part; `without_failed` where those are added by `add_failed`."""
        known, ours, first = 0, 0, 0.0
        for visit in web.visits(part.data):
            known += 1
            if visit.is_probe:
                continue
            ours += 1
            first = first or visit.at
            if visit.status < 500 or not without_failed:
                self._add(visit, part.weight)
            if part.weight == 1.0:
                self._dense[int(visit.at // self._seconds)] += 1.0
            self._client(visit, part.weight)
        if ours and part.weight > 1.0:
            self._sparse.append((first, ours * part.weight))
        lines = part.data.count(b"\n")
        self.lines += lines
        self.strange += max(0, lines - known)

    def add_failed(self, web: WebServer, data: bytes) -> None:
        """Count lines of failed requests of a time of which `add` got a part only."""
        for visit in web.visits(data):
            if visit.status >= 500 and not visit.is_probe:
                self._add(visit, 1.0)

    def _add(self, visit: Visit, weight: float) -> None:
        at, status = visit.at, visit.status
        self.count += weight
        self.statuses[status] += weight
        self.last = max(self.last, at)
        self.first = min(self.first, at)
        path = self._path(visit)
        place = int(at // self._seconds)
        cells = self._cells[path]
        cell = cells.get(place)
        if cell is None:
            cell = cells[place] = _Cell()
        cell.count += weight
        if status >= 500 and not visit.is_closed:
            self.failed += weight
            self.by_server += 0.0 if visit.answered else weight
            cell.failed += weight
            self._by_status.setdefault(path, defaultdict(float))[status] += weight
            if cell.first_failed is None or at < cell.first_failed:
                cell.first_failed = at
            return
        if status == _CLIENT_LEFT:
            cell.given_up += weight
        elif status in (413, 429) and not visit.passed:
            self._limit(status, self._path_of(visit.path), at, weight)
        if visit.passed and status != _UPGRADED:
            cell.times.append(visit.seconds)
            cell.weight = weight

    def _client(self, visit: Visit, weight: float) -> None:
        self._clients[int(visit.at // self._seconds), visit.client] += weight
        self._agents[visit.client] = visit.agent

    def _limit(self, status: int, path: str, at: float, weight: float) -> None:
        count, first, last = self._limits.get((status, path), (0.0, at, at))
        self._limits[status, path] = (count + weight, min(first, at), max(last, at))

    def _path(self, visit: Visit) -> str:
        if visit.status in _NOT_THERE:
            return UNKNOWN
        if not visit.passed and visit.status < 400:
            return FILES
        return self._path_of(visit.path)

    def _path_of(self, path: bytes) -> str:
        found = self._groups.get(path)
        if found is None:
            name = self._group(path.decode("utf-8", "replace"))
            if name not in self._names and len(self._names) >= _MOST_GROUPS:
                name = OTHER
            found = self._names.setdefault(name, name)
            if len(self._groups) < 50 * _MOST_GROUPS:
                self._groups[path] = found
        return found

    # --- what was counted ---------------------------------------------------------------

    def paths(self) -> List[str]:
        """All groups, without those that are none of the app's."""
        return sorted(set(self._cells) - {UNKNOWN, FILES})

    def busiest(self, most: int) -> List[str]:
        """The groups that took most of the app's time."""
        taken = {
            path: sum(sum(cell.times) * cell.weight for cell in cells.values())
            for path, cells in self._cells.items()
            if path not in (UNKNOWN, FILES)
        }
        return sorted(filter(taken.__getitem__, taken), key=lambda path: -taken[path])[:most]

    def count_of(self, path: str) -> float:
        """The requests of a group."""
        return sum(cell.count for cell in self._of(path))

    def failed_of(self, path: str) -> float:
        """Those of them that failed."""
        return sum(cell.failed for cell in self._of(path))

    def first_failed(self, path: str) -> Optional[float]:
        """When a group failed first."""
        first = [one.first_failed for one in self._of(path) if one.first_failed is not None]
        return min(first, default=None)

    def statuses_of(self, path: str) -> List[Tuple[int, float]]:
        """The status codes of a group's failures."""
        return sorted(self._by_status.get(path, {}).items())

    def times(self, path: str = "") -> Tuple[float, float]:
        """The median and the 95th percentile, of one group or of all."""
        return _quantiles(list(self._of(path)))

    def limited(
        self, kinds: Mapping[int, str]
    ) -> Dict[Tuple[str, str], Tuple[float, float, float]]:
        """What a limit refused: how often, and when first and last, by its kind and the path."""
        return {(kinds[status], path): one for (status, path), one in self._limits.items()}

    def agents(self, clients: Collection[str]) -> Dict[str, str]:
        """The program that each of these clients says it is."""
        named = ((_text(one), agent) for one, agent in self._agents.items())
        return {client: _text(agent) for client, agent in named if client in clients}

    def whole(self, path: str = "") -> Optional[Minute]:
        """All that was counted, of one group or of all, as one time; None for nothing."""
        cells = list(self._of(path))
        return _minute(self.first, cells, self.last - self.first) if cells else None

    def minutes(self, step: float, path: str = "") -> Iterator[Minute]:
        """Each `step` seconds with a request, of one group or of all; `step` is at least that of a
        cell."""
        places: DefaultDict[int, List[_Cell]] = defaultdict(list)
        for cells in [self._cells[path]] if path else self._cells.values():
            for place, cell in cells.items():
                places[int(place * self._seconds // step)].append(cell)
        if path:
            for number in sorted(places):
                yield _minute(number * step, places[number], step)
            return
        counts, busiest = self._counts(step), self._busiest(step)
        for number in sorted({*places, *counts}):
            one = _minute(number * step, places[number], step)
            count = max(round(counts.get(number, 0.0)), one.failed)
            client, share = busiest.get(number, (b"", 0.0))
            given_up = round(one.given_up * count / one.count) if one.count else 0
            yield replace(
                one,
                count=count,
                given_up=given_up,
                client=_text(client),
                by_client=round(share * count),
            )

    def spans(self, long: float, path: str) -> List[Minute]:
        """A group by time: `long` ones, and the last ones in fifths."""
        short = long / 5 if long / 5 >= self._seconds else long
        border = (self.last // long - 1.0) * long
        before = [one for one in self.minutes(long, path) if one.at < border]
        return before + [one for one in self.minutes(short, path) if one.at >= border]

    def _counts(self, step: float) -> Dict[int, float]:
        """All requests in each step. Those between two blocks are spread over the time between."""
        counts: DefaultDict[int, float] = defaultdict(float)
        for place, count in self._dense.items():
            counts[int(place * self._seconds // step)] += count
        end = min(self._dense, default=0) * self._seconds or self.last
        ends = [begin for begin, _ in self._sparse[1:]] + [end]
        for (begin, count), until in zip(self._sparse, ends):
            length = max(0.001, until - begin)
            for number in range(int(begin // step), int((begin + length) // step) + 1):
                inside = min(begin + length, (number + 1) * step) - max(begin, number * step)
                counts[number] += count * max(0.0, inside) / length
        return counts

    def _busiest(self, step: float) -> Dict[int, Tuple[bytes, float]]:
        """The client of most requests in each step, and its share of them."""
        counts: DefaultDict[int, DefaultDict[bytes, float]] = defaultdict(
            lambda: defaultdict(float)
        )
        for (place, client), count in self._clients.items():
            counts[int(place * self._seconds // step)][client] += count
        found = {}
        for number, clients in counts.items():
            client = max(clients, key=lambda one: clients[one])
            found[number] = (client, clients[client] / sum(clients.values()))
        return found

    def _of(self, path: str) -> Iterator[_Cell]:
        if path:
            return iter(self._cells.get(path, {}).values())
        return (cell for cells in self._cells.values() for cell in cells.values())


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _minute(at: float, cells: List[_Cell], seconds: float) -> Minute:
    usual, slow = _quantiles(cells)
    count, failed = sum(cell.count for cell in cells), sum(cell.failed for cell in cells)
    first = [cell.first_failed for cell in cells if cell.first_failed is not None]
    return Minute(
        at=at,
        count=round(max(count, failed)),
        failed=round(failed),
        slow=slow,
        usual=usual,
        given_up=round(sum(cell.given_up for cell in cells)),
        first_failed=min(first, default=None),
        seconds=seconds,
    )


def _quantiles(cells: List[_Cell]) -> Tuple[float, float]:
    """The median and the 95th percentile of the times in these cells."""
    weights = {cell.weight for cell in cells if cell.times}
    if not weights:
        return 0.0, 0.0
    if len(weights) == 1:  # nearly always; and much faster
        times = sorted(chain.from_iterable(cell.times for cell in cells))
        last = len(times) - 1
        return round(times[last // 2], 3), round(times[math.ceil(0.95 * last)], 3)
    pairs = sorted((seconds, cell.weight) for cell in cells for seconds in cell.times)
    sums = list(accumulate(weight for _, weight in pairs))
    half, most = bisect_left(sums, 0.5 * sums[-1]), bisect_left(sums, 0.95 * sums[-1])
    return round(pairs[half][0], 3), round(pairs[most][0], 3)
