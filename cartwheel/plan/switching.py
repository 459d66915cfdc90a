"""How a host checks the application and moves the traffic, from the settings; pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cartwheel.plan.host_plan import HostPlan
from cartwheel.plan.serving import served_of
from cartwheel.settings import names
from cartwheel.settings.shown import of_hosts
from cartwheel.settings.toml_tables import Settings

if TYPE_CHECKING:
    from cartwheel.host.wire.assigned import Assigned
    from cartwheel.host.wire.health import Probe
    from cartwheel.host.wire.status import AskStatus

_ROLLBACK_WATCH_SECONDS = 0.5  # the release was live before, and a rollback is urgent
_SWITCH_MARGIN_SECONDS = 120.0
_FINISH_MARGIN_SECONDS = 60.0


def with_switch(
    plan: HostPlan,
    settings: Settings,
    site: dict[str, str | None],
    processes_seconds: float,
    *,
    assigned: Assigned | None = None,
) -> HostPlan:
    """The plan of a deploy, a rollback or a restart with its switch: the web server's files that
    change (path -> text, None: remove it), and what runs on the host (None: what its release
    brings). `processes_seconds`: how much longer it may take because of processes. If the plan has
    the key for digests, the host learns the settings of the deploy."""
    from cartwheel.host.wire.switching import Limits, Switch

    deploy, health = settings.deploy, settings.health
    watch_seconds = deploy.probation_seconds
    if plan.kind == "rollback":
        watch_seconds = min(watch_seconds, _ROLLBACK_WATCH_SECONDS)
    switch = Switch(
        kind=plan.kind,
        release=plan.release,
        version=plan.version,
        fresh=plan.fresh,
        site_changes=site,
        listen=settings.web.listen,
        served=served_of(settings),
        probe=probe(settings),
        watch_seconds=watch_seconds,
        limits=Limits(
            max_error_percent=deploy.max_error_percent,
            error_min_requests=deploy.error_min_requests,
            max_worker_restarts=deploy.max_worker_restarts,
        ),
        confirm_seconds=deploy.confirm_seconds,
        keep_releases=deploy.keep_releases,
        settings=_settings(settings, plan.digest_key) if plan.digest_key else None,
        assigned=assigned,
    )
    # The wait if all slots of an earlier version's release are taken.
    seconds = deploy.drain_seconds + processes_seconds
    seconds += health.deadline_seconds + deploy.probation_seconds + _SWITCH_MARGIN_SECONDS
    return replace(plan, switch=switch, switch_seconds=seconds)


def _settings(settings: Settings, digest_key: str) -> dict[str, str]:
    """The settings that shape what the host runs, each as a keyed digest."""
    return {
        name: names.short_digest(digest_key, value) for name, value in of_hosts(settings).items()
    }


def finish_seconds(settings: Settings) -> float:
    """Time limit for draining, stopping and pruning."""
    return 2 * settings.deploy.drain_seconds + _FINISH_MARGIN_SECONDS


def probe(settings: Settings) -> Probe:
    """The host's health check of the application."""
    from cartwheel.host.wire.health import Probe

    health, prefix = settings.health, settings.web.prefix
    plain = [name for name in settings.web.server_names if "*" not in name]
    return Probe(
        path=prefix + health.path,
        host=health.host or (plain[0] if plain else "localhost"),
        scheme=health.scheme,
        status=health.status,
        count=health.count,
        span_seconds=health.span_seconds,
        deadline_seconds=health.deadline_seconds,
        timeout_seconds=health.timeout_seconds,
        also=tuple(prefix + path for path in health.also),
    )


def asking_status(settings: Settings) -> AskStatus:
    """The request for the application's status."""
    from cartwheel.host.wire.status import AskStatus

    return AskStatus(probe(settings), settings.web.listen)
