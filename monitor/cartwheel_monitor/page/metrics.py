"""What a Prometheus reads, in its text format. Pure: from `figures` to text.

Counters come from the store's totals, which only grow: neither a restart of the watcher or of the
page, nor rows that are deleted, change them. A store that begins anew begins with 0, which `rate`
takes for a restart. What is not known now has no sample, rather than an old value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from cartwheel.host.wire.look import BOUNDS, AppLook, HostLook
from cartwheel_monitor import records
from cartwheel_monitor.page.reading.checks import clock_of
from cartwheel_monitor.page.reading.figures import Figures, Sums
from cartwheel_monitor.schema import TIMES

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FRESH_SECONDS = 300.0
"""What was seen longer ago says nothing about now (limits.stale_seconds)."""
STATES = ("locked", "pending", "frozen", "closed", "stopped")
_FAILED = ("failed", "timeout", "cut")
_HOST, _APP = ("app", "host"), ("app", "host")
_SITE, _DISK = ("app", "site"), ("app", "host", "path")
_PROCESS, _TIMER = ("app", "host", "process", "slot"), ("app", "host", "timer")
_MESSENGER = ("app", "messenger")

GAUGES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "cartwheel_site_up": ("Whether the last answer of the site was good.", _SITE),
    "cartwheel_site_probe_duration_seconds": ("How long the last answer took.", _SITE),
    "cartwheel_site_certificate_expiry_timestamp_seconds": (
        "When the certificate ends that the site shows.",
        _SITE,
    ),
    "cartwheel_host_up": ("Whether the host could be looked into, the last time.", _HOST),
    "cartwheel_host_look_duration_seconds": ("How long the last look took.", _HOST),
    "cartwheel_host_look_timestamp_seconds": ("When the host last answered a look.", _HOST),
    "cartwheel_host_look_unread": ("Parts that the last look could not read.", _HOST),
    "cartwheel_host_memory_size_bytes": ("Memory of the host.", _HOST),
    "cartwheel_host_memory_available_bytes": ("Memory that is available (MemAvailable).", _HOST),
    "cartwheel_host_load1": ("Load average of one minute.", _HOST),
    "cartwheel_host_cpus": ("Processors of the host.", _HOST),
    "cartwheel_host_clock_offset_seconds": (
        "By how much the host's clock is ahead of the monitor's, for sure.",
        _HOST,
    ),
    "cartwheel_disk_size_bytes": ("Size of the file system.", _DISK),
    "cartwheel_disk_free_bytes": ("Room that is free for users.", _DISK),
    "cartwheel_disk_inodes": ("Inodes of the file system.", _DISK),
    "cartwheel_disk_free_inodes": ("Inodes that are free.", _DISK),
    "cartwheel_disk_read_only": ("Whether the file system is read-only.", _DISK),
    "cartwheel_front_up": (
        "Whether the web server of the host answers for the app, on loopback.",
        _APP,
    ),
    "cartwheel_app_state": (
        "Whether a run works on the app (locked), a switch is not confirmed (pending), deploys are"
        " frozen, it is in maintenance (closed) or stopped.",
        ("app", "host", "state"),
    ),
    "cartwheel_process_up": ("Whether the process runs that should.", _PROCESS),
    "cartwheel_process_memory_bytes": ("Memory of the process and its children.", _PROCESS),
    "cartwheel_release_info": (
        "The live release; always 1.",
        ("app", "host", "release", "version"),
    ),
    "cartwheel_release_live_timestamp_seconds": ("Since when the release is live.", _APP),
    "cartwheel_deploy_last_timestamp_seconds": (
        "When the last deploy or rollback on the host ended.",
        _APP,
    ),
    "cartwheel_deploy_last_success": ("Whether that was confirmed.", _APP),
    "cartwheel_timer_last_success": (
        "Whether the timer's last run succeeded; no sample while it runs, and before the first.",
        _TIMER,
    ),
    "cartwheel_timer_last_run_timestamp_seconds": ("When the last run began.", _TIMER),
    "cartwheel_timer_late_seconds": ("How long ago the next run should have begun.", _TIMER),
    "cartwheel_timer_paused": ("Whether somebody has paused the timer.", _TIMER),
    "cartwheel_incidents_open": ("Incidents that are open, by kind.", ("app", "kind")),
    "cartwheel_messenger_up": ("Whether the last message got there.", _MESSENGER),
    "cartwheel_messages_waiting": ("Messages that the messenger has not taken.", _MESSENGER),
    "cartwheel_heartbeat_up": ("Whether the last sign of life arrived.", ("app",)),
    "cartwheel_store_up": ("Whether the monitor's store can be read and written.", ("app",)),
    "cartwheel_watcher_up": ("Whether the watcher runs. 0: nothing else here is of now.", ()),
    "cartwheel_watcher_timestamp_seconds": ("When the watcher last said something.", ()),
    "cartwheel_lists_unread": ("Lists of projects that the monitor cannot read.", ()),
}
COUNTERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "cartwheel_site_probes_total": ("How often the site was asked.", _SITE),
    "cartwheel_site_probes_failed_total": ("How often its answer was not good.", _SITE),
    "cartwheel_site_probe_seconds_total": ("How long its answers took together.", _SITE),
    "cartwheel_host_looks_total": ("How often the host was looked into.", _HOST),
    "cartwheel_host_looks_failed_total": ("How often that failed.", _HOST),
    "cartwheel_requests_total": ("Requests of visitors that ended.", _APP),
    "cartwheel_requests_failed_total": ("Those of them with a status of 500 or above.", _APP),
    "cartwheel_process_restarts_total": ("Restarts by systemd since it was started.", _PROCESS),
    "cartwheel_timer_runs_total": ("Runs of the timer.", _TIMER),
    "cartwheel_store_lost_looks_total": (
        "Looks and probes that were never kept, since the watcher's start.",
        ("app",),
    ),
    "cartwheel_messages_given_up_total": (
        "Messages that the messenger never heard, since the watcher's start.",
        _MESSENGER,
    ),
}
HISTOGRAM = "cartwheel_request_duration_seconds"
_HISTOGRAM = ("How long the requests of visitors took.", _APP)

Sample = tuple[str, tuple[str, ...], "float | None"]


@dataclass(frozen=True)
class Monitor:
    """What is known of the monitor itself. `said_at`: None if it never said anything."""

    is_up: bool
    said_at: float | None
    unread: int


def text(every: Iterable[Figures], monitor: Monitor, now: float) -> bytes:
    """All samples of these projects. What is not known has none."""
    gauges: dict[str, dict[tuple[str, ...], float]] = {name: {} for name in GAUGES}
    counters: dict[str, dict[tuple[str, ...], float]] = {name: {} for name in COUNTERS}
    histogram = HistogramMetricFamily(HISTOGRAM, _HISTOGRAM[0], labels=_HISTOGRAM[1])
    for name, labels, value in _of_monitor(monitor):
        _put(gauges[name], labels, value)
    for one in every:
        for name, labels, value in _samples(one, monitor, now):
            _put((gauges if name in gauges else counters)[name], labels, value)
        for (app, host, _about), sums in one.totals.items():
            if app == one.name and host and sums.get("requests") is not None:
                _add_times(histogram, (_clean(app), _clean(host)), sums)
    families: list[Metric] = []
    for name, found in gauges.items():
        gauge = GaugeMetricFamily(name, GAUGES[name][0], labels=GAUGES[name][1])
        families.append(gauge)
        for labels, value in found.items():
            gauge.add_metric(labels, value)
    for name, found in counters.items():
        counter = CounterMetricFamily(name, COUNTERS[name][0], labels=COUNTERS[name][1])
        families.append(counter)
        for labels, value in found.items():
            counter.add_metric(labels, value)
    registry = CollectorRegistry()
    registry.register(_Ready([one for one in (*families, histogram) if one.samples]))
    return generate_latest(registry)


class _Ready(Collector):
    """Families that are filled already."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _put(found: dict[tuple[str, ...], float], labels: tuple[str, ...], value: float | None) -> None:
    """Keep one value for each set of labels, also where a host repeats itself."""
    if value is not None:
        found[tuple(map(_clean, labels))] = value


