"""What visitors asked for and what they got, from the access log of the site."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Tuple

from cartwheel.host.diagnose import log_window
from cartwheel.host.diagnose.found import Found, Window
from cartwheel.host.diagnose.log_window import Bounds, Log, Part
from cartwheel.host.diagnose.paths import grouped
from cartwheel.host.diagnose.visits_tally import Tally
from cartwheel.host.system.context import Context
from cartwheel.host.web.chosen import web_server
from cartwheel.host.web.server import WebServer
from cartwheel.host.wire.diagnosis import Sign, Url, Visits

# 40 MB are some 130,000 lines: half a second of one processor.
_BOUNDS = Bounds(whole=36 << 20, newest=10 << 20, spread=22 << 20, block=64 << 10)
_BEFORE_BOUNDS = Bounds(whole=3 << 20, newest=0, spread=3 << 20, block=32 << 10)
_READ_SECONDS = 0.8
_SCAN_SECONDS = 1.8  # from the begin: to find each failed request of a large log
_COUNT_SECONDS = 2.5
_MOST_FAILED = 20_000  # lines; where more fail, a part of them says the same
_MOST_STEPS = 240
# Short times have short steps: what happened within the last minutes is to be seen too.
_STEPS = (10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0)
_SPANS = 24
_BEFORE_SECONDS = 86400.0
_HOUR = 3600.0
_LEAST_BEFORE = 20  # requests, for a median and a 95th percentile that mean something
_MOST_URLS = 10
# Answers of the web server that a limit in its configuration makes.
_LIMITS = {413: "web-413", 429: "web-429"}


def look(ctx: Context, window: Window) -> Found:
    """The requests of that time, and those of the day before for a comparison."""
    web = web_server(ctx.at)
    return read(web, _log_of(ctx, web), window)


def read(web: WebServer, path: Path, window: Window) -> Found:
    """The same from this access log."""
    began = time.monotonic()
    with log_window.opened(path, window, _time_of(web)) as log:
        if not log.size:
            return Found(unread=log.unread)
        tally = Tally(grouped, _cell(window))
        counted, part = _tallied(web, log, began, tally)
        unread = [*log.unread]
    if tally.strange > tally.lines // 100 + 1:
        share = f"{tally.strange} of {tally.lines} lines"
        unread.append(f"{path}: {share} are not of the format that the site's template has")
    before = _before(web, path, window)
    return Found(
        visits=_visits(tally, before, counted=counted, part=part, window=window),
        signs=tuple(_signs(tally)),
        unread=tuple(unread),
    )


def _log_of(ctx: Context, web: WebServer) -> Path:
    """The site's log; on a host that only balances, that of the balancer."""
    own, _ = web.logs(ctx.at.app)
    balancer, _ = web.logs(ctx.at.balancer_site)
    return own if own.exists() or not balancer.exists() else balancer


def _time_of(web: WebServer) -> Callable[[str], Optional[float]]:
    return lambda line: web.look_at(line)[0]


def _cell(window: Window) -> float:
    """How fine the time is: as the steps are, or finer."""
    return max(_STEPS[0], (window.until - window.since) / (3 * _MOST_STEPS))


def _tallied(web: WebServer, log: Log, began: float, tally: Tally) -> Tuple[bool, float]:
    """Count what is read of a log: whether each failed request is in it, and how much was read."""
    parts = log_window.parts(log, _BOUNDS, began + _READ_SECONDS)
    failed, is_whole = None, log.size <= _BOUNDS.whole
    if not is_whole:
        deadline = began + _SCAN_SECONDS
        failed = log_window.matching(log, _BOUNDS.newest, web.failed, _MOST_FAILED, deadline)
    newest = [one for one in parts if one.weight == 1.0]
    start = time.monotonic()
    for one in newest:
        tally.add(web, one)
    spread = [one for one in parts if one.weight > 1.0]
    stride = _stride(newest, spread, time.monotonic() - start, began + _COUNT_SECONDS)
    for one in spread[::stride]:
        fewer = replace(one, weight=one.weight * stride)
        tally.add(web, fewer, without_failed=failed is not None)
    if failed is not None:
        tally.add_failed(web, b"".join(failed))
    read = sum(len(one.data) for one in (*newest, *spread[::stride]))
    return is_whole or failed is not None, 1.0 if is_whole else min(1.0, read / log.size)


