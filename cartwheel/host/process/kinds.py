"""Every kind of process, and which kind an instance is."""

from __future__ import annotations

from typing import Tuple

from cartwheel.host.process.kind import Process
from cartwheel.host.process.web import Web
from cartwheel.host.process.worker import Worker
from cartwheel.host.wire.instance import Instance

# To add a kind, add a file next to web.py and an entry here.
KINDS: Tuple[Process, ...] = (Web(), Worker())


def kind_of(one: Instance) -> Process:
    """The kind of this instance; the first kind for one that only another version knows."""
    return next((kind for kind in KINDS if kind.runs(one.process)), KINDS[0])
