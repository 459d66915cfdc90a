"""Which releases a host has, and its history. Changes nothing."""

from __future__ import annotations

from cartwheel.host.state import journal, releases
from cartwheel.host.system.context import Context
from cartwheel.host.wire.codec import from_disk
from cartwheel.host.wire.history import AskHistory, AskReleases, History, Listed, Releases


def list_releases(ctx: Context, request: AskReleases) -> Releases:
    """The releases of this host, and the part that each has."""
    at = ctx.at
    current = releases.pointed(at.current)
    return Releases(
        releases=tuple(from_disk(Listed, manifest) for manifest in releases.complete(at)),
        current=current,
        previous=releases.pointed(at.previous),
        rollback=releases.rollback_target(at, current),
        not_whole=releases.spoilt(at),
    )


def history(ctx: Context, request: AskHistory) -> History:
    """The end of this host's journal."""
    return History(tuple(journal.read(ctx.at.journal)[-request.lines :]))
