"""The newest lines of each log, for a bundle that somebody sends on."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Dict, List, Tuple

from cartwheel.host.diagnose.found import Window, described
from cartwheel.host.look import log_journal, logs
from cartwheel.host.look.log_lines import Line, Log, Wanted
from cartwheel.host.system.context import Context, boottime
from cartwheel.host.web.chosen import web_server
from cartwheel.host.wire.output import ReadLogs

_LINES = 2000
_SECONDS = 5.0  # for each log
_BYTES = 512 << 10


def newest(ctx: Context, window: Window) -> Tuple[Dict[str, str], Tuple[str, ...]]:
    """The last lines of each log in that time, by the source's name; and why those of a log are
    missing. A log that cannot be read hides no other."""
    found: Dict[str, List[Line]] = {}
    unread: List[str] = []
    for log in logs.logs_of(ctx.at):
        soon = replace(ctx, deadline=min(ctx.deadline, boottime() + _SECONDS))
        try:
            lines = log.last(soon, _wanted(ctx, log, window), _LINES)
        except Exception as error:  # as in `diagnose`
            unread.append(f"the lines of {', '.join(log.sources)}: {described(error)}")
            continue
        for line in lines:
            if line.at >= window.since:
                found.setdefault(line.source, []).append(line)
    return {source: _text(lines) for source, lines in found.items()}, tuple(unread)


def _wanted(ctx: Context, log: Log, window: Window) -> Wanted:
    """From the journal the last lines of any time: of a time journalctl reads every entry, and a
    busy app has millions."""
    is_journal = isinstance(log, log_journal.Entries)
    ago = None if is_journal else window.until - window.since
    request = ReadLogs(_LINES, follow=False, ago_seconds=ago)
    return Wanted(request, logs.sources(web_server(ctx.at)), window.until, lambda _release: True)


def _text(lines: List[Line]) -> str:
    shown = "\n".join(map(_shown, sorted(lines, key=lambda line: line.at)))[-_BYTES:]
    return shown + "\n"


def _shown(line: Line) -> str:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(line.at))
    by = f"{line.process}: " if line.process else ""
    return f"{at} {by}{line.text}"
