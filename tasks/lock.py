"""Words about who may change an application: its lock, and a deliberate freeze."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cartwheel.errors import UsageError
from cartwheel.terminal.scene import word

if TYPE_CHECKING:
    from cartwheel.commands.scene import Scene
    from cartwheel.host.wire.locking import Holders, Mark
    from cartwheel.terminal.show import Output


@word(changing=True, about_freeze=True)
def hold(scene: Scene, out: Output) -> int:
    """Freeze the app: every change is refused until lock.release.

    --message says why, and is shown to whoever is refused. What serves goes on serving, over
    reboots too; a host still puts itself in order after a fault.
    """
    from cartwheel.commands import ask

    if not scene.operator.message.strip():
        raise UsageError(
            "usage",
            "a freeze needs its reason",
            hint='fab lock.hold -H HOST --message "no changes during the sale"',
        )
    return out.answers(
        ask.hold(scene),
        lambda one: ("" if one.changed else "already ") + freeze_text(one.freeze),
    )


@word(changing=True, about_freeze=True)
def release(scene: Scene, out: Output) -> int:
    """Lift the freeze of lock.hold, whoever set it."""
    from cartwheel.commands import ask

    return out.answers(
        ask.release(scene),
        lambda one: f"was {freeze_text(one.freeze)}" if one.changed else "was not held",
    )


@word(quiet=True)
def status(scene: Scene, out: Output) -> int:
    """Who changes the app now, and who holds it, since when, why."""
    from cartwheel.commands import ask

    return out.answer_table(ask.lock_status(scene), ("WHAT", "BY", "SINCE", "WHY"), _rows)


def _rows(one: Holders) -> Sequence[tuple[str, ...]]:
    rows = [
        (what, mark.owner, mark.since or "-", mark.message or "-")
        for what, mark in (("locked", one.lock), ("held", one.freeze))
        if mark is not None
    ]
    return rows or [("free", "-", "-", "-")]


def freeze_text(mark: Mark | None) -> str:
    """A freeze in words."""
    return "" if mark is None else f"held by {mark.owner} since {mark.since} ({mark.message})"
