"""What a plan says would be otherwise, and whether a later one is still the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from cartwheel.build.products import Lock, Platform
from cartwheel.hidden import Hidden
from cartwheel.host.wire.codec import from_message, to_json
from cartwheel.host.wire.compare import Present
from cartwheel.host.wire.facts import Release
from cartwheel.host.wire.making import PlacedFile
from cartwheel.plan.differences import Changed, Differences, differences, wanted
from cartwheel.plan.host_plan import HostPlan, Operator
from cartwheel.plan.sealed import seal, stale
from cartwheel.plan.steps import in_order
from cartwheel.settings import names
from cartwheel.settings.toml_tables import Settings
from tests.unit.answers import facts, release
from tests.unit.plan.test_deploy import (
    KEY,
    MONEY,
    NAME,
    SECRET,
    SITE,
    deployed,
    plan,
    settings,
)

OLD = "0.9.00000000"
BOOT = "/etc/systemd/system/cartwheel-shop.service"
SITE_PATH = "/etc/nginx/conf.d/cartwheel-shop.conf"
UNIT = f"cartwheel-shop.web.{NAME}@1.service"
OLD_UNIT = f"cartwheel-shop.web.{OLD}@1.service"


def locked(*pins: str, digest: str = "a") -> str:
    return "".join(f"{pin} \\\n    --hash=sha256:{digest * 64}\n" for pin in pins)


def lock(text: str) -> Lock:
    return Lock(Platform("3.11.2", "glibc", "2.36", "x86_64"), text, "bb" * 32)


def serving_old(known: dict[str, Any]) -> None:
    known["app"] |= {"current": OLD, "releases": [MADE]}


def digests(**values: str) -> dict[str, str]:
    return {name: names.short_digest(KEY, value) for name, value in values.items()}


# As what serves was made; a plan of the tests' own ingredients differs from it by its code alone.
MADE = release(
    OLD,
    name="shop",
    version="0.9",
    wheel_sha256="99" * 32,
    python=["/usr/bin/python3", "3.11.2"],
    variables=digests(SECRET_KEY=SECRET, DEBUG="0"),
)
UNITS = {"web.service": f"[Unit] {OLD}\n", "web-b.service": f"[Unit] {OLD} b\n"}
PRESENT: dict[str, Any] = {
    "files": {SITE_PATH: SITE, BOOT: "boot"},
    "releases": {
        OLD: {"gunicorn.conf.py": f"# {OLD}\nworkers = 2", "lock.txt": locked("flask==3")}
    },
    "running": [OLD_UNIT],
    "stopping": [],
}
LOCK = lock(locked("flask==3"))


def settings_of(one: HostPlan) -> Mapping[str, str]:
    return one.switching.settings or {}


def found(
    one: HostPlan,
    present: dict[str, Any] = PRESENT,
    made: dict[str, Any] = MADE,
    settings: Mapping[str, str] | None = None,
    more: Mapping[str, Release] | None = None,
) -> Differences:
    releases = {OLD: from_message(Release, made), **(more or {})}
    return differences(one, from_message(Present, present), releases, (UNIT,), settings)


def update(of: Settings | None = None, **more: Any) -> HostPlan:
    return plan(of, known=facts(serving_old), **{"lock": LOCK, **more})


CODE = ("shop 0.9 -> 1.0",)


def test_another_code_alone() -> None:
    assert found(update()) == Differences(
        packages=Changed(changed=CODE), starts=(UNIT,), stops=(OLD_UNIT,)
    )


def test_another_code_of_the_same_version() -> None:
    differs = found(update(), made={**MADE, "version": "1.0"})
    assert differs.packages.changed == ("shop 1.0, from other files",)


def test_packages() -> None:
    new = lock(locked("flask==4", "new==1"))
    old = {OLD: {"lock.txt": locked("flask==3", "gone==2", "same==1")}}
    differs = found(update(lock=new), {**PRESENT, "releases": old})
    assert differs.packages == Changed(
        ("new 1",), ("gone 2", "same 1"), ("flask 3 -> 4", "shop 0.9 -> 1.0")
    )
    other = lock(locked("flask==3", digest="b"))
    assert found(update(lock=other)).packages.changed[0] == "flask 3, from other files"


def test_what_lies_beside_the_application_is_a_package_too() -> None:
    differs = found(update(lock=replace(LOCK, wheels=(MONEY,))))
    assert differs.packages == Changed(added=("money 2.0",), changed=CODE)


def test_variables_are_named_and_no_more() -> None:
    changed = {"SECRET_KEY": Hidden("another"), "NEW": Hidden("x")}
    differs = found(update(environment=changed))
    assert differs.variables == Changed(("NEW",), ("DEBUG",), ("SECRET_KEY",))
    assert "another" not in repr(differs)
    assert SECRET not in repr(differs)


def test_settings_are_named_and_no_more() -> None:
    def digests_with(**more: Any) -> Mapping[str, str]:
        return settings_of(update(settings(**more)))

    before = digests_with(gunicorn={"threads": 4}, web={"static_url": "/s/"})
    now = settings(gunicorn={"threads": 8}, health={"path": "/up"}, fleet={"canary": 2})
    differs = found(update(now), settings=before)
    assert differs.settings == Changed(("health.path",), ("web.static_url",), ("gunicorn.threads",))
    assert found(update(now), settings=None).settings == Changed(), "nobody knows"
    assert found(update(now), settings=digests_with(gunicorn={"threads": 8})).settings == Changed(
        ("health.path",)
    )


def test_another_interpreter() -> None:
    older = {**MADE, "python": ["/usr/bin/python3", "3.9.2"]}
    assert found(update(), made=older).python == (
        "/usr/bin/python3 3.9.2 -> /usr/bin/python3 3.11.2"
    )


def test_files_that_a_person_reads_are_compared_and_no_others() -> None:
    own = {
        "gunicorn.conf.py": f"# {OLD}\nworkers = 1",
        "lock.txt": locked("flask==3", digest="b"),
        **UNITS,
    }
    present = {**PRESENT, "files": {SITE_PATH: "the old site\n", BOOT: "boot"}}
    differs = found(update(), {**present, "releases": {OLD: own}})
    gunicorn, unit, site = differs.diffs
    assert gunicorn.splitlines() == [
        "--- gunicorn.conf.py",
        "+++ gunicorn.conf.py",
        "@@ -1,2 +1,2 @@",
        " # RELEASE",
        "-workers = 1",
        "+workers = 2",
    ]
    assert unit.splitlines()[:2] == ["--- web.service", "+++ /dev/null"]
    assert site.splitlines()[3:] == ["-the old site", f"+{SITE}"]


TOKEN = "hunter2-token"


def placed(content: str, *, secret: bool = False, mode: int = 0o640) -> PlacedFile:
    return PlacedFile(Hidden(content), mode, "root", "", "", secret)


def digest_of(one: PlacedFile) -> str:
    return names.short_digest(KEY, json.dumps(to_json(one)))


def test_a_template_of_the_app_is_compared_and_a_secret_is_named() -> None:
    before = {
        "shop.ini": placed("v=1\n"),
        "token": placed(TOKEN, secret=True),
        "same": placed("same"),
        "gone": placed("gone", secret=True),
    }
    made = {**MADE, "placed": {name: digest_of(one) for name, one in before.items()}}
    texts = {"files/shop.ini": "v=1\n", "files/same": "same"}
    present = {**PRESENT, "releases": {OLD: {**PRESENT["releases"][OLD], **texts}}}
    after = {
        "shop.ini": placed("v=2\n"),
        "token": placed(TOKEN + "-2", secret=True),
        "same": placed("same", mode=0o600),
        "new": placed(TOKEN, secret=True),
    }
    differs = found(update(placed=after), present, made)
    assert differs.files == Changed(("new",), ("gone",), ("same", "shop.ini", "token"))
    (diff,) = differs.diffs
    assert diff.splitlines() == [
        "--- files/shop.ini",
        "+++ files/shop.ini",
        "@@ -1 +1 @@",
        "-v=1",
        "+v=2",
    ]
    assert TOKEN not in repr(differs)


@pytest.mark.parametrize("secret_before", [True, False])
def test_a_template_that_gets_or_loses_its_secret_is_named(secret_before: bool) -> None:
    """The diff would show the secret, or its file as new."""
    before, after = (placed(f"p={TOKEN}", secret=one) for one in (secret_before, not secret_before))
    made = {**MADE, "placed": {"shop.ini": digest_of(before)}}
    texts = {} if secret_before else {"files/shop.ini": "p="}
    present = {**PRESENT, "releases": {OLD: {**PRESENT["releases"][OLD], **texts}}}
    after = replace(after, mode=0o600)
    differs = found(update(placed={"shop.ini": after}), present, made)
    assert (differs.files, differs.diffs) == (Changed(changed=("shop.ini",)), ())


def test_a_first_deploy_has_it_all_new() -> None:
    first = plan(lock=LOCK)
    assert wanted(first) == ((SITE_PATH, BOOT), (NAME_OF_FIRST,))
    nothing = {"files": dict.fromkeys((BOOT, SITE_PATH)), "releases": {}, "running": []}
    differs = found(first, {**nothing, "stopping": []})
    assert differs.packages == Changed(("flask 3", "shop 1.0"))
    assert differs.variables == Changed(("DEBUG", "SECRET_KEY"))
    assert [diff.splitlines()[0] for diff in differs.diffs] == ["--- /dev/null"] * 3
    assert (differs.stops, differs.python) == ((), "")


NAME_OF_FIRST = plan(lock=LOCK).release


def test_what_a_first_deploy_takes_away_is_shown() -> None:
    """nginx's own default site."""
    one = update()
    gone = replace(one, switch=replace(one.switching, site_changes={"/d": None}))
    present = {**PRESENT, "files": {"/d": "listen 80;\n", BOOT: "boot"}}
    assert found(gone, present).diffs[-1].splitlines()[:2] == ["--- /d", "+++ /dev/null"]


