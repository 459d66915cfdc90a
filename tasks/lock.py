"""Tasks for the lock of an application, and for a freeze."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cartwheel.errors import UsageError
from cartwheel.terminal.scene import app_task

if TYPE_CHECKING:
    from cartwheel.commands.scene import Scene
    from cartwheel.host.wire.locking import Holders, Mark
    from cartwheel.terminal.show import Output


@app_task(changing=True, about_freeze=True)
def hold(scene: Scene, out: Output) -> int:
    """Freeze the app: refuse every change until lock.release.

    --message gives the reason; everybody who is refused sees it. The live release keeps serving,
    also across reboots; a host still recovers from faults.
    """
    from cartwheel.commands import ask

    if not scene.operator.message.strip():
        raise UsageError(
            "usage",
            "a freeze needs a reason",
            hint=f"`{scene.typed.command('lock.hold')} --message 'no changes during the sale'`",
        )
    return out.answers(
        ask.hold(scene),
        lambda one: ("" if one.changed else "already ") + freeze_text(one.freeze),
    )


@app_task(changing=True, about_freeze=True)
def release(scene: Scene, out: Output) -> int:
    """Lift the freeze of lock.hold, no matter who set it."""
    from cartwheel.commands import ask

    return out.answers(
        ask.release(scene),
        lambda one: f"was {freeze_text(one.freeze)}" if one.changed else "was not frozen",
    )


@app_task(quiet=True)
def status(scene: Scene, out: Output) -> int:
    """Show who holds the lock or froze the app, and why."""
    from cartwheel.commands import ask

    return out.answer_table(ask.lock_status(scene), ("WHAT", "BY", "SINCE", "WHY"), _rows)


def _rows(one: Holders) -> Sequence[tuple[str, ...]]:
    rows = [
        (what, mark.owner, mark.since or "-", mark.message or "-")
        for what, mark in (("locked", one.lock), ("frozen", one.freeze))
        if mark is not None
    ]
    return rows or [("free", "-", "-", "-")]


def freeze_text(mark: Mark | None) -> str:
    """A freeze as text."""
    return "" if mark is None else f"frozen by {mark.owner} since {mark.since} ({mark.message})"
