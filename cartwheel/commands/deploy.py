"""`fab deploy`: from source to a release that is live on every host."""

from __future__ import annotations

import functools
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cartwheel.background import Background
from cartwheel.build.artifact import leaves_files_out
from cartwheel.build.index import pip_environment
from cartwheel.build.pip_wheel import PIP_SHA256, PIP_VERSION
from cartwheel.build.products import Lock, Platform, operator_platform
from cartwheel.build.uv_wheel import UV_VERSION
from cartwheel.commands import dns, fronts, product
from cartwheel.commands.holding import holding
from cartwheel.commands.hooks import around_run
from cartwheel.commands.neighbours import rendering_facts
from cartwheel.commands.placed import check_placed, placed_files
from cartwheel.commands.product import Product
from cartwheel.commands.rendering import render_for, sample_files
from cartwheel.commands.rollout import roll_out
from cartwheel.commands.scene import Scene, connect, raise_failures, raise_held, refuse_unplaced
from cartwheel.commands.siblings import refuse_too_many
from cartwheel.commands.tls import Source, source_of
from cartwheel.commands.users import users_of
from cartwheel.errors import CartwheelError, HostError, first_of
from cartwheel.events import Event
from cartwheel.fleet.deploy import run_plans
from cartwheel.fleet.identity import twins
from cartwheel.fleet.locking import lock_all
from cartwheel.fleet.report import Report
from cartwheel.fleet.sessions import Fleet, failures, successes
from cartwheel.hidden import Hidden
from cartwheel.plan.deploy import Ingredients, Rendered, plan_deploy
from cartwheel.plan.host_plan import HostPlan
from cartwheel.plan.sealed import Sealed, stale
from cartwheel.plan.step import Stage
from cartwheel.render.overrides import stale_notes
from cartwheel.render.own_config import own_config
from cartwheel.render.release import check_templates
from cartwheel.settings import names
from cartwheel.settings.variables import Variable, environment
from cartwheel.telling import setback_text

if TYPE_CHECKING:
    from cartwheel.host.wire.facts import AskFacts, Facts
    from cartwheel.host.wire.making import PlacedFile


@dataclass(frozen=True)
class Inputs:
    """The application's variables and files of configuration, by name, with their values; the
    source of its site's certificate; and the users of its site's paths, by path."""

    variables: Mapping[str, Variable]
    placed: Mapping[str, PlacedFile]
    tls: Source = None
    users: Mapping[str, Hidden] = field(default_factory=dict)


PROBE_SECONDS = 60.0


def deploy(
    scene: Scene, *, skip_tests: bool = False, sealed: Mapping[str, Sealed] | None = None
) -> Report:
    """Build, prepare all hosts, switch, confirm, finish; then again for hosts that fell behind.
    With `sealed` exactly that plan.

    Raises CartwheelError before the first change, also CartwheelError("plan-stale"); later
    failures are in the report."""
    started = time.monotonic()
    report = around_run(
        scene, "deploy", lambda: _deploy(scene, skip_tests=skip_tests, sealed=sealed)
    )
    return report.timed(time.monotonic() - started)


def _deploy(scene: Scene, *, skip_tests: bool, sealed: Mapping[str, Sealed] | None) -> Report:
    inputs, making = begin(scene, skip_tests=skip_tests)

    def planning(some: Scene, fleet: Fleet) -> dict[str, HostPlan]:
        plans = plan_all(some, probe_settled(some, fleet), making.result(), inputs)
        if sealed is not None and some is scene:  # hosts that fell behind get the same again
            _refuse_stale(sealed, plans)
        for host, plan in plans.items():
            if plan.setback:
                text = setback_text(plan.release, plan.setback)
                some.emit(Event("plan", "note", text, host))
        return plans

    with making:
        return roll_out(scene, planning)


def begin(
    scene: Scene, *, skip_tests: bool, publish: bool = True
) -> tuple[Inputs, Background[Product]]:
    """Check first all that needs no host: templates, variables, secrets.

    Then the app is built and published while connecting. Raises UsageError.
    """
    refuse_unplaced(scene)
    refuse_too_many(scene)
    check_templates(scene.settings, scene.project)
    check_placed(scene.settings, scene.project)
    variables = environment(scene.settings, scene.project, scene.taken)
    tls = source_of(scene, "app")
    users = users_of(scene.settings, scene.project, scene.taken)
    inputs = Inputs(variables, placed_files(scene, variables), tls, users)
    password, store = product.index_password(scene), product.artifact_store(scene)
    making = Background(
        lambda: product.make(scene, password, skip_tests=skip_tests, store=store, publish=publish)
    )
    return inputs, making


def prepare(scene: Scene, until: Stage, *, skip_tests: bool = False) -> Report:
    """A deploy up to this stage, which does not touch the live release."""
    started = time.monotonic()
    inputs, making = begin(scene, skip_tests=skip_tests)
    with making, connect(scene, changing=True) as fleet:

        def look() -> dict[str, HostPlan]:
            return plan_all(scene, probe_settled(scene, fleet), making.result(), inputs)

        report = run_plans(fleet, look(), scene.terms, until=until, replan=look)
    return fleet.counted(report).of_kind(until).timed(time.monotonic() - started)


