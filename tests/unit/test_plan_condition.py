"""Whether a host is well, from its answer to `status`; tests/lab/test_status.py has real ones."""

from __future__ import annotations

from typing import Any

import pytest

from cartwheel.plan.condition import conditions, health

DISK = {"free_bytes": 10 << 30, "free_inodes": 10**6, "read_only": False}
NGINX = {"active": "active", "unit_file": "enabled", "site": True, "token": True}
WELL: dict[str, Any] = {
    "set_up": True,
    "release": "1.0.aa",
    "current": "1.0.aa",
    "not_whole": "",
    "rollback": None,
    "stopped": None,
    "pending": None,
    "lock": None,
    "freeze": None,
    "leftovers": [],
    "also_running": [],
    "stopping": [],
    "active": "active",
    "result": "success",
    "restarts": 0,
    "workers": 2,
    "suspended": 0,
    "problem": "",
    "front": "",
    "nginx": NGINX,
    "boot": "enabled",
    "boot_unit": "cartwheel-shop.service",
    "disk": DISK,
}
FREEZE = {"owner": "me", "since": "now", "message": "sale"}


@pytest.mark.parametrize(
    ("differs", "said", "told"),
    [
        ({}, "healthy", {}),
        ({"restarts": 3}, "healthy", {}),
        ({"freeze": FREEZE}, "healthy", {"freeze": "note"}),
        ({"lock": {"owner": "me"}}, "healthy", {"lock": "note"}),
        ({"pending": {}}, "healthy", {"switch": "note"}),
        ({"leftovers": ["half release: x"]}, "healthy", {"leftover": "note"}),
        ({"also_running": ["0.9.bb"]}, "healthy", {"also running": "note"}),
        ({"stopping": ["0.9.bb"]}, "healthy", {"stopping": "note"}),
        ({"disk": {**DISK, "free_bytes": 200 << 20}}, "healthy", {"disk": "note"}),
        ({"nginx": {**NGINX, "active": "reloading"}}, "healthy", {}),
        ({"nginx": {**NGINX, "unit_file": "generated"}}, "healthy", {}),
        ({"nginx": {**NGINX, "unit_file": "enabled-runtime"}}, "AT RISK", {"nginx": "PROBLEM"}),
        # started by hand: it answers, and will not after the next boot
        ({"nginx": {**NGINX, "active": "inactive"}}, "AT RISK", {"nginx": "PROBLEM"}),
        ({"disk": {**DISK, "free_inodes": 12}}, "AT RISK", {"disk": "PROBLEM"}),
        ({"set_up": False}, "AT RISK", {"setup": "PROBLEM"}),
        ({"not_whole": "venv is missing"}, "AT RISK", {"release": "PROBLEM"}),
        # one cause, one row: through nginx nothing comes either
        ({"problem": "500", "front": "502"}, "UNHEALTHY", {"app": "PROBLEM"}),
        (
            {"front": "refused", "nginx": {**NGINX, "active": "failed"}},
            "UNHEALTHY",
            {"nginx": "PROBLEM"},
        ),
        (
            {"front": "refused", "nginx": {**NGINX, "active": "inactive", "unit_file": ""}},
            "UNHEALTHY",
            {"nginx": "PROBLEM"},
        ),
        (
            {"stopped": {"who": "me", "since": "now"}, "problem": "no", "front": "no"},
            "stopped",
            {"serves": "PROBLEM"},
        ),
    ],
)
def test_what_a_host_is_told_to_be(
    differs: dict[str, Any], said: str, told: dict[str, str]
) -> None:
    status = {**WELL, **differs}
    findings = conditions("web1", status)
    assert health(findings, status) == said
    assert {one.what: one.level for one in findings if one.level != "ok"} == told
    assert all(one.todo for one in findings if not one.ok)


def test_an_unhealthy_app_without_a_way_back_needs_a_deploy() -> None:
    for rollback, advice in ((None, "`fab deploy -H web1`"), ("0.9.bb", "goes back to 0.9.bb")):
        (problem,) = [
            one
            for one in conditions("web1", {**WELL, "problem": "500", "rollback": rollback})
            if not one.ok
        ]
        assert advice in problem.todo
