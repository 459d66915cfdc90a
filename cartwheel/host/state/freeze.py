"""A deliberate freeze: a person says that nobody may change this application for now, and why.

Unlike the kernel lock it is meant to stay: over the end of its session, reboots, deploys
and rollbacks, until it is released. It keeps people from changing things; it never keeps a
host from putting itself in order.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Dict, Optional

from cartwheel.host.layout import Layout
from cartwheel.host.state import journal, releases
from cartwheel.host.system import files, locks
from cartwheel.host.system.context import Context, OpError

Args = Dict[str, Any]


def read(at: Layout) -> Optional[Args]:
    """Who froze the application, since when and why (owner, since, message); None if nobody.

    A damaged file still freezes: whoever wrote it did not want changes.
    """
    try:
        return files.read_json(at.frozen)
    except OpError:
        return {"owner": "somebody", "since": "?", "message": "{} is damaged".format(at.frozen)}


def refuse_if_frozen(at: Layout) -> None:
    """Raises OpError("held") that names who, since when and why."""
    mark = read(at)
    if mark is not None:
        raise OpError("held", "held by " + locks.describe(mark))


def hold(ctx: Context, args: Args) -> Args:
    """Freeze. Saying the same again changes nothing; over another one it is OpError("held")."""
    at = Layout(args["app"], Path(args["base"]))
    if files.read_json(at.record) is None:
        raise OpError("not-set-up", "this host is not set up for {}".format(at.app))
    known = read(at)
    if known is not None and not _is_same(known, args):
        refuse_if_frozen(at)
    if known is None:
        since = time.strftime("%F %T")
        known = {"owner": args["who"], "message": args["message"], "since": since}
        files.write_json(at.frozen, known)
        _note(at, "hold", args)
        return {"changed": True, "freeze": known}
    return {"changed": False, "freeze": known}


def _is_same(known: Args, args: Args) -> bool:
    return (known.get("owner"), known.get("message")) == (args["who"], args["message"])


def release(ctx: Context, args: Args) -> Args:
    """Lift the freeze, whoever set it; `freeze` is what it was."""
    at = Layout(args["app"], Path(args["base"]))
    known = read(at)
    changed = files.remove(at.frozen) if known is not None else False
    if changed:
        _note(at, "release", args)
    return {"changed": changed, "freeze": known}


def _note(at: Layout, kind: str, args: Args) -> None:
    entry = {"kind": kind, "release": releases.pointed(at.current), "result": "done"}
    journal.append(at.journal, {**entry, "who": args["who"], "message": args["message"]})


def status(ctx: Context, args: Args) -> Args:
    """Who holds the kernel lock now, and the freeze; None where nobody does."""
    at = Layout(args["app"], Path(args["base"]))
    return {"lock": locks.held_by(at.lock), "freeze": read(at)}
