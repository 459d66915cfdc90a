"""Which host runs what."""

from __future__ import annotations

from typing import Any

import pytest

from cartwheel.plan.processes import (
    assigned,
    described_timers,
    lacking_hosts,
    last_job_seconds,
)
from cartwheel.settings.toml_tables import Settings

WORKERS = {
    "worker": {"command": "work", "roles": ["worker"], "count": "cpus * 2"},
    "mailer": {"command": "mail"},
}


def settings(**processes: Any) -> Settings:
    values = {"app": {"name": "shop", "source": "."}, "processes": {**WORKERS, **processes}}
    return Settings.model_validate(values)


@pytest.mark.parametrize(
    ("roles", "runs"),
    [
        (["web"], {"web": 1, "mailer": 1}),
        (["worker"], {"worker": 8}),
        (["worker", "web", "other"], {"web": 1, "worker": 8, "mailer": 1}),
        ([], {"web": 1, "mailer": 1}),
        (["other"], {"web": 1, "mailer": 1}),
    ],
)
def test_what_a_host_runs(roles: list[str], runs: dict[str, int]) -> None:
    assert assigned(settings(), roles, cpus=4).counts == runs


def test_web_has_roles_of_its_own() -> None:
    apart = settings(web={"roles": ["front"]})
    assert apart.host_roles == ("web", "front", "worker")
    assert assigned(apart, ["front"], cpus=1).counts == {"web": 1}
    assert assigned(apart, ["web"], cpus=1).counts == {"mailer": 1}
    alone = Settings.model_validate(
        {"app": {"name": "shop", "source": "."}, "processes": {"web": {"roles": ["front"]}}}
    )
    assert assigned(alone, ["other"], cpus=1).counts == {}, "it has no process with app.roles"


def test_a_process_that_no_host_runs() -> None:
    assert lacking_hosts(settings(), [["web"], []]) == {"processes.worker": "worker"}
    assert lacking_hosts(settings(), [["worker"]]) == {"processes.mailer": "web"}
    assert lacking_hosts(settings(), [["worker"], ["web"]]) == {}


def test_timers_and_the_hosts_that_have_them() -> None:
    known = Settings.model_validate(
        {
            "app": {"name": "shop", "source": "."},
            "timers": {
                "mail": {"command": "mail", "schedule": "@daily"},
                "all": {"command": "all", "schedule": "@daily", "hosts": "all"},
                "work": {"command": "work", "schedule": "@daily", "roles": ["worker"]},
            },
        }
    )
    assert assigned(known, ["web"], 1).timers == ("all", "mail")
    assert assigned(known, ["worker"], 1).timers == ("work",)
    assert last_job_seconds(known, "timer mail", ()) == 3630, "and 30 s to end once it is asked to"
    assert lacking_hosts(known, [["web"]]) == {"timers.work": "worker"}
    assert described_timers(known)["mail"].key == "@daily"