def _clean(said: str) -> str:
    """What a host says may have halves of characters, which no UTF-8 has."""
    return said.encode("utf-8", "replace").decode()


def _add_times(family: HistogramMetricFamily, labels: tuple[str, ...], sums: Sums) -> None:
    counts = list(accumulate(int(sums.get(name) or 0) for name in TIMES))
    bounds = [*(f"{bound:g}" for bound in BOUNDS), "+Inf"]
    took = sums.get("request_seconds")
    family.add_metric(labels, list(zip(bounds, map(float, counts))), took)
    if took is None:  # hosts of an earlier version do not say it
        names = dict(zip(("app", "host"), labels))
        family.add_sample(f"{HISTOGRAM}_count", names, float(counts[-1]))


def _of_monitor(one: Monitor) -> Iterator[Sample]:
    yield "cartwheel_watcher_up", (), one.is_up
    yield "cartwheel_watcher_timestamp_seconds", (), one.said_at
    yield "cartwheel_lists_unread", (), one.unread


def _samples(one: Figures, monitor: Monitor, now: float) -> Iterator[Sample]:
    yield from _of_totals(one)
    said = one.itself.get("store")
    trouble = records.text(said, "trouble") if isinstance(said, dict) else ""
    yield "cartwheel_store_up", (one.name,), not (one.trouble or trouble)
    if monitor.is_up:
        yield from _of_telling(one)
        yield from _of_sites(one, now)
        yield from _of_hosts(one, now)


