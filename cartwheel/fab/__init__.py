"""The one typed shim around fabric and invoke; everything else is strictly typed.

`tasks/` needs `task`, `FabContext` and `assemble`; a fabfile needs `tasks_for`.
"""

from __future__ import annotations

import atexit
import gc
import sys

# fab forbids writing bytecode, so that every start would compile all of this again.
sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)

# A start makes 100 000 objects that stay, and no garbage: Python would search all of them about
# a hundred times, and once more before it ends.
gc.set_threshold(100_000)
atexit.register(gc.freeze)

from cartwheel.fab.context import FabContext  # noqa: E402 - after the collector is set
from cartwheel.fab.fabfile import tasks_for, words_for  # noqa: E402 - after the collector is set
from cartwheel.fab.namespace import assemble  # noqa: E402 - after the collector is set
from cartwheel.fab.task import FleetTask, task  # noqa: E402 - after the collector is set

__all__ = ["FabContext", "FleetTask", "assemble", "task", "tasks_for", "words_for"]
