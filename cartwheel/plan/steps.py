"""Make the requests that carry out a plan on its host: the only place that knows their names and
arguments, except for the switch, which the plan has as it is. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cartwheel.hidden import Hidden
from cartwheel.host.wire.request import Done
from cartwheel.plan.hooks import Hook, moments, variables
from cartwheel.plan.host_plan import Holder, HostPlan, Migration, Move, Tls
from cartwheel.plan.making_steps import make
from cartwheel.plan.step import SMALL_SECONDS, AnyStep, Stage, Step

if TYPE_CHECKING:
    from cartwheel.host.wire.holding import Given, Record
    from cartwheel.host.wire.switching import Finished, Switched, WentBack

_HOOK_MARGIN_SECONDS = 30.0
# certbot's own time limit on the host, twice: another application may be asking.
ACME_SECONDS = 700.0


def in_order(plan: HostPlan) -> list[AnyStep | Hook]:
    """The plan's steps on its host, and hooks around them; those of `migrate` with a migration."""
    last = of_host(plan)
    if plan.switch is None:
        return [*last]
    migration: list[AnyStep] = [migrate(plan, plan.migration)] if plan.migration else []
    work: dict[str, list[AnyStep]] = {
        "prepare": prepare(plan),
        "migrate": migration,
        "switch": [switch(plan)],
    }
    found: list[AnyStep | Hook] = []
    for moment in moments():
        if moment.side == "after":
            found += work.get(moment.phase, ())
        if moment.phase != "migrate" or migration:
            found += [hook for hook in plan.hooks if hook.moment == moment]
    return [*found, *last]


def titles(plan: HostPlan) -> list[str]:
    """The same in words."""
    return [str(one) if isinstance(one, Hook) else one.title for one in in_order(plan)]


# -- before the switch: nothing here touches the live release


def prepare(plan: HostPlan, until: Stage | None = None) -> list[AnyStep]:
    """Update Cartwheel's files on the host, then make the release, up to `until`."""
    found: list[AnyStep] = [] if plan.host_files is None else [_refresh(plan, plan.host_files)]
    if plan.users is not None and plan.users.missing is not None:
        found.append(Step("new users", SMALL_SECONDS, plan.users.missing))
    if plan.making is None:
        return [*found, *_test_site(plan)]
    return [*found, *make(plan, plan.making, until)]


def _test_site(plan: HostPlan) -> list[AnyStep]:
    """A new release is verified together with its site; this one is there already."""
    from cartwheel.host.wire.making import TestSite

    changes = plan.switch.site_changes if plan.switch else {}
    if not changes:
        return []
    return [Step("test site", SMALL_SECONDS, TestSite(changes, plan.server_names))]


def _refresh(plan: HostPlan, host_files: Mapping[str, str]) -> Step[Done]:
    from cartwheel.host.wire.setup import Refresh

    request = Refresh(dict(host_files), Hidden(plan.digest_key), plan.has_web)
    return Step("host side", SMALL_SECONDS, request)


def migrate(plan: HostPlan, migration: Migration) -> Step[Done]:
    """The command that runs once in the fleet."""
    from cartwheel.host.wire.commands import Migrate

    seconds = migration.timeout_seconds
    request = Migrate(plan.release, migration.command, seconds)
    return Step("migrate", seconds + SMALL_SECONDS, request)


# -- the switch and what comes after it


def switch(plan: HostPlan) -> Step[Switched]:
    """The request that moves traffic."""
    return Step("switch", plan.switch_seconds, plan.switching)


def watch(seconds: float) -> Step[Done]:
    """The request that a switched host watches its traffic for this long."""
    from cartwheel.host.wire.switching import Watch

    return Step("watch", seconds + SMALL_SECONDS, Watch(seconds))


def confirm(switch_id: str) -> Step[Done]:
    """The point of no return."""
    from cartwheel.host.wire.switching import Confirm

    return Step("confirm", SMALL_SECONDS, Confirm(switch_id))


def finish(seconds: float) -> Step[Finished]:
    """Drain, stop and prune, within this time limit."""
    from cartwheel.host.wire.switching import Finish

    return Step("drain and prune", seconds, Finish())


def go_back(reason: str, seconds: float, *, is_bad: bool) -> Step[WentBack]:
    """Roll back a switch that was not confirmed; a release that is not bad stays."""
    from cartwheel.host.wire.switching import GoBack

    return Step("go back", seconds, GoBack(reason, is_bad))


def of_host(plan: HostPlan) -> list[Step[Done]]:
    """The changes of what belongs to the host, in order."""
    return [step for step in (users(plan), tls(plan.tls)) if step is not None]


def users(plan: HostPlan) -> Step[Done] | None:
    """The change of the users of the site's paths, if there is one."""
    if plan.users is None or plan.users.request is None:
        return None
    return Step("users", SMALL_SECONDS, plan.users.request)


def tls(change: Tls | None) -> Step[Done] | None:
    """The change of HTTPS, if there is one."""
    if change is None or change.request is None:
        return None
    seconds = ACME_SECONDS if change.asks_authority else SMALL_SECONDS
    return Step("tls", seconds, change.request)


def renew(*, dry_run: bool) -> Step[Done]:
    """A host asks for a new certificate at once."""
    from cartwheel.host.wire.tls import RenewTls

    return Step("renew", ACME_SECONDS, RenewTls(dry_run))


# -- what only one host has


def let_go(move: Move, to: Holder) -> Step[Given]:
    """A host writes down that another one is to have it, and ends it."""
    from cartwheel.host.wire.holding import LetGo

    seconds = move.stop_seconds + SMALL_SECONDS
    return Step(f"let go {move.name}", seconds, LetGo(move.name, to.written))


def take(move: Move, holder: Holder, record: Record) -> Step[Done]:
    """A host takes it, and goes on from there."""
    from cartwheel.host.wire.holding import Take

    seconds = move.ready_seconds + SMALL_SECONDS
    request = Take(move.name, holder.written, move.probe, move.stopped, record)
    return Step(f"take {move.name}", seconds, request)


# -- if nothing is switched


def unchanged(plan: HostPlan, seconds: float) -> Step[Done]:
    """The host records that the release is live already, and starts what of it is down."""
    from cartwheel.host.wire.switching import Unchanged

    again = plan.restarting
    probe = again.probe if again else None
    holders = None if plan.holders is None else dict(plan.holders)
    request = Unchanged(plan.release, plan.version, plan.commit, probe, holders)
    return Step("unchanged", seconds + (again.seconds if again else 0), request)


def abandon(plan: HostPlan, reason: str, log: str, *, is_bad: bool) -> Step[Done]:
    """The host records that preparing the release failed; a bad release is removed if this plan
    made it."""
    from cartwheel.host.wire.making import Abandon

    fresh = plan.fresh and is_bad
    request = Abandon(plan.kind, plan.release, plan.version, fresh, reason, log, plan.commit)
    return Step("abandon", SMALL_SECONDS, request)


# -- hooks


def hook(plan: HostPlan, one: Hook, host: str) -> Step[Done]:
    """A hook on this host."""
    from cartwheel.host.wire.commands import RunHook

    known = variables(
        one,
        app=plan.app.name,
        who=plan.operator.who,
        message=plan.operator.message,
        host=host,
        release=plan.release,
        version=plan.version,
        previous=plan.current or "",
    )
    seconds = one.timeout_seconds
    request = RunHook(one.name, plan.release, one.command, seconds, known)
    return Step(one.title, seconds + _HOOK_MARGIN_SECONDS, request)
