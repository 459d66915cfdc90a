"""What Cartwheel itself did: deploys, rollbacks, restarts, settings."""

from __future__ import annotations

from typing import Dict, Iterator, List, Optional

from cartwheel.host.diagnose.found import Found, Window
from cartwheel.host.layout import Layout
from cartwheel.host.state import journal, releases
from cartwheel.host.system.context import Context
from cartwheel.host.wire.diagnosis import Change
from cartwheel.host.wire.journal import Entry
from cartwheel.host.wire.manifest import Manifest

# As `fab history` calls them.
_RESULTS = {"confirmed": "done", "reverted": "rolled back"}
_BEFORE_SECONDS = 86400.0  # what began in the window may have been changed the day before


def look(ctx: Context, window: Window) -> Found:
    """The entries of the journal, and what a deploy changed besides the code."""
    entries = journal.read(ctx.at.journal)
    early = window.since - _BEFORE_SECONDS
    return Found(changes=tuple(_changes(ctx.at, entries, early)))


def _changes(at: Layout, entries: List[Entry], early: float) -> Iterator[Change]:
    live: Optional[str] = None
    for entry in entries:
        before = live
        switched = entry.result == "confirmed" and entry.kind in ("deploy", "rollback")
        if switched:
            live = entry.release
        if (entry.at or 0.0) < early or entry.result == "unchanged":
            continue
        words = [entry.kind or "?", entry.process or "", entry.release or ""]
        how = _RESULTS.get(entry.result or "", entry.result or "done")
        why = entry.reason or entry.message
        text = f"{' '.join(filter(None, words))}: {how}{f': {why}' if why else ''}"
        yield Change(entry.at or 0.0, entry.kind or "?", text, entry.who or "")
        if switched and before and live and before != live:
            names = variables_between(releases.manifest(at, before), releases.manifest(at, live))
            if names:
                detail = ", ".join(f"{name} {how}" for name, how in names.items())
                yield Change(entry.at or 0.0, "settings", f"variables: {detail}", entry.who or "")


def variables_between(old: Manifest, new: Manifest) -> Dict[str, str]:
    """The variables that differ between two releases, and how: `changed`, `new` or `gone`. An
    empty manifest says nothing: its release is gone."""
    if not old.release or not new.release:
        return {}
    found = {}
    for name in sorted({*old.env, *new.env}):
        if name not in new.env:
            found[name] = "gone"
        elif name not in old.env:
            found[name] = "new"
        elif old.env[name].digest != new.env[name].digest:
            found[name] = "changed"
    return found
