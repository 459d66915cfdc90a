"""The newest lines of each log, for a bundle that somebody sends on."""

from __future__ import annotations

import time
from typing import Dict, List

from cartwheel.host.diagnose.found import Window
from cartwheel.host.look import logs
from cartwheel.host.look.log_lines import Line, Wanted
from cartwheel.host.system.context import Context
from cartwheel.host.web.chosen import web_server
from cartwheel.host.wire.output import ReadLogs

_LINES = 2000
_BYTES = 512 << 10


def newest(ctx: Context, window: Window) -> Dict[str, str]:
    """The last lines of each log in that time, by the source's name."""
    request = ReadLogs(_LINES, follow=False, ago_seconds=window.until - window.since)
    wanted = Wanted(request, logs.sources(web_server(ctx.at)), window.until, lambda _release: True)
    found: Dict[str, List[Line]] = {}
    for log in logs.logs_of(ctx.at):
        for line in log.last(ctx, wanted, _LINES):
            found.setdefault(line.source, []).append(line)
    return {source: _text(lines) for source, lines in found.items()}


def _text(lines: List[Line]) -> str:
    shown = "\n".join(map(_shown, sorted(lines, key=lambda line: line.at)))[-_BYTES:]
    return shown + "\n"


def _shown(line: Line) -> str:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(line.at))
    by = f"{line.process}: " if line.process else ""
    return f"{at} {by}{line.text}"
