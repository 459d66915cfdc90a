"""List the releases of a host, and its history. Changes nothing."""

from __future__ import annotations

from typing import Mapping

from cartwheel.host.state import journal, releases
from cartwheel.host.system.context import Context
from cartwheel.host.wire.history import AskHistory, AskReleases, History, Listed, Releases
from cartwheel.host.wire.journal import Setback
from cartwheel.host.wire.manifest import Manifest


def list_releases(ctx: Context, request: AskReleases) -> Releases:
    """The releases of this host, and the role of each."""
    at = ctx.at
    current = releases.pointed(at.current)
    setbacks = journal.setbacks(journal.read(at.journal))
    return Releases(
        releases=tuple(_listed(manifest, setbacks) for manifest in releases.complete(at)),
        current=current,
        previous=releases.pointed(at.previous),
        rollback=releases.rollback_target(at, current),
        not_whole=releases.spoilt(at),
    )


def _listed(manifest: Manifest, setbacks: Mapping[str, Setback]) -> Listed:
    return Listed(
        release=manifest.release,
        version=manifest.version or None,
        seq=manifest.seq or None,
        created=manifest.created or None,
        who=manifest.who or None,
        cartwheel=manifest.cartwheel or None,
        commit=manifest.commit or None,
        setback=setbacks.get(releases.content(manifest)),
    )


def history(ctx: Context, request: AskHistory) -> History:
    """The end of this host's journal."""
    return History(tuple(journal.read(ctx.at.journal)[-request.lines :]))
