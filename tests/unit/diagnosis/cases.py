"""Evidence of a host that is well, but for what differs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from cartwheel.diagnosis.cause import Case, Cause
from cartwheel.host.wire.diagnosis import Diagnosis, Machine, Storage
from tests.unit.answers import status

NOW = 1_796_000_000.0
GB = 1 << 30


def storage(**differs: Any) -> Storage:
    """The root of a host with a disk of 20 GB, half full."""
    known: dict[str, Any] = {
        "path": "/",
        "what": ("the app", "its shared files", "the logs", "the system"),
        "size": 20 * GB,
        "free": 10 * GB,
        "inodes": 1_300_000,
        "free_inodes": 1_000_000,
        "read_only": False,
    }
    return Storage(**{**known, **differs})


def machine(**differs: Any) -> Machine:
    """A host that works hard, and is well."""
    known: dict[str, Any] = {
        "cpus": 2,
        "load": 3.5,
        "memory": 4 * GB,
        "memory_available": 1 * GB,
        "swap": GB,
        "swap_free": GB,
        "files": 3000,
        "files_max": 400_000,
        "synchronized": True,
        "kernel": "6.1.0-37-amd64",
        "newest_kernel": "6.1.0-37-amd64",
        "waiting": 0.1,
        "memory_waiting": 0.0,
        "cpu_waiting": 0.6,
        "time_service": "systemd-timesyncd.service",
        "time_service_seconds": 86400.0,
    }
    return Machine(**{**known, **differs})


def case(off_seconds: float = 0.0, **differs: Any) -> Case:
    """What is to be judged."""
    known: dict[str, Any] = {
        "time": NOW,
        "took_seconds": 1.0,
        "since": NOW - 7200,
        "status": status(),
        "signs": (),
        "uses": (),
        "visits": None,
        "storage": (storage(),),
        "machine": machine(),
        "services": (),
        "lookups": (),
        "changes": (),
        "unread": (),
        "texts": {},
    }
    return Case("web1", Diagnosis(**{**known, **differs}), off_seconds)


def slugs(rule: Callable[[Case], Iterable[Cause]], one: Case) -> list[str]:
    """What the rule finds."""
    return [cause.slug for cause in rule(one)]
