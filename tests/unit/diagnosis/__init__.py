"""Evidence of a pretended host, as `fab diagnose` gets it."""

from __future__ import annotations

from typing import Any

from cartwheel.diagnosis.cause import Case
from cartwheel.host.wire.diagnosis import Diagnosis
from tests.unit.answers import status

NOW = 1_796_000_000.0
HOST = "web1"


# Any: fields of all types.
def case(*, off_seconds: float = 0.0, about: dict[str, Any] | None = None, **differs: Any) -> Case:
    """A host that is well and on which nothing was seen, but for what differs; `about`: what
    differs in its status."""
    nothing: dict[str, Any] = {
        "time": NOW,
        "took_seconds": 1.0,
        "since": NOW - 7200,
        "status": status(**(about or {})),
        **dict.fromkeys(("signs", "uses", "storage", "services", "lookups", "changes"), ()),
        **dict.fromkeys(("visits", "machine")),
        "unread": (),
        "texts": {},
    }
    return Case(HOST, Diagnosis(**{**nothing, **differs}), off_seconds)