def test_a_release_that_is_on_the_host_is_compared_with_what_is_there() -> None:
    def both(known: dict[str, Any]) -> None:
        serving_old(known)
        known["app"]["releases"] = [MADE, release(NAME)]

    one = plan(known=facts(both))
    there = {**PRESENT["releases"], NAME: {"gunicorn.conf.py": "other", "lock.txt": "flask==9\n"}}
    made = {NAME: from_message(Release, {**MADE, "release": NAME})}
    differs = found(one, {**PRESENT, "releases": there}, more=made)
    assert differs.packages.changed == ("flask 3 -> 9",)
    assert "+other" in differs.diffs[0]
    assert differs.variables == Changed()


def test_nothing_to_do_is_no_difference() -> None:
    one = plan(known=facts(deployed))
    assert one.unchanged
    assert in_order(one) == []
    assert found(one) == Differences()


# -- the same again


def sealed(**more: Any) -> dict[str, Any]:
    return {"a": seal(update(**more))}


def test_the_same_again_is_not_stale_whoever_asks_and_when() -> None:
    again = update(operator=Operator("bob@home", "later"), created="2026-01-01T00:00:00Z")
    assert stale(sealed(), {"a": again}) == []


STALE: list[tuple[dict[str, Any], str]] = [
    ({"environment": {"SECRET_KEY": Hidden("other")}}, "a: the release would be "),
    ({"pip_version": "26"}, "a: pip would be different"),
    ({"index_environment": {}}, "a: install would be different"),
]


@pytest.mark.parametrize(("more", "says"), STALE)
def test_what_would_be_done_otherwise_is_stale(more: dict[str, Any], says: str) -> None:
    assert stale(sealed(), {"a": update(**more)})[0].startswith(says)


def test_what_the_host_has_now_makes_a_plan_stale() -> None:
    one = update()
    assert stale(sealed(), {"a": replace(one, current="x")}) == [f"a: x is live, and was {OLD}"]
    assert stale(sealed(), {"a": replace(one, premise="x")}) == [
        "a: its releases or links have changed"
    ]
    less = replace(one, host_files=None)
    assert "a: host side is no longer needed" in stale(sealed(), {"a": less})
    more = {"a": seal(less)}
    assert "a: host side is now needed too" in stale(more, {"a": one})


def test_other_hosts_than_those_that_were_looked_at() -> None:
    assert stale(sealed(), {"b": update()}) == [
        "b is not in the plan",
        "a is in the plan, but not in this run",
    ]


def test_no_secret_and_no_key_is_in_what_is_kept() -> None:
    text = repr(sealed())
    assert SECRET not in text
    assert KEY not in text
