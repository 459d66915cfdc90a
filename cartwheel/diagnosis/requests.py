"""Requests that fail, or take much longer than they did, by the web server's log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cartwheel.diagnosis.cause import SYMPTOM, Case, Cause
from cartwheel.diagnosis.chance import chance

if TYPE_CHECKING:
    from cartwheel.host.wire.diagnosis import Minute, Url, Visits

FAILS = "answers-5xx"
SLOW = "slow"
LEFT = "client-gave-up"

# Every large site has some 5xx: bots ask for odd things. 0.5 % is what we call healthy.
USUAL_SHARE = 0.005
# A time is bad if more than this fails; with a few requests chance makes less than this.
_BAD_SHARE = 0.02
# How improbable failures must be at the usual share: there are some hundred times to be unlucky in.
CHANCE = 1e-4
_LEAST_FAILED = 3
# Failures that are no further apart are one trouble.
_GAP_SECONDS = 300.0
_LEAST_GOOD = 3
# All of the time: fewer fail, but they do so steadily.
_STEADY_SHARE, _STEADY_FAILED = 0.01, 20
# One path, with too few requests to be seen among all: it worked, and now it mostly fails.
PATH_FAILED, PATH_SHARE, _PATH_WORKED = 5, 0.5, 10
_NAMED_SHARE = 0.6  # of all failures: then the path is named

# Much slower than before, and too slow for a person: a median of 0.8 s, or 3 s for one in twenty.
_TIMES_SLOWER = 5.0
_SLOW_USUAL, _SLOW_TAIL = 0.8, 3.0
_FEW, _MANY = 3, 20  # requests, for a median and a 95th percentile that mean something
_LEAST_SLOW = 8
# Without anything to compare with: nobody wants that to be usual.
_ALWAYS_SLOW, _ALWAYS_COUNT, _ALWAYS_SHARE = 2.0, 20, 0.1
_MOST_PATHS = 2  # more slow ones than this: it is the app, not a page
_LEFT_SHARE, _LEFT_USUAL = 0.05, 0.02  # a hasty click makes some of them everywhere
_SHOWN = 4
# What slow answers make happen.
_FOLLOWS_FROM_SLOW = frozenset({LEFT, "web-errors-timeout", "web-errors-connections"})


@dataclass(frozen=True)
class Run:
    """A time in which something was wrong."""

    begin: float
    end: float
    count: int
    failed: int


def causes(case: Case) -> Iterator[Cause]:
    """5xx, slow answers, and clients that did not wait."""
    visits = case.found.visits
    if visits is None:
        return
    yield from _failing(case, visits)
    slow = list(_slow(case, visits))
    yield from slow or _given_up(case, visits)


# --- failures -----------------------------------------------------------------------------


def _failing(case: Case, visits: Visits) -> Iterator[Cause]:
    status = case.found.status
    if (status.maintenance or status.stopped) and visits.by_server >= visits.failed:
        return  # somebody closed the site, and the web server says so
    run = failing_run(visits)
    path = next((one for one in visits.failing if _began_to_fail(one)), None)
    if run is not None:
        worst = max((_within(url, run) for url in visits.failing), default=None, key=_failed)
        is_most = worst is not None and worst.failed >= _NAMED_SHARE * run.failed
        yield _failure(case, visits, run, worst if is_most else None)
    elif path is not None:
        begin, end = path.first_failed or case.found.since, case.found.time
        run = Run(begin, end, path.count, path.failed)
        yield _failure(case, visits, run, _within(path, run))


def _failed(url: Url) -> int:
    return url.failed


def _within(url: Url, run: Run) -> Url:
    found = within(url, run.begin, run.end)
    return replace(found, count=max(found.failed, min(found.count, run.count)))


def within(url: Url, begin: float, end: float) -> Url:
    """A path with the requests of that time alone."""
    spans = [one for one in url.spans if one.at + one.seconds > begin and one.at <= end]
    return replace(
        url, failed=sum(one.failed for one in spans), count=sum(one.count for one in spans)
    )


def failing_run(visits: Visits) -> Run | None:
    """The last time in which clearly more requests failed than usual."""
    read = 1.0 if visits.counted else visits.part
    runs = _runs(visits)
    for run in reversed(runs):
        failed, count = run.failed * read, run.count * read
        share = run.failed / max(1, run.count)
        is_many = failed >= _LEAST_FAILED and share >= _BAD_SHARE
        if is_many and chance(failed, count, USUAL_SHARE) < CHANCE:
            return run
    failed, count = visits.failed * read, visits.count * read
    steady = failed >= _STEADY_FAILED and failed >= _STEADY_SHARE * count
    if runs and steady and chance(failed, count, USUAL_SHARE) < CHANCE:
        return Run(runs[0].begin, runs[-1].end, visits.count, visits.failed)
    return None


def _runs(visits: Visits) -> list[Run]:
    """Bad times, those close to each other as one."""
    runs: list[Run] = []
    between = 0
    for minute in visits.minutes:
        bad = minute.failed > 0 and minute.failed >= _BAD_SHARE * minute.count
        if not bad:
            between += minute.count
            continue
        end = minute.at + visits.step
        begin = minute.first_failed or minute.at
        last = runs[-1] if runs else None
        if last is not None and minute.at - last.end <= _GAP_SECONDS:
            failed = last.failed + minute.failed
            runs[-1] = Run(last.begin, end, last.count + between + minute.count, failed)
        else:
            runs.append(Run(begin, end, minute.count, minute.failed))
        between = 0
    return runs


def _began_to_fail(url: Url) -> bool:
    """Whether a path worked, and then mostly failed until its last request."""
    failed = count = 0
    worked = url.before.count - url.before.failed if url.before else 0
    spans = list(url.spans)
    while spans and spans[-1].failed >= PATH_SHARE * spans[-1].count:
        failed, count = failed + spans[-1].failed, count + spans[-1].count
        spans.pop()
    worked += sum(one.count - one.failed for one in spans)
    failed_before = sum(one.failed for one in spans)
    return failed >= PATH_FAILED and worked >= _PATH_WORKED and failed_before < 0.1 * worked


def _failure(case: Case, visits: Visits, run: Run, path: Url | None) -> Cause:
    about = "" if visits.counted else "about "
    if path is not None:
        title = (
            f"{path.path} fails with {_codes(path)}:"
            f" {about}{path.failed:,} of its {path.count:,} requests"
        )
    else:
        title = (
            f"{_percent(run.failed, run.count)} of the requests fail with 5xx:"
            f" {about}{run.failed:,} of {run.count:,}"
        )
    by_server = visits.by_server >= 0.5 * visits.failed
    web = case.found.status.web_server.kind
    todo = f"`fab logs -H {case.host} --errors` shows what the app logged then"
    if by_server:
        title += f"; {web} gets no answer from the app"
        todo = f"`fab status -H {case.host}` shows whether the app runs, `fab logs` what it logged"
    # It is so now unless there were good answers since.
    after = [one for one in visits.minutes if one.at >= run.end]
    is_over = sum(one.count - one.failed for one in after) >= _LEAST_GOOD
    last = run.end if is_over else None
    return Cause(
        FAILS,
        title,
        todo,
        SYMPTOM + (5 if run.failed > 0.5 * run.count else 0),
        evidence=tuple(_evidence(case, visits, run)),
        began=run.begin,
        last=last,
        explains=frozenset(),
    )


def _evidence(case: Case, visits: Visits, run: Run) -> Iterator[str]:
    urls = sorted((_within(url, run) for url in visits.failing), key=lambda url: -url.failed)
    for url in filter(_failed, urls[:_SHOWN]):
        yield f"{url.path}: {url.failed:,} of {url.count:,} ({_codes(url)})"
    if visits.by_server:
        web = case.found.status.web_server.kind
        yield f"{visits.by_server:,} of {visits.failed:,} are {web}'s own answers, not the app's"
    if visits.part < 1.0 and not visits.counted:
        yield f"estimated from {visits.part:.0%} of the access log"


def _codes(url: Url) -> str:
    return ", ".join(sorted(url.statuses, key=lambda one: -url.statuses[one])[:3]) or "5xx"


def _percent(part: float, whole: float) -> str:
    share = 100.0 * part / max(1.0, whole)
    return f"{share:.2g} %" if share < 1 else f"{share:.0f} %"


# --- slow answers -------------------------------------------------------------------------


@dataclass(frozen=True)
class Slower:
    """A path that became slow: what it took before, and since when what."""

    url: Url
    usual_before: float
    slow_before: float
    usual: float
    slow: float
    count: int
    begin: float
    end: float


def slower(url: Url, part: float) -> Slower | None:
    """The last time in which a path took much longer than usual; None if there was none, or
    nothing to compare it with. `part`: how much of the log was read."""
    spans = [replace(span, count=round(span.count * part)) for span in url.spans]
    base = _base(url, spans)
    if base is None:
        return None
    run: list[Minute] = []
    quick = 0
    for span in reversed(spans):
        if _is_slow(span, base):
            run.insert(0, span)
            quick = 0
        elif span.count >= _FEW or span.usual:
            quick += 1
            if run and quick > 1:
                break
    count = sum(span.count for span in run)
    if count < _LEAST_SLOW:
        return None
    usual = max(span.usual for span in run)
    slow = max(span.slow for span in run)
    return Slower(
        url, *base, usual, slow, round(count / part), run[0].at, run[-1].at + run[-1].seconds
    )


def _base(url: Url, spans: Sequence[Minute]) -> tuple[float, float] | None:
    """The median and the 95th percentile that are usual: those of the day before, or of the best
    quarter of this time if they are less, or those where the day before is not known."""
    known = [span for span in spans if span.count >= _FEW and span.slow > 0]
    quiet = [
        (span.usual, span.slow) for span in sorted(known, key=lambda one: (one.usual, one.slow))
    ]
    found = [(url.before.usual, url.before.slow)] if url.before else []
    if len(quiet) > 1:
        found.append(quiet[(len(quiet) - 1) // 4])
    return min(found, default=None)


def _is_slow(span: Minute, base: tuple[float, float]) -> bool:
    usual, slow = base
    by_median = span.count >= _FEW and span.usual >= max(_SLOW_USUAL, _TIMES_SLOWER * usual)
    by_tail = span.count >= _MANY and span.slow >= max(_SLOW_TAIL, _TIMES_SLOWER * slow)
    return by_median or by_tail


def _slow(case: Case, visits: Visits) -> Iterator[Cause]:
    found = [one for url in visits.slowest if (one := slower(url, visits.part)) is not None]
    if not found:
        yield from _always_slow(case, visits)
        return
    found.sort(key=lambda one: -one.count * one.usual)
    first = found[0]
    quick = [url for url in visits.slowest if url.count >= _MANY]
    if len(found) > _MOST_PATHS and 2 * len(found) >= len(quick):
        title = f"most pages have become slow, {first.url.path} among them: {_compared(first)}"
    else:
        title = f"{first.url.path} has become slow: {_compared(first)}"
    evidence = [f"{one.url.path}: {_compared(one)}; {one.count:,} requests" for one in found]
    begin, end = min(one.begin for one in found), max(one.end for one in found)
    yield _slowness(case, visits, title, evidence[:_SHOWN], begin, end)


def _compared(one: Slower) -> str:
    return f"{_seconds(one.usual)} usually, before it was {_seconds(one.usual_before)}" + (
        f" (one in twenty: {_seconds(one.slow)}, before {_seconds(one.slow_before)})"
    )


def _always_slow(case: Case, visits: Visits) -> Iterator[Cause]:
    """Nothing shows that it was ever better, but it is not good."""
    for url in visits.slowest:
        large = url.count >= max(_ALWAYS_COUNT, _ALWAYS_SHARE * visits.count)
        if large and url.usual >= _ALWAYS_SLOW:
            title = f"{url.path} is slow: {_seconds(url.usual)} usually"
            share = f"{url.count:,} of {visits.count:,} requests"
            evidence = [f"{url.path}: one in twenty takes {_seconds(url.slow)}; {share}"]
            yield _slowness(case, visits, title, evidence, None, None)
            return


def _slowness(
    case: Case,
    visits: Visits,
    title: str,
    evidence: list[str],
    began: float | None,
    end: float | None,
) -> Cause:
    left = visits.statuses.get("499", 0)
    if left:
        evidence.append(f"{left:,} clients did not wait for their answer")
    lately = end is None or end >= case.found.time - max(visits.step, 60.0)
    todo = (
        f"see what the app waits for: `fab logs -H {case.host}`, and `py-spy dump` of a worker"
        f" (`fab ps -H {case.host}` has its pid)"
    )
    return Cause(
        SLOW,
        title,
        todo,
        SYMPTOM + 6,
        tuple(evidence),
        began,
        None if lately else end,
        _FOLLOWS_FROM_SLOW | ({FAILS} if _mostly_timeouts(visits) else set()),
    )


def _mostly_timeouts(visits: Visits) -> bool:
    """Whether most failures are 504: the web server waited too long."""
    return 2 * visits.statuses.get("504", 0) > visits.failed


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value >= 1.0 else f"{1000 * value:.0f} ms"


# --- clients that did not wait --------------------------------------------------------------


def _given_up(case: Case, visits: Visits) -> Iterator[Cause]:
    left = [minute for minute in visits.minutes if minute.given_up]
    count = visits.statuses.get("499", 0)
    read = visits.part
    if count * read < _MANY or count < _LEFT_SHARE * visits.count:
        return
    if chance(count * read, visits.count * read, _LEFT_USUAL) >= CHANCE:
        return
    share = _percent(count, visits.count)
    title = f"{share} of the clients did not wait for their answer: {count:,} of {visits.count:,}"
    bad = [one for one in left if one.given_up >= _LEFT_SHARE * one.count] or left
    last = bad[-1].at + visits.step if bad else None
    slow = [f"{url.path}: {_seconds(url.slow)} for one in twenty" for url in visits.slowest]
    yield Cause(
        LEFT,
        title,
        f"`fab logs -H {case.host}` says what the app did; `fab ps -H {case.host}` shows its"
        " workers",
        SYMPTOM - 3,
        tuple(slow[:_SHOWN]),
        bad[0].at if bad else None,
        None if last is None or last >= case.found.time - visits.step else last,
    )
