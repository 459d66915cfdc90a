"""What `fab status` finds, `fab diagnose` finds too."""

from __future__ import annotations

from typing import Any

import pytest

from cartwheel.diagnosis import health
from cartwheel.diagnosis.cause import SOON, STOPS
from cartwheel.host.release import leftovers
from cartwheel.host.release.leftovers import Leftover
from tests.unit.diagnosis import case


@pytest.mark.parametrize(
    ("about", "slug", "says"),
    [
        ({"serving": {"problem": "/ answered 500 instead of 200"}}, "app-ill", "answered 500"),
        ({"serving": {"front": "it answered 502"}}, "front-door-ill", "it answered 502"),
        (
            {"web_server": {"active": "failed"}, "serving": {"front": "nobody listens"}},
            "nginx",
            "nginx does not run",
        ),
        ({"disk": {"free_bytes": 1 << 20}}, "disk", "the disk is full: 1 MB"),
        ({"not_whole": "env is missing"}, "release", "is damaged: env is missing"),
        ({"cut_off": "1.1.bb"}, "cut-off", "the last deploy, of 1.1.bb, was interrupted"),
        (
            {
                "processes": [
                    {"process": "worker", "label": "1", "active": "failed", "problem": "x"}
                ]
            },
            "process-ill",
            "worker@1: x",
        ),
    ],
)
def test_a_problem(about: dict[str, Any], slug: str, says: str) -> None:
    found = next(one for one in health.causes(case(about=about)) if one.slug == slug)
    assert says in found.title
    assert found.todo


def test_what_serves_nobody_explains_what_visitors_see() -> None:
    about = {"web_server": {"active": "failed"}, "serving": {"front": "nobody listens"}}
    (found,) = health.causes(case(about=about))
    assert found.weight == STOPS
    assert "front-door-ill" in found.explains


def test_a_deploy_that_was_killed_while_it_installed() -> None:
    half = Leftover(leftovers.RELEASE, "/srv/shop/releases/1.1.bb").text
    wheel = Leftover(leftovers.WHEEL, "/srv/shop/cache/wheels/44f3").text
    (found,) = health.causes(case(about={"leftovers": [half, wheel]}))
    assert (found.slug, found.weight) == ("cut-off", SOON)
    assert found.title == "a deploy of 1.1.bb was cut off before the release was complete"
    assert "`fab deploy -H " in found.todo and "fab doctor --fix" in found.todo
    assert found.evidence == (half, wheel)
    # It is one finding, also if the journal has it; and none while somebody deploys.
    assert len([*health.causes(case(about={"leftovers": [half], "cut_off": "1.1.bb"}))]) == 1
    lock = {"owner": "ann", "message": "", "since": "?"}
    assert list(health.causes(case(about={"leftovers": [half], "lock": lock}))) == []
    assert list(health.causes(case(about={"leftovers": [wheel]}))) == []


def test_a_running_deploy_is_no_interrupted_one() -> None:
    lock = {"owner": "ann", "message": "", "since": "?"}
    assert list(health.causes(case(about={"cut_off": "1.1.bb", "lock": lock}))) == []


def test_a_switch_that_nobody_confirmed() -> None:
    (found,) = health.causes(case(about={"pending": {"to": "1.1.bb"}}))
    assert (found.slug, found.weight) == ("switch", SOON)


def test_a_host_that_is_well() -> None:
    assert list(health.causes(case())) == []
