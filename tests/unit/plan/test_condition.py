"""Whether a host is well, from its answer to `status`; tests/lab/test_status.py has real ones."""

from __future__ import annotations

from typing import Any

import pytest

from cartwheel.plan.condition import conditions, health
from tests.unit.answers import status

FREEZE = {"owner": "me", "since": "now", "message": "sale"}


@pytest.mark.parametrize(
    ("differs", "said", "told"),
    [
        ({}, "healthy", {}),
        ({"serving": {"restarts": 3}}, "healthy", {}),
        ({"freeze": FREEZE}, "healthy", {"freeze": "note"}),
        ({"lock": {**FREEZE, "owner": "me"}}, "healthy", {"lock": "note"}),
        ({"pending": {}}, "healthy", {"switch": "note"}),
        ({"leftovers": ["half release: x"]}, "healthy", {"leftover": "note"}),
        ({"also_running": ["0.9.bb"]}, "healthy", {"also running": "note"}),
        ({"stopping": ["0.9.bb"]}, "healthy", {"stopping": "note"}),
        (
            {"stopped_processes": {"worker": {"who": "me", "message": "", "since": "now"}}},
            "healthy",
            {"worker": "note"},
        ),
        (  # another host has it by now, and knows better
            {
                "stopped_processes": {"worker": {"who": "me", "message": "", "since": "now"}},
                "assigned": {"counts": {"web": 1}, "holders": {"worker": "web2"}},
            },
            "healthy",
            {},
        ),
        ({"disk": {"free_bytes": 200 << 20}}, "healthy", {"disk": "note"}),
        ({"web_server": {"active": "reloading"}}, "healthy", {}),
        ({"web_server": {"unit_file": "generated"}}, "healthy", {}),
        ({"web_server": {"unit_file": "enabled-runtime"}}, "AT RISK", {"nginx": "PROBLEM"}),
        # started by hand: it answers, and will not after the next boot
        ({"web_server": {"active": "inactive"}}, "AT RISK", {"nginx": "PROBLEM"}),
        ({"disk": {"free_inodes": 12}}, "AT RISK", {"disk": "PROBLEM"}),
        ({"set_up": False}, "AT RISK", {"setup": "PROBLEM"}),
        ({"not_whole": "venv is missing"}, "AT RISK", {"release": "PROBLEM"}),
        # one cause, one row: through nginx nothing comes either
        ({"serving": {"problem": "500", "front": "502"}}, "UNHEALTHY", {"app": "PROBLEM"}),
        (
            {"serving": {"front": "refused"}, "web_server": {"active": "failed"}},
            "UNHEALTHY",
            {"nginx": "PROBLEM"},
        ),
        (
            {
                "serving": {"front": "refused"},
                "web_server": {"active": "inactive", "unit_file": ""},
            },
            "UNHEALTHY",
            {"nginx": "PROBLEM"},
        ),
        (
            {
                "stopped": {"who": "me", "message": "", "since": "now"},
                "serving": {"problem": "no", "front": "no"},
            },
            "stopped",
            {"serves": "PROBLEM"},
        ),
    ],
)
def test_what_a_host_is_told_to_be(
    differs: dict[str, Any], said: str, told: dict[str, str]
) -> None:
    found = status(**differs)
    findings = conditions("web1", found)
    assert health(findings, found) == said
    assert {one.what: one.level for one in findings if one.level != "ok"} == told
    assert all(one.todo for one in findings if not one.ok)


def test_an_unhealthy_app_without_a_way_back_needs_a_deploy() -> None:
    for rollback, advice in ((None, "`fab deploy -H web1`"), ("0.9.bb", "goes back to 0.9.bb")):
        (problem,) = [
            one
            for one in conditions("web1", status(serving={"problem": "500"}, rollback=rollback))
            if not one.ok
        ]
        assert advice in problem.todo


@pytest.mark.parametrize(
    ("complaint", "shared", "told"),
    [
        ("unknown directive in /etc/nginx/conf.d/z.conf:1", True, "fix what nginx names"),
        ("duplicate in /etc/nginx/conf.d/cartwheel-a.conf:3", True, "writes {}/cartwheel-a.conf"),
        ("duplicate in /etc/nginx/conf.d/z.conf:1", False, "writes {}/cartwheel.conf"),
    ],
)
def test_what_the_web_server_refuses_is_fixed_by_who_wrote_it(
    complaint: str, shared: bool, told: str
) -> None:
    answer = status(web_server={"complaint": complaint, "shared": shared})
    (found,) = [one for one in conditions("web1", answer) if one.what == "nginx -t"]
    assert told.format("/etc/nginx/conf.d") in found.todo
