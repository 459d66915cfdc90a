"""The end of a run over hosts, as lines and rows: the same for a run that has just ended and
for one that is read from its record. Nothing here prints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from cartwheel.decoded import Fields, Table
from cartwheel.errors import Exit
from cartwheel.host.layout import content_of
from cartwheel.host.wire.codec import to_json
from cartwheel.telling import Place, hosts_text
from cartwheel.terminal.format import clean, half_within, seconds_text
from cartwheel.terminal.processes import connections_text, draining_lines
from cartwheel.terminal.progress import Progress

if TYPE_CHECKING:
    from cartwheel.commands.site import Site
    from cartwheel.fleet.report import HostReport, Report
    from cartwheel.telling import ErrorFields

UNKNOWN = "?"
HEADS = ("HOST", "OUTCOME", "LIVE", "PREVIOUS", "TIME")
_OUTCOMES = {
    "deployed": "deployed",
    "unchanged": "unchanged",
    "prepared": "prepared",
    "reverted": "failed, rolled back",
    "failed": "failed, nothing changed",
    "attention": "needs attention",
    "not-tried": "not tried, nothing changed",
}
_DONE = {"rollback": "rolled back", "restart": "restarted"}
MOST_ALIKE = 8  # more hosts than this with one outcome share a row
_LEAST_COMPARED = 5  # with fewer hosts it is plain to see which one was slow
_SLOWEST = 2


def notes_of(run: Report) -> list[str]:
    return [f"note: {note}" for note in dict.fromkeys(n for host in run.hosts for n in host.notes)]


def places_of(run: Report, progress: Progress) -> dict[str, Place]:
    """Where each host is, for the text of its failure."""
    return {host.host: Place(progress.step_of(host.host), _phrase(host)) for host in run.hosts}


def rows_of(run: Report, progress: Progress, *, apart: bool = False) -> list[tuple[str, ...]]:
    """The final table. Many hosts with the same outcome share a row, unless `apart`; a host that
    needs attention never does."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for host in run.hosts:
        alike.setdefault(_came_to(host, run.kind), []).append(host.host)
    rows: list[tuple[str, ...]] = []
    for host in run.hosts:
        row = _came_to(host, run.kind)
        hosts = alike[row]
        if apart or len(hosts) <= MOST_ALIKE or host.outcome == "attention":
            rows.append((host.host, *row, seconds_text(progress.seconds_of(host.host)) or "-"))
        elif host.host == hosts[0]:
            longest = seconds_text(max(progress.seconds_of(one) or 0.0 for one in hosts))
            rows.append((hosts_text(hosts), *row, f"up to {longest}" if longest else "-"))
    return rows


def _came_to(host: HostReport, kind: str) -> tuple[str, str, str]:
    return outcome_text(host.outcome, kind), _release(host.serves), _release(host.before)


def closing_of(run: Report, progress: Progress, code: int) -> Iterator[str]:
    """The lines after the table: hosts to look at, slow hosts, and the run in one line."""
    unknown = [host.host for host in run.hosts if host.serves == UNKNOWN]
    if unknown:
        yield (
            f"{hosts_text(unknown)}: `fab status -H {','.join(unknown)}` shows which release is"
            f" live"
        )
    behind = [host.host for host in run.hosts if _may_be_behind(host, run)]
    if behind:
        what = "it" if len(behind) == 1 else "they"
        yield (
            f"{hosts_text(behind)}: once {what} can be reached, run `fab status --finish` for all"
            " hosts, or `fab deploy`, to finish this deploy"
        )
    for host in run.hosts:
        yield from (f"{host.host}: {line}" for line in draining_lines(host.draining))
    yield from _left_open({host.host: host.connections for host in run.hosts if host.connections})
    yield from slowest_of({host.host: progress.busy_seconds(host.host) for host in run.hosts})
    yield _sum_up(run, code)


def _may_be_behind(host: HostReport, run: Report) -> bool:
    """Whether other hosts of the fleet have confirmed and, as far as is known, this one has not."""
    goes_forward = run.kind == "deploy" and any(one.outcome == "deployed" for one in run.hosts)
    return goes_forward and host.outcome == "attention" and not _serves(host, run.release)