def probe(scene: Scene, fleet: Fleet) -> dict[str, Facts]:
    """The facts of every host with one round trip. Raises the hosts' failures if the fleet
    cannot go on without them, and if two names mean the same host."""
    answers = fleet.ask(asking_facts(scene), deadline_seconds=PROBE_SECONDS)
    fleet.drop(failures(answers))
    if not fleet.can_go_on:
        raise_failures(answers)
    found = successes(answers)
    raise_failures(twins(fleet, {host: one.host.boot_id for host, one in found.items()}))
    return found


def probe_settled(scene: Scene, fleet: Fleet) -> dict[str, Facts]:
    """The facts for planning a change. If an earlier session is running, or left a switch, take
    the locks first: this recovers the host, and facts from before are no longer true. Raises the
    hosts' failures, also CartwheelError("locked") and ("held")."""
    facts = probe(scene, fleet)
    if not any(one.app.pending for one in facts.values()):
        raise_held({host: one.app.freeze for host, one in facts.items()})
        if not any(one.app.locked for one in facts.values()):
            return facts
    locked = lock_all(fleet, facts, scene.terms)
    fleet.drop(failures(locked))
    if not fleet.can_go_on:
        raise_failures(locked)
    return probe(scene, fleet)


def asking_facts(scene: Scene) -> AskFacts:
    """The request for all facts that a plan is made from."""
    from cartwheel.host.wire.facts import AskFacts

    return AskFacts(
        python=scene.settings.app.python,
        user=names.user(scene.settings),
        files=(names.site_path(scene.settings),),
        carried=leaves_files_out(scene.settings, scene.project),
        uv_version=UV_VERSION,
        web_server=scene.settings.web.server,
    )


def plan_all(
    scene: Scene, facts: Mapping[str, Facts], made: Product, inputs: Inputs
) -> dict[str, HostPlan]:
    """One plan for each host; a lock for each platform, and a rendering for each kind of host."""
    common = _common(scene, made, inputs, _digest_key(facts))

    @functools.cache
    def with_lock(platform: Platform) -> Ingredients:
        lock = product.lock_for(scene, made, platform)
        return replace(common, lock=lock, published=product.published(made, lock))

    rendered = functools.cache(functools.partial(render_for, scene))
    kinds, until = rendering_facts(scene, facts), fronts.until(scene, facts)
    found = holding(scene, facts)
    own = own_config(scene.settings, scene.project)
    outdated = (*stale_notes(scene.project), *(own.notes if own is not None else ()))
    plans: dict[str, HostPlan] = {}
    for host, known in facts.items():
        try:
            have = replace(common, tls_until=until.get(host, ""))
            render: Callable[[str], Rendered] = _nothing_to_render
            if host in kinds:
                have = replace(with_lock(product.platform_of(known)), tls_until=have.tls_until)
                render = functools.partial(rendered, kinds[host])
            one = plan_deploy(scene.settings, known, have, render, found.place(host))
            plans[host] = replace(one, notes=(*one.notes, *outdated))
        except CartwheelError as error:
            error.host = error.host or host
            raise
    return found.planned(_with_advice(scene, plans))


def _with_advice(scene: Scene, plans: dict[str, HostPlan]) -> dict[str, HostPlan]:
    """Where a certificate authority is to be asked: what is known about the names' addresses."""
    asking = {host: plan.tls.asks_for for host, plan in plans.items() if plan.tls}
    names = dict.fromkeys(name for asked in asking.values() for name in asked)
    advice = tuple(dns.notes(scene, names)) if names else ()
    return {
        host: replace(plan, notes=(*plan.notes, *advice)) if asking.get(host) else plan
        for host, plan in plans.items()
    }


def _nothing_to_render(_release: str) -> Rendered:
    """Never called: the plan refuses such a host before it renders anything."""
    return Rendered({}, "", {})


def _common(scene: Scene, made: Product, inputs: Inputs, digest_key: str) -> Ingredients:
    nothing = Lock(operator_platform(), "", "")
    return Ingredients(
        artifact=made.artifact,
        lock=nothing,
        pip_wheel=made.pip_wheel,
        pip_version=PIP_VERSION,
        pip_sha256=PIP_SHA256,
        uv_version=UV_VERSION,
        published=made.published,
        environment={name: variable.value for name, variable in inputs.variables.items()},
        sources={name: variable.source for name, variable in inputs.variables.items()},
        placed=inputs.placed,
        tls=inputs.tls,
        users=inputs.users,
        index_environment=pip_environment(scene.settings.index, made.index_password),
        operator=scene.operator,
        digest_key=digest_key,
        sample_files=sample_files(scene),
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )


def _digest_key(facts: Mapping[str, Facts]) -> str:
    """The key that secrets are digested with: the fleet's own, kept on its hosts.

    Hosts that were set up separately take the first host's key, so that the same content has the
    same name on all of them.
    """
    keys = [facts[host].app.digest_key for host in sorted(facts)]
    known = [key.reveal() for key in keys if key is not None]
    return known[0] if known else secrets.token_hex(32)


def _refuse_stale(sealed: Mapping[str, Sealed], plans: Mapping[str, HostPlan]) -> None:
    found = stale(sealed, plans)
    if found:
        raise HostError("plan-stale", first_of(found), detail="\n".join(found))
