"""The host serves another release than the others of its app."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from cartwheel.host.wire.look import AppLook
from cartwheel_monitor.language import _
from cartwheel_monitor.observations import Around, Look
from cartwheel_monitor.subjects import BEHIND, Subject, Verdict


def verdicts(look: Look, around: Around) -> Iterator[Verdict]:
    """Most hosts are right; of two equal halves, the one that was deployed last. While any of them
    is being deployed, and some minutes longer, nobody can say."""
    for app in look.seen.apps if look.seen else ():
        subject = Subject(BEHIND.name, app.app, look.host)
        yield Verdict(subject, look.at, _problem(look, app, around), app.release)


def _problem(look: Look, app: AppLook, around: Around) -> str | None:
    if not app.release or app.stopped:
        return ""
    fresh = {
        host: found
        for host, one in around.others.items()
        if look.at - one.at < around.limits.stale_seconds
        for found in [one.app(app.app)]
        if found is not None and found.release and not found.stopped
    }
    every = {**fresh, look.host: app}
    if len({one.release for one in every.values()}) == 1:
        return ""
    if any(one.locked or one.pending for one in every.values()):
        return None
    right = _right(every)
    if app.release == right:
        return ""
    since = [one.since for one in every.values() if one.since is not None]
    now = look.seen.time if look.seen else look.at
    if since and now - max(since) < around.limits.behind_seconds:
        return None
    return _("it serves {release}; {count} of {all} hosts serve {right}").format(
        release=app.release,
        count=sum(one.release == right for one in every.values()),
        all=len(every),
        right=right,
    )


def _right(every: Mapping[str, AppLook]) -> str:
    """The release that all should serve."""
    counts = Counter(one.release for one in every.values())
    newest = {
        release: max(one.since or 0.0 for one in every.values() if one.release == release)
        for release in counts
    }
    return max(counts, key=lambda release: (counts[release], newest[release], release))
