"""A deliberate freeze: a person says that nobody may change this application for now, and why.

Unlike the kernel lock it is meant to stay: over the end of its session, reboots, deploys
and rollbacks, until it is released. It keeps people from changing things; it never keeps a
host from putting itself in order.
"""

from __future__ import annotations

import time
from typing import Optional

from cartwheel.host.layout import Layout
from cartwheel.host.state import journal, releases
from cartwheel.host.system import files, locks
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.wire.codec import WireError, from_disk, to_json
from cartwheel.host.wire.journal import Entry
from cartwheel.host.wire.locking import AskHolders, Freeze, Frozen, Holders, Mark, Unfreeze
from cartwheel.host.wire.request import About


def read(at: Layout) -> Optional[Mark]:
    """Who froze the application, since when and why; None if nobody.

    A damaged file still freezes: whoever wrote it did not want changes.
    """
    try:
        known = files.read_json(at.frozen)
        return None if known is None else from_disk(Mark, known)
    except (OpError, WireError):
        return Mark("somebody", f"{at.frozen} is damaged", "?")


def refuse_if_frozen(at: Layout) -> None:
    """Raises OpError("held") that names who, since when and why."""
    mark = read(at)
    if mark is not None:
        raise OpError("held", "frozen by " + locks.describe(to_json(mark)))


def hold(ctx: Context, request: Freeze) -> Frozen:
    """Freeze. Saying the same again changes nothing; over another one it is OpError("held")."""
    at, about = ctx.at, ctx.about
    if files.read_json(at.record) is None:
        raise OpError("not-set-up", "this host is not set up for {}".format(at.app))
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
    """Lift the freeze, whoever set it; `freeze` is what it was."""
    at = ctx.at
    known = read(at)
    changed = files.remove(at.frozen) if known is not None else False
    if changed:
        _note(at, "release", ctx.about)
    return Frozen(changed, known)


def _note(at: Layout, kind: str, about: About) -> None:
    release = releases.pointed(at.current)
    noted = Entry(kind=kind, release=release, result="done", who=about.who, message=about.message)
    journal.append(at.journal, noted)


def status(ctx: Context, request: AskHolders) -> Holders:
    """Who holds the kernel lock now, and the freeze; None where nobody does."""
    return Holders(holder(ctx.at), read(ctx.at))


def holder(at: Layout) -> Optional[Mark]:
    """Who holds the kernel lock now; None if nobody does."""
    known = locks.held_by(at.lock)
    return None if known is None else from_disk(Mark, known)