def _of_telling(one: Figures) -> Iterator[Sample]:
    store, beat = one.itself.get("store"), one.itself.get("heartbeat")
    if isinstance(store, dict):
        yield "cartwheel_store_lost_looks_total", (one.name,), records.number(store, "lost")
    for each in one.messengers:
        if each.said:
            labels = (one.name, each.name)
            yield "cartwheel_messenger_up", labels, not each.problem
            yield "cartwheel_messages_waiting", labels, each.waiting
            yield "cartwheel_messages_given_up_total", labels, each.given_up
    if isinstance(beat, dict) and beat.get("at") is not None:
        yield "cartwheel_heartbeat_up", (one.name,), not records.text(beat, "problem")
    for kind, count in one.open.items():
        yield "cartwheel_incidents_open", (one.name, kind), count


def _of_sites(one: Figures, now: float) -> Iterator[Sample]:
    for site, probe in one.probes.items():
        if now - probe.at <= FRESH_SECONDS:
            labels = (one.name, site)
            yield "cartwheel_site_up", labels, not probe.problem
            yield "cartwheel_site_probe_duration_seconds", labels, probe.seconds
            yield "cartwheel_site_certificate_expiry_timestamp_seconds", labels, probe.until


def _of_hosts(one: Figures, now: float) -> Iterator[Sample]:
    for host, change in one.changes.items():
        yield "cartwheel_deploy_last_timestamp_seconds", (one.name, host), change.at
        yield "cartwheel_deploy_last_success", (one.name, host), change.is_confirmed
    for host, last in one.looks.items():
        labels = (one.name, host)
        if now - last.at <= FRESH_SECONDS:
            yield "cartwheel_host_up", labels, not last.problem
            yield "cartwheel_host_look_duration_seconds", labels, last.seconds
        if last.seen is not None:
            yield "cartwheel_host_look_timestamp_seconds", labels, last.seen_at
            if now - last.seen_at <= FRESH_SECONDS:
                yield "cartwheel_host_clock_offset_seconds", labels, clock_of(last)
                yield from _of_look(one.name, host, last.seen)


def _of_totals(one: Figures) -> Iterator[Sample]:
    for (app, host, about), sums in one.totals.items():
        known = {name: value or 0 for name, value in sums.items()}
        if not host:
            if about in one.probes:
                labels = (one.name, about)
                yield "cartwheel_site_probes_total", labels, known["looks"]
                yield "cartwheel_site_probes_failed_total", labels, known["bad"]
                yield "cartwheel_site_probe_seconds_total", labels, known["probe_seconds"]
        elif about:
            continue  # a disk
        elif not app:
            yield "cartwheel_host_looks_total", (one.name, host), known["looks"]
            yield "cartwheel_host_looks_failed_total", (one.name, host), known["bad"]
        elif app == one.name and sums.get("requests") is not None:
            yield "cartwheel_requests_total", (app, host), known["requests"]
            yield "cartwheel_requests_failed_total", (app, host), known["failed"]


def _of_look(project: str, host: str, seen: HostLook) -> Iterator[Sample]:
    labels = (project, host)
    yield "cartwheel_host_look_unread", labels, len(seen.unread)
    yield "cartwheel_host_memory_size_bytes", labels, seen.memory
    yield "cartwheel_host_memory_available_bytes", labels, seen.memory_available
    yield "cartwheel_host_load1", labels, seen.load
    yield "cartwheel_host_cpus", labels, seen.cpus
    for disk in seen.disks:
        of_disk = (project, host, disk.path)
        yield "cartwheel_disk_size_bytes", of_disk, disk.size
        yield "cartwheel_disk_free_bytes", of_disk, disk.free
        yield "cartwheel_disk_inodes", of_disk, disk.inodes
        yield "cartwheel_disk_free_inodes", of_disk, disk.free_inodes
        yield "cartwheel_disk_read_only", of_disk, disk.read_only
    for app in seen.apps:
        if app.app == project and not app.problem:
            yield from _of_app(labels, app, seen.time)


def _of_app(labels: tuple[str, str], app: AppLook, now: float) -> Iterator[Sample]:
    if app.release:
        yield "cartwheel_release_info", (*labels, app.release, app.version), 1
    yield "cartwheel_release_live_timestamp_seconds", labels, app.since
    yield "cartwheel_front_up", labels, None if app.front is None else not app.front
    for state in STATES:
        yield "cartwheel_app_state", (*labels, state), bool(getattr(app, state))
    for one in app.processes:
        of_process = (*labels, one.process, one.label)
        yield "cartwheel_process_up", of_process, one.active in ("active", "reloading")
        yield "cartwheel_process_memory_bytes", of_process, one.memory
        yield "cartwheel_process_restarts_total", of_process, one.restarts
    for timer in app.timers:
        of_timer = (*labels, timer.name)
        if timer.result and timer.result != "running":
            yield "cartwheel_timer_last_success", of_timer, timer.result not in _FAILED
        yield "cartwheel_timer_last_run_timestamp_seconds", of_timer, timer.began
        late = max(0.0, now - timer.due) if timer.due is not None else 0.0
        yield "cartwheel_timer_late_seconds", of_timer, 0.0 if timer.paused else late
        yield "cartwheel_timer_paused", of_timer, timer.paused
        yield "cartwheel_timer_runs_total", of_timer, timer.number
