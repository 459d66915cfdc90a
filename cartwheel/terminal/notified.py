"""A run that people are told of, as a task has it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cartwheel.commands.notifying import Notified
    from cartwheel.commands.scene import Scene
    from cartwheel.settings.phases import Kind
    from cartwheel.terminal.show import Output


@contextmanager
def telling(scene: Scene, out: Output, kind: Kind) -> Iterator[Notified]:
    """Tell the run in this block ([notify]), and say afterwards who could not be told."""
    from cartwheel.commands.notifying import Notified

    notified = Notified(scene, kind)
    try:
        with notified:
            yield notified
    finally:
        for name, problem in notified.undelivered.items():
            out.complain(f"note: {name} did not get the message: {problem}")
        if scene.settings.notify.to:
            out.put(undelivered=notified.undelivered)
