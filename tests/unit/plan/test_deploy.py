"""Tables of settings and facts, and what a deploy makes of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import cartwheel
from cartwheel.build.products import Artifact, Lock, Platform
from cartwheel.errors import CATALOGUE
from cartwheel.hidden import Hidden
from cartwheel.host.session import operations
from cartwheel.host.wire.assigned import Assigned
from cartwheel.host.wire.codec import to_json
from cartwheel.host.wire.download import Source
from cartwheel.host.wire.facts import Facts
from cartwheel.host.wire.journal import Setback
from cartwheel.host.wire.making import Complete
from cartwheel.plan.deploy import Ingredients, Rendered, plan_deploy
from cartwheel.plan.holders import Place
from cartwheel.plan.host_plan import Holder, HostPlan, Move, Operator
from cartwheel.plan.refusals import refusals
from cartwheel.plan.sealed import seal, stale
from cartwheel.plan.site import site_changes
from cartwheel.plan.step import AnyStep, Stage
from cartwheel.plan.steps import in_order, prepare, switch, titles, unchanged
from cartwheel.plan.switching import finish_seconds, probe
from cartwheel.plan.web_server import capacity_notes
from cartwheel.settings import names
from cartwheel.settings.toml_tables import Settings
from cartwheel.telling import setback_text
from tests.unit.answers import facts, release

SECRET = "hunter2-s3cret"
PASSWORD = "https://u:inDexPass@mirror/simple"
KEY = "5eed" * 16
SITE = "the site"

Change = Callable[[dict[str, Any]], Any]


def settings(**more: Any) -> Settings:
    values: dict[str, Any] = {"app": {"name": "shop", "source": "."}, **more}
    return Settings.model_validate(values)


def have(**more: Any) -> Ingredients:
    values: dict[str, Any] = {
        "artifact": Artifact("shop", "1.0", Path("/b/shop-1.0-py3-none-any.whl"), "aa" * 32, "src"),
        "lock": Lock(Platform("3.11.2", "glibc", "2.36", "x86_64"), "flask==3", "bb" * 32),
        "pip_wheel": Path("/b/pip-25.whl"),
        "pip_version": "25.0",
        "pip_sha256": "cc" * 32,
        "uv_version": "0.9",
        "environment": {"SECRET_KEY": Hidden(SECRET), "DEBUG": Hidden("0")},
        "sources": {"SECRET_KEY": "secrets", "DEBUG": "env"},
        "index_environment": {"PIP_INDEX_URL": Hidden(PASSWORD)},
        "operator": Operator("ann@desk", "a fix"),
        "digest_key": KEY,
        "sample_files": {"gunicorn.conf.py": "workers = 2"},
        "created": "2025-01-01T00:00:00Z",
    }
    return Ingredients(**{**values, **more})


MONEY = Artifact("money", "2.0", Path("/b/money-2.0-py3-none-any.whl"), "ee" * 32, "src")


def render(release: str) -> Rendered:
    return Rendered(
        files={"gunicorn.conf.py": f"# {release}\nworkers = 2"},
        site=SITE,
        host_files={"/etc/systemd/system/cartwheel-shop.service": "boot"},
    )


def plan(of: Settings | None = None, known: Facts | None = None, **more: Any) -> HostPlan:
    return plan_deploy(of or settings(), known or facts(), have(**more), render)


NAME = plan().release


def steps_of(found: HostPlan) -> dict[str, AnyStep]:
    """The steps before the switch, by their operation."""
    return {step.request.op: step for step in prepare(found)}


def asked(step: AnyStep) -> Any:
    """What travels to the host, secrets too."""
    return to_json(step.request)


def deployed(known: dict[str, Any]) -> None:
    """The release is there and serves, and its site is installed."""
    serving = {"process": "web", "release": NAME, "slot": "1", "number": 0}
    known["app"] |= {"current": NAME, "content": NAME, "serving": serving}
    known["app"]["releases"] = [release(NAME)]
    known["files"] = {key: hashlib.sha256(SITE.encode()).hexdigest() for key in known["files"]}


def server(file: str, names_: list[str], ports: list[int], default: list[int]) -> dict[str, Any]:
    return {"file": file, "names": names_, "ports": ports, "default_ports": default}


def set_in(*path: str, value: Any) -> Change:
    def change(known: dict[str, Any]) -> None:
        for key in path[:-1]:
            known = known[key]
        known[path[-1]] = value

    return change


APACHE = {"web": {"server": "apache"}}
NAMED = {"web": {"server_names": ["Shop.example"]}}
OTHER = "/etc/nginx/sites-enabled/other"


@pytest.mark.parametrize(
    ("more", "change", "found"),
    [
        ({}, lambda _known: None, []),
        ({}, set_in("host", "systemd", value=None), ["no-systemd"]),
        ({}, set_in("app", "digest_key", value=None), ["not-set-up"]),
        ({}, set_in("web_server", value=None), ["not-set-up"]),
        ({}, set_in("python", value=None), ["python-version"]),
        (
            {},
            set_in("app", "stopped", value={"who": "bob", "message": "", "since": "today"}),
            ["stopped"],
        ),
        ({}, set_in("free_bytes", value=1 << 20), ["disk-full"]),
        ({}, set_in("free_inodes", value=12), ["disk-full"]),
        ({}, set_in("ports", "80", value="apache2"), ["port-taken"]),
        ({}, set_in("ports", "80", value="nginx"), []),
        ({}, set_in("ports", "8080", value="java"), []),
        ({"web": {"listen": 8080}}, set_in("ports", "8080", value="java"), ["port-taken"]),
        (APACHE, set_in("ports", "80", value="apache2"), []),
        (APACHE, set_in("prepared_for", value="nginx"), ["not-set-up"]),
        ({}, set_in("prepared_for", value="nginx"), []),
        (
            APACHE,
            set_in("other_site", value="/etc/nginx/conf.d/cartwheel-shop.conf"),
            ["web-server-changed"],
        ),
        # names of other sites
        (NAMED, set_in("servers", value=[server(OTHER, ["a"], [80], [])]), []),
        (
            NAMED,
            set_in("servers", value=[server(OTHER, ["shop.example"], [80], [])]),
            ["server-name-taken"],
        ),
        (NAMED, set_in("servers", value=[server(OTHER, ["shop.example"], [443], [])]), []),
        (
            NAMED,
            set_in(
                "servers",
                value=[server("/etc/nginx/conf.d/cartwheel-shop.conf", ["shop.example"], [80], [])],
            ),
            [],
        ),
        # without a name the app answers for all, if nobody else does
        ({}, set_in("servers", value=[server(OTHER, [], [80], [])]), []),
        (
            {},
            set_in("servers", value=[server(OTHER, [], [80], [80])]),
            ["server-name-needed"],
        ),
        ({}, set_in("servers", value=[server(OTHER, [], [80, 443], [443])]), []),
        (NAMED, set_in("servers", value=[server(OTHER, [], [80], [80])]), []),
        (
            {},
            set_in("servers", value=[server(names.default_site(settings()), ["_"], [80], [80])]),
            [],
        ),
    ],
)
def test_refusals(more: dict[str, Any], change: Change, found: list[str]) -> None:
    known = facts(change)
    reasons = refusals(settings(**more), known)
    assert [reason.slug for reason in reasons] == found
    assert {reason.slug for reason in reasons} <= set(CATALOGUE)
    assert plan_deploy(settings(**more), known, have(), render).refusals == reasons


@pytest.mark.parametrize(
    ("app", "left_out", "told"),
    [
        ({}, ("new.db",), ""),
        ({}, ("shop.d",), ""),
        (
            {},
            ("shop.db",),
            'app.include = ["shop.db"] keeps it, app.exclude = ["shop.db"] drops it',
        ),
        (
            {"include": ["a"], "exclude": ["b"]},
            ("shop.db", "media/", "new.db"),
            'app.include = ["a", "shop.db", "media/"] keeps it,'
            ' app.exclude = ["b", "shop.db", "media/"] drops it',
        ),
    ],
)
def test_what_the_serving_release_carries_is_not_left_out_in_silence(
    app: dict[str, Any], left_out: tuple[str, ...], told: str
) -> None:
    known = facts(set_in("app", "carried", value=["app.py", "media/a.jpg", "shop.db"]))
    artifact = replace(have().artifact, left_out=left_out)
    found = plan(settings(app={"name": "shop", "source": ".", **app}), known, artifact=artifact)
    assert [one.slug for one in found.refusals] == (["left-out"] if told else [])
    assert told in "".join(one.message for one in found.refusals)


def test_every_reason_is_told_at_once() -> None:
    def all_wrong(known: dict[str, Any]) -> None:
        known["host"]["systemd"] = known["python"] = known["app"]["digest_key"] = None
        known["ports"]["80"] = "apache2"
        known["free_bytes"] = known["free_inodes"] = 0

    refused = plan(known=facts(all_wrong))
    assert len(refused.refusals) == 6
    assert (refused.release, in_order(refused), refused.unchanged) == ("", [], False)


def test_a_blind_plan_renders_nothing() -> None:
    def never(_release: str) -> Rendered:
        raise AssertionError

    plan_deploy(settings(), facts(set_in("python", value=None)), have(), never)


def test_a_first_deploy() -> None:
    found = plan()
    assert [step.request.op for step in prepare(found)] == [
        "refresh",
        "tool",
        "upload",
        "venv",
        "install",
        "configure",
        "verify",
        "complete",
    ]
    assert (found.fresh, found.unchanged, found.current) == (True, False, None)
    assert found.kind == "deploy"
    assert found.switching.site_changes == {"/etc/nginx/conf.d/cartwheel-shop.conf": SITE}
    assert found.notes == ("nginx is reloaded: idle kept-alive connections may close",)
    blobs = {op: step.blob for op, step in steps_of(found).items() if step.blob}
    assert blobs == {"tool": Path("/b/pip-25.whl"), "upload": have().artifact.wheel}


def test_every_step_is_an_operation_of_the_host_side() -> None:
    found = plan()
    steps = [*prepare(found), switch(found)]
    assert {step.request.op for step in steps} <= {*operations.READING, *operations.CHANGING}
    assert all(step.deadline_seconds > 0 for step in steps)
    assert found.switching.probe.path == "/healthz"


def test_what_is_there_is_not_sent_again() -> None:
    def there(known: dict[str, Any]) -> None:
        known["pips"] = ["24.0", "25.0"]
        known["app"]["wheels"] = ["aa" * 32]

    found = plan(known=facts(there))
    assert "tool" not in steps_of(found)
    assert [step.blob for step in prepare(found)] == [None] * 7


def test_uv_comes_with_setup_and_needs_no_pip() -> None:
    """A deploy brings no installer then; without uv on the host it is refused."""
    with_uv = settings(deploy={"installer": "uv"})
    refused = plan(with_uv, pip_wheel=None)
    assert [reason.slug for reason in refused.refusals] == ["no-uv"]
    found = plan(
        with_uv,
        facts(set_in("uv", value={"path": "/usr/bin/uv", "version": "0.9"})),
        pip_wheel=None,
    )
    assert not found.refusals
    by_op = steps_of(found)
    assert "tool" not in by_op
    for step in (by_op["install"], by_op["verify"]):
        how = asked(step)["installing"]
        assert (how["program"], how["uv_version"]) == ("uv", "0.9")


STORE = "https://store.example/files"
PASSED = "st0rePass"
LOGIN = ("reader", Hidden(PASSED))
PUBLISHED = {
    sha: Source(f"{STORE}/{sha}", size, 15, LOGIN) for sha, size in (("aa" * 32, 9), ("cc" * 32, 7))
}


def test_what_is_published_is_fetched_and_not_sent() -> None:
    found = plan(published=PUBLISHED)
    assert [step.blob for step in prepare(found)] == [None] * 8
    by_op = steps_of(found)
    assert (by_op["tool"].title, by_op["upload"].title) == ("pip", "fetch")
    assert asked(by_op["tool"])["source"]["url"] == f"{STORE}/{'cc' * 32}"
    assert asked(by_op["upload"])["source"] == {
        "url": f"{STORE}/{'aa' * 32}",
        "size_bytes": 9,
        "timeout_seconds": 15,
        "login": ["reader", PASSED],
    }
    assert found.release == NAME, "how it comes to the host makes no other release"


def test_what_a_host_has_is_not_fetched_and_nobody_is_told_the_password() -> None:
    def there(known: dict[str, Any]) -> None:
        known["pips"] = ["25.0"]
        known["app"]["wheels"] = ["aa" * 32]

    found = plan(known=facts(there), published=PUBLISHED)
    assert not [step for step in prepare(found) if PASSED in str(asked(step))]


def test_the_stores_password_is_for_two_steps_and_shown_by_none() -> None:
    found = plan(published=PUBLISHED)
    assert {step.request.op for step in prepare(found) if PASSED in str(asked(step))} == {
        "tool",
        "upload",
    }
    for text in (repr(found), repr(prepare(found)), repr(have(published=PUBLISHED))):
        assert PASSED not in text
    assert PASSED not in repr(PUBLISHED)


def test_what_serves_already_is_unchanged() -> None:
    found = plan(known=facts(deployed))
    assert found.unchanged
    assert titles(found) == []
    assert found.notes == ()


def test_an_unchanged_deploy_starts_what_is_down() -> None:
    def down(known: dict[str, Any]) -> None:
        deployed(known)
        known["app"]["down"] = ["worker 2"]

    found = plan(known=facts(down))
    assert found.unchanged
    assert found.restarting is not None
    assert found.restarting.down == ("worker 2",)
    assert asked(unchanged(found, 5))["probe"] == to_json(probe(settings()))


WORKERS = {"processes": {"worker": {"command": "work", "roles": ["worker"], "count": "cpus"}}}
HAS_SITE = {"files": {names.site_path(settings()): "a digest"}}
NO_NGINX = {"web_server": None, "ports": {"80": "apache2"}}


def on_worker(change: Change = lambda _known: None) -> HostPlan:
    """The plan for a host that has the role of the workers only."""
    return plan_deploy(settings(**WORKERS), facts(change), have(), render, Place(["worker"]))


def test_a_host_without_web_needs_no_web_server() -> None:
    def bare(known: dict[str, Any]) -> None:
        known |= NO_NGINX
        known["web"] |= {"folder": False, "reads": False, "unit_file": "masked"}

    found = on_worker(bare)
    assert found.refusals == ()
    assert found.notes == ()
    assert found.switching.site_changes == {}
    assert found.switching.assigned == Assigned({"worker": 2})
    assert not found.has_web
    refused = plan_deploy(settings(**WORKERS), facts(bare), have(), render, Place(["web"]))
    assert [one.slug for one in refused.refusals] == ["not-set-up", "port-taken"]


def test_a_host_that_had_web_loses_its_site() -> None:
    found = on_worker(lambda known: known.update(HAS_SITE))
    assert found.switching.site_changes == {names.site_path(settings()): None}


@pytest.mark.parametrize(
    ("before", "is_unchanged"),
    [({"worker": 2}, True), ({"worker": 3}, False), ({"worker": 2, "web": 1}, False)],
)
def test_a_change_of_roles_or_processors_is_a_change(
    before: dict[str, int], is_unchanged: bool
) -> None:
    made = on_worker().release

    def runs(known: dict[str, Any]) -> None:
        deployed(known)
        known["files"] = {}
        known["app"] |= {
            "current": made,
            "content": made,
            "assigned": {"counts": before, "holders": {}},
        }
        known["app"]["releases"] = [release(made)]

    assert on_worker(runs).unchanged is is_unchanged


@pytest.mark.parametrize(
    ("change", "kind", "reloads"),
    [
        (set_in("app", "serving", value=None), "restart", False),
        (set_in("app", "pending", value=True), "restart", False),
        (set_in("app", "current", value="0.9.x"), "deploy", False),
        (set_in("files", value={}), "restart", True),
    ],
)
def test_what_is_not_quite_as_it_should_be_is_changed(
    change: Change, kind: str, reloads: bool
) -> None:
    def both(known: dict[str, Any]) -> None:
        deployed(known)
        change(known)

    found = plan(known=facts(both))
    assert not found.unchanged
    assert found.kind == kind
    assert titles(found) == ["host side", *["test site"][: int(reloads)], "switch"]
    assert not found.fresh
    assert bool(found.notes) is reloads


def test_the_distributions_site_goes_only_where_it_is_in_the_way() -> None:
    default = server(names.default_site(settings()), ["_"], [80], [80])
    known = facts(set_in("servers", value=[default]))
    assert site_changes(settings(), known, SITE)[names.default_site(settings())] is None
    assert names.default_site(settings()) not in site_changes(settings(**NAMED), known, SITE)
    assert names.default_site(settings()) not in site_changes(
        settings(web={"listen": 81}), known, SITE
    )


@pytest.mark.parametrize(
    ("web", "gunicorn", "clients", "told"),
    [
        ("nginx", {}, None, []),
        ("apache", {}, 150, ["gunicorn.threads = 8"]),
        ("apache", {"threads": 8}, 150, []),
        ("apache", {"kind": "uvicorn"}, 150, ["serves 150 clients at once"]),
        ("apache", {"kind": "uvicorn"}, 4000, []),
        ("apache", {"kind": "uvicorn"}, None, []),
    ],
)
def test_what_few_visitors_can_hold_is_noted(
    web: str, gunicorn: dict[str, Any], clients: int | None, told: list[str]
) -> None:
    known = facts(set_in("connections", value=clients))
    notes = list(capacity_notes(settings(web={"server": web}, gunicorn=gunicorn), known))
    assert len(notes) == len(told)
    assert all(text in note for text, note in zip(told, notes, strict=True))


def test_leftovers_are_noted() -> None:
    found = plan(known=facts(set_in("app", "leftovers", value=["0.8.half"])))
    assert "leftovers to clean: 0.8.half" in found.notes


def test_what_lies_beside_the_application_travels_as_it_does() -> None:
    found = plan(lock=replace(have().lock, wheels=(MONEY,)))
    uploads = [step for step in prepare(found) if step.request.op == "upload"]
    assert [(step.title, step.blob) for step in uploads] == [
        ("upload", have().artifact.wheel),
        ("upload money", MONEY.wheel),
    ]
    install = asked(steps_of(found)["install"])
    assert install["wheels"] == [
        {"sha256": "aa" * 32, "filename": have().artifact.wheel.name},
        {"sha256": "ee" * 32, "filename": MONEY.wheel.name},
    ]
    assert install["lock"] == "flask==3"
    assert install["lock_beside"].startswith("money==2.0 ")
    manifest = asked(steps_of(found)["complete"])["manifest"]
    assert manifest["beside"] == {"money": "ee" * 32}
    assert manifest["cartwheel"] == cartwheel.__version__
    assert prepare(found, "upload")[-1] == uploads[-1]
    cached = facts(set_in("app", "wheels", value=["ee" * 32]))
    again = plan(lock=replace(have().lock, wheels=(MONEY,)), known=cached)
    assert [bool(step.blob) for step in prepare(again) if step.request.op == "upload"] == [
        True,
        False,
    ]
    other = replace(MONEY, wheel_sha256="ff" * 32)
    assert plan(lock=replace(have().lock, wheels=(other,))).release != found.release


def test_the_same_content_has_the_same_name() -> None:
    assert plan().release == plan(created="later", operator=Operator("bob", "other")).release
    assert plan(pip_version="26", index_environment={}).release == NAME
    for different in (
        set_in("host", "cpus", value=64),
        set_in("python", "version", value="3.11.9"),
    ):
        assert plan(known=facts(different)).release == NAME, "on all hosts of a kind"


@pytest.mark.parametrize(
    "more",
    [
        {"artifact": replace(have().artifact, wheel_sha256="dd" * 32)},
        {"artifact": replace(have().artifact, version="1.0.1")},
        {"lock": replace(have().lock, sha256="dd" * 32)},
        {"lock": replace(have().lock, wheels=(MONEY,))},
        {"environment": {"SECRET_KEY": Hidden("other"), "DEBUG": Hidden("0")}},
        {"environment": {"SECRET_KEY": Hidden(SECRET)}},
        {"environment": {}},
        {"sample_files": {"gunicorn.conf.py": "workers = 3"}},
        {"digest_key": "ab" * 32},
    ],
)
def test_each_ingredient_changes_the_name(more: dict[str, Any]) -> None:
    assert plan(**more).release != NAME


@pytest.mark.parametrize(
    ("of", "change"),
    [
        (settings(app={"name": "shop", "source": ".", "entry": "other:app"}), lambda _known: None),
        (settings(), set_in("python", "version", value="3.12.0")),
        (settings(), set_in("python", "path", value="/opt/python")),
    ],
)
def test_entry_and_interpreter_change_the_name(of: Settings, change: Change) -> None:
    assert plan(of, facts(change)).release != NAME


def test_a_plan_is_deterministic_and_leaves_its_facts_alone() -> None:
    known = facts(deployed)
    assert plan(known=known) == plan(known=facts(deployed))
    assert known == facts(deployed)


def test_no_secret_is_ever_shown_or_named() -> None:
    found = plan()
    for text in (repr(found), str(found), repr(have()), repr(in_order(found))):
        for secret in (SECRET, "inDexPass", KEY):
            assert secret not in text
    manifest = asked(steps_of(found)["complete"])["manifest"]
    assert SECRET not in repr(manifest)
    assert hashlib.sha256(SECRET.encode()).hexdigest()[:16] not in repr(manifest), "keyed only"
    assert manifest["env"]["SECRET_KEY"]["source"] == "secrets"


def test_only_two_steps_get_secrets() -> None:
    for secret, holder in ((SECRET, "configure"), ("inDexPass", "install")):
        steps = prepare(plan())
        assert [one.request.op for one in steps if secret in str(asked(one))] == [holder]


def test_a_wait_outlasts_what_it_waits_for() -> None:
    of = settings(
        health={"deadline_seconds": 100}, deploy={"drain_seconds": 70, "install_timeout_seconds": 5}
    )
    found = plan(of)
    deadlines = {op: step.deadline_seconds for op, step in steps_of(found).items()}
    assert deadlines["install"] > 5
    assert deadlines["verify"] > 100
    assert found.switch_seconds > 101
    assert finish_seconds(of) >= 140


@pytest.mark.parametrize("stop_seconds", [5, 700])
def test_a_switch_has_time_for_the_last_job_of_the_old_release(stop_seconds: float) -> None:
    """Whatever the settings say by now: its own unit decides."""
    of = settings(processes={"beat": {"command": "b", "exclusive": True, "stop_seconds": 5}})
    before = {"beat": {"starts": "last", "stop_seconds": stop_seconds}}
    known = facts(set_in("app", "releases", value=[release("1.a", processes=before)]))
    plain = plan(of).switch_seconds
    assert plan(of, known).switch_seconds == plain + stop_seconds


def test_the_probe_asks_as_a_visitor_would() -> None:
    assert probe(settings()).host == "localhost"
    assert probe(settings(**NAMED)).host == "Shop.example"
    assert probe(settings(**NAMED, health={"host": "other"})).host == "other"


def test_a_release_remembers_further_paths_only_where_there_are_some() -> None:
    """The `recover` of an earlier version does not know them."""
    assert "also" not in to_json(probe(settings()))
    assert to_json(probe(settings(health={"also": ["/shop"]})))["also"] == ["/shop"]


@pytest.mark.parametrize(
    ("until", "ops_"),
    [
        ("upload", ["refresh", "tool", "upload"]),
        ("venv", ["refresh", "tool", "upload", "venv"]),
    ],
)
def test_preparing_may_end_early(until: Stage, ops_: list[str]) -> None:
    assert [step.request.op for step in prepare(plan(), until)] == ops_


# -- releases that are not whole


def not_whole(*names_: str) -> Change:
    """They are there, all of the one content; the last one serves."""

    def change(known: dict[str, Any]) -> None:
        deployed(known)
        known["app"]["releases"] = [release(one, content=NAME) for one in names_]
        known["app"]["current"] = names_[-1]
        known["app"]["spoilt"] = dict.fromkeys(names_, "venv is missing")

    return change


@pytest.mark.parametrize(
    ("there", "made"),
    [((NAME,), f"{NAME}_2"), ((NAME, f"{NAME}_2"), f"{NAME}_3"), ((f"{NAME}_2",), NAME)],
)
def test_what_is_not_whole_is_made_anew_under_another_name(
    there: tuple[str, ...], made: str
) -> None:
    found = plan(settings(deploy={"migrate": "true"}), facts(not_whole(*there)))
    assert (found.release, found.unchanged, found.fresh) == (made, False, True)
    assert found.kind == "deploy"
    assert found.migration is None, "it has migrated"
    assert asked(steps_of(found)["complete"])["manifest"]["content"] == NAME
    told = f"{there[-1]} is damaged (venv is missing): its content is made again as {made}"
    assert told in found.notes


def test_what_was_made_anew_is_what_the_next_deploy_finds() -> None:
    def change(known: dict[str, Any]) -> None:
        not_whole(NAME, f"{NAME}_2")(known)
        del known["app"]["spoilt"][f"{NAME}_2"]

    found = plan(known=facts(change))
    assert (found.release, found.unchanged) == (f"{NAME}_2", True)


def test_a_name_that_leads_nowhere_is_not_used_again() -> None:
    """The folder was removed by hand, and what serves is in memory alone."""

    def change(known: dict[str, Any]) -> None:
        not_whole(NAME)(known)
        known["app"]["releases"] = []

    found = plan(known=facts(change))
    assert (found.release, found.unchanged, found.fresh) == (f"{NAME}_2", False, True)


def test_an_interpreter_out_of_reach_refuses() -> None:
    found = refusals(settings(), facts(set_in("python", "obstacle", value="/root is closed")))
    assert [(one.slug, one.message) for one in found] == [
        ("python-reach", "shop cannot run Python: /root is closed")
    ]


def test_where_there_is_no_interpreter_what_is_in_its_place_is_told() -> None:
    def change(known: dict[str, Any]) -> None:
        known["python"], known["no_python"] = None, "/opt/python is a link to nowhere"

    assert refusals(settings(), facts(change))[0].message.endswith(
        ": /opt/python is a link to nowhere"
    )


@pytest.mark.parametrize(
    ("how", "reason", "says"),
    [
        ("reverted", "3 of 4 requests failed", "was rolled back here 20 s ago (by ann): 3 of 4"),
        ("failed", "", "failed here 20 s ago (by ann)"),
        ("rollback", "", "was left by a rollback 20 s ago (by ann)"),
    ],
)
def test_what_happened_to_a_release_here_is_told(how: str, reason: str, says: str) -> None:
    def told(name: str) -> str:
        setbacks = {name: Setback(how, 20.9, "ann", reason)}
        found = plan(known=replace(facts(), app=replace(facts().app, setbacks=setbacks)))
        return setback_text(found.release, found.setback) if found.setback else ""

    assert told(NAME).startswith(f"{NAME} {says}")
    assert told("0.9.x") == ""


def test_the_commit_is_written_down_and_does_not_matter() -> None:
    """Neither to the release's name, nor to a plan that was made before the commit."""
    artifact = replace(have().artifact, commit="ab" * 20)
    with_commit = plan(artifact=artifact)
    assert with_commit.release == NAME
    (request,) = [step.request for step in prepare(with_commit) if step.title == "complete"]
    assert isinstance(request, Complete)
    assert request.manifest.commit == "ab" * 20
    assert stale({"web1": seal(with_commit)}, {"web1": plan()}) == []


def test_a_plan_knows_what_moves_to_another_host() -> None:
    move = Move("beat", None, Holder("web2", "web2"), 1, 1, probe(settings()))
    still = plan(known=facts(deployed))
    moving = replace(still, moves=(move,))
    assert (still.idle, moving.idle) == (True, False)
    assert not stale({"web1": seal(moving)}, {"web1": moving})
    (said,) = stale({"web1": seal(still)}, {"web1": moving})
    assert said == "web1: something else would move to another host"
