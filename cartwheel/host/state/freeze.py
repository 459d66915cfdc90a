"""The freeze: a person forbids changes to this application for now, and says why.

Unlike the kernel lock it outlives its session, reboots, deploys and rollbacks, until somebody
lifts it. It stops people from changing things; it never stops a host from repairing itself.
"""

from __future__ import annotations

import time
from typing import Optional

from cartwheel.host.layout import Layout
from cartwheel.host.state import journal, record, releases
from cartwheel.host.system import files, locks
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.wire.codec import from_disk, to_json
from cartwheel.host.wire.journal import Entry
from cartwheel.host.wire.locking import AskHolders, Freeze, Frozen, Holders, Mark, Unfreeze
from cartwheel.host.wire.request import About


def read(at: Layout) -> Optional[Mark]:
    """Who froze the application, when and why; None if nobody.

    A damaged file still freezes: its author did not want changes.
    """
    try:
        return files.read_record(Mark, at.frozen)
    except OpError:
        return Mark("somebody", f"{at.frozen} is damaged", "?")


def refuse_if_frozen(at: Layout) -> None:
    """Raises OpError("held"), which names who, when and why."""
    mark = read(at)
    if mark is not None:
        raise OpError("held", "frozen by " + locks.describe(to_json(mark)))


def hold(ctx: Context, request: Freeze) -> Frozen:
    """Freeze. Repeating the same freeze changes nothing; another one raises OpError("held")."""
    at, about = ctx.at, ctx.about
    record.needed(at)
    known = read(at)
    if known is not None and (known.owner, known.message) != (about.who, about.message):
        refuse_if_frozen(at)
    if known is not None:
        return Frozen(changed=False, freeze=known)
    mark = Mark(about.who, about.message, time.strftime("%F %T"))
    files.write_json(at.frozen, to_json(mark))
    _note(at, "hold", about)
    return Frozen(changed=True, freeze=mark)


def release(ctx: Context, request: Unfreeze) -> Frozen:
    """Lift the freeze, no matter who set it; `freeze` is the lifted one."""
    known = read(ctx.at)
    changed = files.remove(ctx.at.frozen)
    if changed:
        _note(ctx.at, "release", ctx.about)
    return Frozen(changed, known)


def _note(at: Layout, kind: str, about: About) -> None:
    release = releases.pointed(at.current)
    noted = Entry(kind=kind, release=release, result="done", who=about.who, message=about.message)
    journal.append(at.journal, noted)


def status(ctx: Context, request: AskHolders) -> Holders:
    """Who holds the kernel lock now, and who froze the application; None: nobody."""
    return Holders(holder(ctx.at), read(ctx.at))


def holder(at: Layout) -> Optional[Mark]:
    """Who holds the kernel lock now; None if nobody does."""
    known = locks.held_by(at.lock)
    return None if known is None else from_disk(Mark, known)
