"""A deploy, rollback or restart failed, went back, or was cut off: by the host's journal.

Who deployed hears it from `fab`, if that still runs. When the operator was killed, nobody does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from cartwheel.host.wire.journal import Entry
from cartwheel.host.wire.look import AppLook
from cartwheel_monitor.language import _
from cartwheel_monitor.observations import Around, Look
from cartwheel_monitor.run_kinds import run_kind
from cartwheel_monitor.subjects import DEPLOY, Subject, Verdict

KINDS = ("deploy", "rollback", "restart")
# What the host side writes when its operator was gone (host/switch/switch.py, host/recover.py).
_CUT_OFF = ("its session ended before", "connection to the operator was lost")
_BEGUN = re.compile(r"(?P<kind>\S+) (?P<number>\d+): (?P<release>.*) by (?P<who>.*)", re.DOTALL)
# After a long absence the monitor does not tell what is not news any more.
_OLD_SECONDS = 86400.0


def verdicts(look: Look, around: Around) -> Iterator[Verdict]:
    """One subject for each entry: another deploy that fails is another event."""
    seen = look.seen
    for app in seen.apps if seen else ():
        for one in app.entries:
            is_old = one.at is not None and seen and seen.time - one.at > _OLD_SECONDS
            problem = "" if is_old else _problem(one)
            if problem:
                about = Subject(DEPLOY.name, app.app, look.host, f"{one.kind} {one.seq}")
                yield Verdict(about, look.at, problem, app.release)
        begun = around.unended.get(app.app, "")
        if begun and not app.locked and not app.pending:
            about = Subject(DEPLOY.name, app.app, look.host, f"cut off after {begun}")
            yield Verdict(about, look.at, _of_cut_off(begun), app.release)


def _problem(one: Entry) -> str:
    kind = one.kind or ""
    if kind == "migrate" and one.result == "failed":
        kind = "deploy"
    if kind not in KINDS or one.result not in ("failed", "reverted"):
        return ""
    reason = one.reason or ""
    if is_killed(reason):
        how = _("{kind} of {release} by {who} was cut off: {reason}")
    elif one.result == "reverted":
        how = _("{kind} of {release} by {who} went back: {reason}")
    else:
        how = _("{kind} of {release} by {who} failed: {reason}")
    what = one.release or one.version or "?"
    return how.format(kind=run_kind(kind), release=what, who=one.who or "?", reason=reason or "?")


def is_killed(reason: str) -> bool:
    """Whether a host says that its operator was gone."""
    return any(words in reason for words in _CUT_OFF)


def unended(entries: Sequence[Entry], before: str = "") -> str:
    """What the journal began and has not ended, after these entries; "" for nothing. A migration
    is followed by its deploy; an entry without a result has begun."""
    found = before
    for one in entries:
        what = f"{one.kind} {one.seq}: {one.release or '?'} by {one.who or '?'}"
        if one.kind == "migrate" and one.result == "done":
            found = what
        elif one.kind in KINDS:
            found = "" if one.result else what
        elif one.kind == "migrate" and one.result == "failed":
            found = ""
    return found


def is_cut_off(app: AppLook, begun: str) -> bool:
    """Whether nobody works on it any more."""
    return bool(begun) and not app.locked and not app.pending


def _of_cut_off(begun: str) -> str:
    found = _BEGUN.fullmatch(begun)
    if found is None:  # kept by another version
        return _("a deploy was cut off after {what}").format(what=begun)
    kind = run_kind(found["kind"])
    return _("a deploy was cut off after {kind} {number}: {release} by {who}").format(
        **{**found.groupdict(), "kind": kind}
    )
