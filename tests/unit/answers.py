"""Answers of pretended hosts, as a session would hand them on."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from cartwheel.events import Emit, silent
from cartwheel.fleet.sessions import Fleet
from cartwheel.host.wire.codec import from_message, to_json
from cartwheel.host.wire.facts import Facts
from cartwheel.host.wire.pending import DAMAGED
from cartwheel.host.wire.request import Request, answer_of
from cartwheel.host.wire.status import Status

A = TypeVar("A")

RELEASE = "1.0.aa"
WEB: dict[str, Any] = {
    "kind": "nginx",
    "active": "active",
    "unit_file": "enabled",
    "site": False,
    "token": True,
    "folder": True,
    "reads": True,
    "complaint": "",
}
# A host that serves, and is well.
WELL: dict[str, Any] = {
    "release": RELEASE,
    "content": RELEASE,
    "version": "1.0",
    "commit": "",
    "current": RELEASE,
    "not_whole": "",
    "rollback": None,
    "cut_off": None,
    "cut_off_content": None,
    "last": None,
    "set_up": True,
    "stopped": None,
    "stopped_processes": {},
    "maintenance": None,
    "pending": None,
    "lock": None,
    "freeze": None,
    "leftovers": [],
    "also_running": [],
    "stopping": [],
    "web_server": {**WEB, "site": True},
    "boot": "enabled",
    "boot_unit": "cartwheel-shop.service",
    "disk": {"free_bytes": 10 << 30, "free_inodes": 10**6, "read_only": False},
    "processes": [],
    "assigned": {"counts": {"web": 1}, "holders": {}, "slots": {}},
    "exclusive": [],
    "timers": [],
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
    if differs.get("pending") is not None:
        differs["pending"] = {**to_json(DAMAGED), **differs["pending"]}
    found: Status = from_message(Status, _with(WELL, differs))
    return found


def _with(known: dict[str, Any], differs: dict[str, Any]) -> dict[str, Any]:
    """Tables that are there on both sides are mixed."""

    def mixed(name: str, value: Any) -> Any:
        both = isinstance(value, dict) and isinstance(known.get(name), dict)
        return _with(known[name], value) if both else value

    return {**known, **{name: mixed(name, value) for name, value in differs.items()}}


INTERPRETER: dict[str, Any] = {
    "path": "/usr/bin/python3",
    "version": "3.11.2",
    "stdlib": "/usr/lib/python3.11",
    "in_home": False,
    "obstacle": "",
}
# A host that is set up for `shop` and serves nothing yet.
FACTS: dict[str, Any] = {
    "host": {
        "machine": "x86_64",
        "system": "Debian GNU/Linux 12 (bookworm)",
        "libc": "glibc",
        "libc_version": "2.36",
        "cpus": 2,
        "time": 1795654746.5,
        "boot_id": "one machine's",
        "systemd": 252,
        "ipv6": True,
    },
    "python": INTERPRETER,
    "no_python": "",
    "app": {
        "digest_key": "5eed" * 16,
        "current": None,
        "content": None,
        "serving": None,
        "down": [],
        "rollback": None,
        "releases": [],
        "spoilt": {},
        "settings": None,
        "assigned": {"counts": {"web": 1}, "holders": {}, "slots": {}},
        "carried": [],
        "wheels": [],
        "leftovers": [],
        "locked": False,
        "pending": False,
        "stopped": None,
        "stopped_processes": {},
        "maintenance": None,
        "freeze": None,
        "premise": "as it was",
        "seq": 7,
    },
    "files": {"/etc/nginx/conf.d/cartwheel-shop.conf": None},
    "web_server": "1.22.1",
    "web": WEB,
    "servers": [],
    "ports": {"22": "sshd"},
    "free_bytes": 10 << 30,
    "free_inodes": 10**6,
    "pips": [],
    "uv": None,
}


def facts(change: Callable[[dict[str, Any]], Any] = lambda _known: None) -> Facts:
    """Those facts, changed by `change` while they are of JSON's kinds."""
    known = copy.deepcopy(FACTS)
    change(known)
    found: Facts = from_message(Facts, known)
    return found


def release(called: str, **more: Any) -> dict[str, Any]:
    """One of the releases in facts."""
    plain = {"release": called, "version": "", "content": called, "name": "", "wheel_sha256": ""}
    return {**plain, "python": None, "variables": {}, "placed": {}, **more}


def answer_to(asked: Request[A], said: Any) -> A:
    """The record of what a host said, of JSON's kinds."""
    return answer_of(type(asked), said)


def fleet_of(sessions: Mapping[str, Any], emit: Emit = silent, **more: Any) -> Fleet:
    """A fleet of pretended sessions by host name."""
    return Fleet(sessions, emit, **more)
