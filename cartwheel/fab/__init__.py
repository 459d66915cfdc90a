"""The one typed shim around fabric and invoke; everything else is strictly typed.

`tasks/` needs `task`, `FabContext` and `assemble`; `fabfile.py` needs `bind`.
"""

from __future__ import annotations

from cartwheel.fab.context import FabContext
from cartwheel.fab.namespace import assemble
from cartwheel.fab.program import bind
from cartwheel.fab.task import FleetTask, task

__all__ = ["FabContext", "FleetTask", "assemble", "bind", "task"]
