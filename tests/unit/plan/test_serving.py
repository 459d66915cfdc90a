"""What a plan says and does about static files and media."""

from __future__ import annotations

from typing import Any

from cartwheel.host.wire.making import Complete, Configure, MakeStatic, Verify
from cartwheel.host.wire.served import Served
from cartwheel.plan.steps import titles
from tests.unit.plan.test_deploy import asked, plan, settings, steps_of

WEB: dict[str, Any] = {
    "static_url": "/old",
    "static_dir": "shop/old",
    "static": {
        "/a/": "shop/a",
        "/made/": {"command": "make all", "timeout_seconds": 7},
        "/b/": {"folder": "shop/b", "immutable": True},
    },
    "media": {"/media/": "media"},
}


def test_the_command_runs_before_the_release_is_loaded() -> None:
    found = plan(settings(web=WEB, deploy={"migrate": "up"}))
    order = [one for one in titles(found) if one in ("configure", "static", "verify", "migrate")]
    assert order == ["configure", "static", "verify", "migrate"]
    steps = steps_of(found)
    made = steps["static"]
    assert isinstance(made.request, MakeStatic)
    assert (made.request.command, made.request.setting) == ("make all", 'web.static."/made/"')
    assert made.deadline_seconds > made.request.timeout_seconds == 7
    configure, verify = steps["configure"].request, steps["verify"].request
    assert isinstance(configure, Configure) and configure.has_static
    assert isinstance(verify, Verify)
    complete = steps["complete"].request
    assert isinstance(complete, Complete)
    wanted = Served(
        packages={
            "web.static_dir": "shop/old",
            'web.static."/a/"': "shop/a",
            'web.static."/b/"': "shop/b",
        },
        made='web.static."/made/"',
        media={'web.media."/media/"': "media"},
    )
    assert verify.served == found.switching.served == wanted
    assert complete.manifest.env["STATIC_ROOT"].source == "web.static"


def test_without_a_command_nothing_is_made() -> None:
    found = plan(settings(web={"static": {"/a/": "shop/a"}}))
    assert "static" not in titles(found)
    assert not asked(steps_of(found)["configure"])["has_static"]
    assert "STATIC_ROOT" not in asked(steps_of(found)["complete"])["manifest"]["env"]


def test_a_plan_shows_them_in_words() -> None:
    assert plan(settings(web=WEB)).serves == (
        "/old/ serves shop/old of the packages",
        "/a/ serves shop/a of the packages",
        "/made/ serves what `make all` makes",
        "/b/ serves shop/b of the packages, immutable",
        "/media/ serves shared/media, which the app writes",
    )
    assert plan(settings()).serves == ()


def test_only_the_command_makes_another_release() -> None:
    """Mappings belong to the site; `release_name` is of the content."""

    def release(**static: Any) -> str:
        return plan(settings(web={"static": static})).release

    plain = release()
    assert release(**{"/a/": {"folder": "shop/a"}}) == plain
    made = release(**{"/a/": {"command": "make"}})
    assert made != plain
    assert release(**{"/b/": {"command": "make", "timeout_seconds": 5}}) == made
    assert release(**{"/a/": {"command": "make more"}}) != made
