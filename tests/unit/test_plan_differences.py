"""What a plan says would be otherwise, and whether a later one is still the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cartwheel.build.products import Lock, Platform
from cartwheel.hidden import Hidden
from cartwheel.plan.differences import Changed, Differences, differences, wanted
from cartwheel.plan.host_plan import HostPlan, Operator
from cartwheel.plan.sealed import seal, stale
from cartwheel.plan.steps import in_order
from tests.unit.test_plan_deploy import KEY, NAME, SECRET, SITE, deployed, facts, plan

OLD = "0.9.00000000"
BOOT = "/etc/systemd/system/cartwheel-shop.service"
SITE_PATH = "/etc/nginx/conf.d/cartwheel-shop.conf"
UNIT = f"cartwheel-shop.web.{NAME}.service"
OLD_UNIT = f"cartwheel-shop.web.{OLD}.service"


def lock(text: str) -> Lock:
    return Lock(Platform("3.11.2", "glibc", "2.36", "x86_64"), text, "bb" * 32)


def serving_old(known: dict[str, Any]) -> None:
    known["app"] |= {"current": OLD, "is_up": True, "releases": [MANIFEST]}


MANIFEST = {
    "release": OLD,
    "env": {
        "SECRET_KEY": {"source": "secrets", "digest": "another"},
        "GONE": {"source": "settings", "digest": "x"},
    },
}
PRESENT: dict[str, Any] = {
    "files": {SITE_PATH: "the old site\n", BOOT: "boot"},
    "releases": {
        OLD: {
            "gunicorn.conf.py": f"# {OLD}\nworkers = 1",
            "lock.txt": "flask==2 \\\n    --hash=sha256:a\ngone==1\n",
            "release.json": "{}",
        }
    },
    "running": [OLD_UNIT],
    "stopping": [],
}


def found(one: HostPlan, present: dict[str, Any] = PRESENT) -> Differences:
    return differences(one, present, {OLD: MANIFEST}, UNIT)


def update(**more: Any) -> HostPlan:
    return plan(known=facts(serving_old), **more)


def test_everything_that_would_be_otherwise() -> None:
    new = lock("flask==3 \\\n    --hash=sha256:b\nnew==4\n")
    differs = found(update(lock=new))
    assert differs.packages == Changed(("new 4",), ("gone 1",), ("flask 2 -> 3",))
    assert differs.variables == Changed(("DEBUG",), ("GONE",), ("SECRET_KEY",))
    assert (differs.starts, differs.stops) == ((UNIT,), (OLD_UNIT,))
    own, site = differs.diffs
    assert own.splitlines() == [
        "--- gunicorn.conf.py",
        "+++ gunicorn.conf.py",
        "@@ -1,2 +1,2 @@",
        " # RELEASE",
        "-workers = 1",
        "+workers = 2",
    ]
    assert site.splitlines()[3:] == ["-the old site", f"+{SITE}"]
    assert SECRET not in repr(differs)


def test_a_first_deploy_has_it_all_new() -> None:
    first = plan()
    assert wanted(first) == ([SITE_PATH, BOOT], [NAME])
    differs = found(
        first,
        {"files": dict.fromkeys((BOOT, SITE_PATH)), "releases": {}, "running": [], "stopping": []},
    )
    assert differs.packages.added == ("flask 3",)
    assert differs.variables.added == ("DEBUG", "SECRET_KEY")
    assert [diff.splitlines()[0] for diff in differs.diffs] == ["--- /dev/null"] * 3
    assert differs.stops == ()


def test_what_a_first_deploy_takes_away_is_shown() -> None:
    """nginx's own default site."""
    one = plan()
    gone = replace(one, switch=replace(one.switching, site={"/d": None}))
    present = {**PRESENT, "files": {"/d": "listen 80;\n", BOOT: "boot"}}
    assert found(gone, present).diffs[-1].splitlines()[:2] == ["--- /d", "+++ /dev/null"]


def test_a_release_that_is_on_the_host_is_compared_with_what_is_there() -> None:
    def both(known: dict[str, Any]) -> None:
        serving_old(known)
        known["app"]["releases"] = [MANIFEST, {"release": NAME, "env": MANIFEST["env"]}]

    one = plan(known=facts(both))
    there = {**PRESENT["releases"], NAME: {"gunicorn.conf.py": "other", "lock.txt": "flask==9\n"}}
    differs = differences(
        one, {**PRESENT, "releases": there}, {OLD: MANIFEST, NAME: {"env": MANIFEST["env"]}}, UNIT
    )
    assert differs.packages.changed == ("flask 2 -> 9",)
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
    ({"pip_version": "26"}, "a: pip would be another"),
    ({"index_environment": {}}, "a: install would be another"),
]


@pytest.mark.parametrize(("more", "says"), STALE)
def test_what_would_be_done_otherwise_is_stale(more: dict[str, Any], says: str) -> None:
    assert stale(sealed(), {"a": update(**more)})[0].startswith(says)


def test_what_the_host_has_now_makes_a_plan_stale() -> None:
    one = update()
    assert stale(sealed(), {"a": replace(one, current="x")}) == [
        f"a: it serves x, and served {OLD}"
    ]
    assert stale(sealed(), {"a": replace(one, premise="x")}) == [
        "a: its releases or links have changed"
    ]
    less = replace(one, host_files=None)
    assert "a: host side is done already" in stale(sealed(), {"a": less})
    more = {"a": seal(less)}
    assert "a: host side is to be done too" in stale(more, {"a": one})


def test_other_hosts_than_those_that_were_looked_at() -> None:
    assert stale(sealed(), {"b": update()}) == [
        "b is not in the plan",
        "a is in the plan, and not here",
    ]


def test_no_secret_and_no_key_is_in_what_is_kept() -> None:
    text = repr(sealed())
    assert SECRET not in text
    assert KEY not in text