def _serves(host: HostReport, release: str) -> bool:
    """Whether this release is live, also under another name because it was made again there."""
    return content_of(host.serves or "") == content_of(release)


def _left_open(counts: Mapping[str, int]) -> Iterator[str]:
    """Connections of old releases; many hosts share a line."""
    if len(counts) > MOST_ALIKE:
        counts = {hosts_text(list(counts)): sum(counts.values())}
    yield from (f"{who}: {connections_text(count)}" for who, count in counts.items())


def slowest_of(busy: Mapping[str, float]) -> Iterator[str]:
    """The hosts that worked longest; waiting for other hosts does not count."""
    slowest = sorted(busy, key=lambda host: busy[host], reverse=True)[:_SLOWEST]
    texts = [f"{host} {seconds_text(busy[host])}" for host in slowest if seconds_text(busy[host])]
    half = seconds_text(half_within(busy.values())) if texts else ""
    if len(busy) >= _LEAST_COMPARED and half:
        yield f"slowest: {', '.join(texts)}; half of the hosts within {half}"


def _sum_up(run: Report, code: int) -> str:
    took = seconds_text(run.seconds)
    named = [host.serves for host in run.hosts if host.outcome == "deployed"] or [run.release]
    is_one = len({content_of(release or "") for release in named}) == 1
    what = f"{run.kind} {named[0]}".rstrip() if is_one else run.kind
    if code != Exit.OK:
        after = f" after {took}" if took else ""
        return f"{what} failed{after}, exit code {code}"
    if all(host.outcome == "unchanged" for host in run.hosts):
        besides = "" if notes_of(run) else ", nothing changed"
        return f"{what}: already live{besides}" + (f" ({took})" if took else "")
    return f"{what} done" + (f" in {took}" if took else "")


def site_lines(sites: Iterable[Site]) -> Iterator[str]:
    """The addresses to open, with their answers to a request from here."""
    for site in sites:
        if site.problem:
            yield f"open: {site.url} does not answer from here: {site.problem}"
        else:
            to = f" to {site.target}" if site.target else ""
            yield f"open: {site.url} (answers {site.status}{to})"


def hosts_fields(run: Report, progress: Progress) -> list[Table]:
    """The table as JSON fields; `report_of` reads it."""
    return [
        {
            "host": host.host,
            "outcome": host.outcome,
            "serves": None if host.serves == UNKNOWN else host.serves,
            "serves_known": host.serves != UNKNOWN,
            "before": None if host.before == UNKNOWN else host.before,
            "seconds": _rounded(progress.seconds_of(host.host)),
            "notes": list(host.notes),
            "round_trips": host.round_trips,
            "draining": [to_json(one) for one in host.draining],
            "connections": host.connections,
            "error": error_fields(host.error) if host.error else None,
        }
        for host in run.hosts
    ]


def report_of(result: Fields) -> Report | None:
    """The report from a result's fields, without its errors; None if the result has none."""
    from cartwheel.fleet.report import HostReport, Report

    if "release" not in result:
        return None
    hosts = tuple(
        HostReport(
            one["host"],
            one["outcome"],
            one["serves"] if one["serves_known"] else UNKNOWN,
            one["before"],
            notes=tuple(one["notes"]),
            connections=one.get("connections", 0),  # records of earlier versions have none
        )
        for one in result["hosts"]
    )
    return Report(
        result["release"], result["version"], hosts, result["seconds"], kind=result["word"]
    )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def error_fields(error: BaseException) -> ErrorFields:
    """An error as JSON fields, without control sequences."""
    from cartwheel import telling

    fields = telling.error_fields(error)
    return {**fields, "detail": clean(fields["detail"])}


def outcome_text(outcome: str, kind: str) -> str:
    """What happened to a host, as text."""
    if outcome == "deployed":
        return _DONE.get(kind, "deployed")
    return _OUTCOMES.get(outcome, outcome)


def _release(release: str | None) -> str:
    return "not known" if release == UNKNOWN else release or "nothing"


def _phrase(host: HostReport) -> str:
    if host.serves == UNKNOWN:
        return f"not known; `fab status -H {host.host}` shows it"
    return _release(host.serves) + (", as before" if host.serves == host.before else "")
