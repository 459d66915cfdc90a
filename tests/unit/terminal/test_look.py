"""What `fab status` gives to programs: its fields are a promise."""

from __future__ import annotations

from cartwheel.plan.condition import conditions
from tasks.look import _fields
from tests.unit.answers import status

ALWAYS = [
    "also_running",
    "assigned",
    "boot",
    "boot_unit",
    "commit",
    "content",
    "current",
    "cut_off",
    "cut_off_content",
    "disk",
    "exclusive",
    "freeze",
    "last",
    "leftovers",
    "lock",
    "maintenance",
    "not_whole",
    "pending",
    "problems",
    "processes",
    "release",
    "rollback",
    "set_up",
    "stopped",
    "stopped_processes",
    "stopping",
    "timers",
    "tls",
    "version",
    "web_server",
    "well",
]
WHERE_SOMETHING_SERVES = [
    "active",
    "age_seconds",
    "front",
    "healthy",
    "main_pid",
    "memory_bytes",
    "problem",
    "restarts",
    "result",
    "sub",
    "suspended",
    "workers",
]


def test_all_fields_are_in_one_object() -> None:
    serving, bare = status(), status(release=None, serving=None)
    assert sorted(_fields(serving, [])) == sorted([*ALWAYS, *WHERE_SOMETHING_SERVES])
    told = _fields(bare, conditions("web1", bare))
    assert sorted(told) == ALWAYS
    assert not told["well"]
    assert [one["what"] for one in told["problems"]] == ["serves"]
