"""Answers of pretended hosts, as a session would hand them on."""

from __future__ import annotations

from typing import Any, TypeVar

from cartwheel.host.wire.codec import from_message, value_of
from cartwheel.host.wire.request import Request, answer_of
from cartwheel.host.wire.status import Status

A = TypeVar("A")

RELEASE = "1.0.aa"
# A host that serves, and is well.
WELL: dict[str, Any] = {
    "release": RELEASE,
    "content": RELEASE,
    "version": "1.0",
    "current": RELEASE,
    "not_whole": "",
    "rollback": None,
    "cut_off": None,
    "cut_off_content": None,
    "last": None,
    "set_up": True,
    "stopped": None,
    "pending": None,
    "lock": None,
    "freeze": None,
    "leftovers": [],
    "also_running": [],
    "stopping": [],
    "nginx": {"active": "active", "unit_file": "enabled", "site": True, "token": True},
    "boot": "enabled",
    "boot_unit": "cartwheel-shop.service",
    "disk": {"free_bytes": 10 << 30, "free_inodes": 10**6, "read_only": False},
    "serving": {
        "age_seconds": 60.0,
        "active": "active",
        "sub": "running",
        "result": "success",
        "workers": 2,
        "suspended": 0,
        "memory_bytes": 50 << 20,
        "restarts": 0,
        "main_pid": 4711,
        "problem": "",
        "front": "",
        "healthy": True,
    },
}


def status(**differs: Any) -> Status:
    """What a host says that is well, but for what differs; tables field by field."""
    found: Status = from_message(Status, _with(WELL, differs))
    return found


def _with(known: dict[str, Any], differs: dict[str, Any]) -> dict[str, Any]:
    """Tables that are there on both sides are mixed."""

    def mixed(name: str, value: Any) -> Any:
        both = isinstance(value, dict) and isinstance(known.get(name), dict)
        return _with(known[name], value) if both else value

    return {**known, **{name: mixed(name, value) for name, value in differs.items()}}


def answer_to(asked: Request[A], said: Any) -> A:
    """The record of what a host said, of JSON's kinds."""
    found: A = value_of(answer_of(type(asked)), said)
    return found