def _stride(newest: List[Part], spread: List[Part], took: float, until: float) -> int:
    """Which of the blocks can be counted in time: 1 for all, 2 for every second one. A host may be
    busy with other things: counting the newest part shows how long it takes."""
    speed = took / max(1, sum(len(one.data) for one in newest))
    left = max(0.05, until - time.monotonic())
    return max(1, math.ceil(speed * sum(len(one.data) for one in spread) / left))


def _before(web: WebServer, path: Path, window: Window) -> Tally:
    """A part of the day before. What is packed is left out: it would take too long."""
    tally = Tally(grouped, _HOUR / 6)
    early = Window(window.since - _BEFORE_SECONDS, window.since)
    with log_window.opened(path, early, _time_of(web), packed=False) as log:
        deadline = time.monotonic() + _READ_SECONDS / 4
        for one in log_window.parts(log, _BEFORE_BOUNDS, deadline):
            tally.add(web, one)
    return tally


def _visits(
    tally: Tally, before: Tally, *, counted: bool, part: float, window: Window
) -> Optional[Visits]:
    if not tally.count:
        return None
    step = _step(tally.last - tally.first)
    minutes = tuple(tally.minutes(step))
    span = step * math.ceil(max(1.0, (tally.last - tally.first) / step) / _SPANS)
    usual, slow = tally.times()
    base = before.whole()
    return Visits(
        part=round(part, 4),
        count=round(tally.count),
        failed=round(tally.failed),
        usual=usual,
        slow=slow,
        statuses={str(status): round(n) for status, n in sorted(tally.statuses.items())},
        failing=tuple(_failing(tally, before, span)),
        slowest=tuple(_slowest(tally, before, span)),
        minutes=minutes,
        step=step,
        by_server=round(tally.by_server),
        before=base if base and base.count >= _LEAST_BEFORE else None,
        hours=_hours(before, window.since),
        agents=tally.agents({one.client for one in minutes if one.client}),
        counted=counted,
    )


def _step(seconds: float) -> float:
    fitting = (step for step in _STEPS if seconds / step <= _MOST_STEPS - 2)
    return next(fitting, seconds / (_MOST_STEPS - 2))  # at least a cell


def _failing(tally: Tally, before: Tally, span: float) -> Iterator[Url]:
    failed = [path for path in tally.paths() if tally.failed_of(path)]
    worst = sorted(failed, key=lambda path: (-tally.failed_of(path), path))[:_MOST_URLS]
    return (_url(tally, before, path, span) for path in worst)


def _slowest(tally: Tally, before: Tally, span: float) -> Iterator[Url]:
    """Those that took most time, beyond what the same path took in its best time."""
    urls = [_url(tally, before, path, span) for path in tally.busiest(3 * _MOST_URLS)]
    return iter(sorted(urls, key=lambda url: -_excess(url))[:_MOST_URLS])


def _excess(url: Url) -> float:
    usual = [span.usual for span in url.spans if span.usual]
    usual += [url.before.usual] if url.before else []
    least = min(usual, default=0.0)
    return sum(span.count * (span.usual + span.slow - 2.0 * least) for span in url.spans)


def _url(tally: Tally, before: Tally, path: str, span: float) -> Url:
    usual, slow = tally.times(path)
    base = before.whole(path)
    return Url(
        path=path,
        count=round(tally.count_of(path)),
        failed=round(tally.failed_of(path)),
        usual=usual,
        slow=slow,
        first_failed=tally.first_failed(path),
        statuses={str(status): round(n) for status, n in tally.statuses_of(path)},
        spans=tuple(tally.spans(span, path)),
        before=base if base and base.count >= _LEAST_BEFORE else None,
    )


def _hours(before: Tally, since: float) -> Tuple[float, ...]:
    """The requests a minute in each hour of the day before that the log has."""
    counts: Dict[int, float] = {}
    for minute in before.minutes(600.0):
        hour = int((minute.at - since) // _HOUR)
        counts[hour] = counts.get(hour, 0.0) + minute.count
    return tuple(round(counts[hour] / 60.0, 2) for hour in sorted(counts))


def _signs(tally: Tally) -> Iterator[Sign]:
    """What limits in the web server's configuration refused, by path."""
    for (kind, path), (count, first, last) in tally.limited(_LIMITS).items():
        yield Sign(kind, path, round(count), first, last)
