"""Every kind of process, and of which kind one is."""

from __future__ import annotations

from typing import Tuple

from cartwheel.host.process.kind import Process
from cartwheel.host.process.web import Web
from cartwheel.host.wire.instance import Instance

# A new kind is a file beside web.py, and a word here.
KINDS: Tuple[Process, ...] = (Web(),)


def kind_of(one: Instance) -> Process:
    """The kind that runs this instance; of one that only another version knows, the first."""
    return next((kind for kind in KINDS if kind.runs(one.process)), KINDS[0])
