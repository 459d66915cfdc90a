"""The thorough checks of `fab doctor`. Changes nothing."""

from __future__ import annotations

from typing import Optional

from cartwheel.host import layout
from cartwheel.host.look import report
from cartwheel.host.release import downloads, install, installer
from cartwheel.host.state import record, releases
from cartwheel.host.system import children
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.wire.examine import Examination, Examine

_INDEX_SECONDS = 60.0


def examine(ctx: Context, request: Examine) -> Examination:
    """The answers that `fab doctor` needs beyond the facts of a probe."""
    at = ctx.at
    return Examination(
        status=report.status(ctx, request.status),
        damage={release: tuple(found) for release, found in releases.damage(at).items()},
        index=_index_complaint(ctx, request),
        cache_bytes=downloads.size_bytes(at),
    )


def _index_complaint(ctx: Context, asked: Examine) -> Optional[str]:
    """The error of this host's installer when it asks the index for a package; "" if the index
    answers, None if no installer is there yet."""
    at, how = ctx.at, asked.installing
    if how.program == "pip" and not (layout.PIP / how.pip_version / "pip").exists():
        return None  # the first deploy installs it
    try:
        chosen = installer.of(how)
    except OpError:
        return None  # the plan refuses, with this reason
    known = record.read(at)
    done = children.run(
        ctx,
        chosen.ask(),
        timeout_seconds=_INDEX_SECONDS,
        env={**install.environment(at), **chosen.index(), "UV_HTTP_RETRIES": "1", "TMPDIR": "/tmp"},
        user=known.user if known else None,
        step="mirror",
        stdin=b"pip\n",
    )
    if done.status == 0:
        return ""
    about = chosen.explain(done.output)
    said = done.output.splitlines() or [chosen.name + " failed"]
    return about[1] if about else said[-1]
