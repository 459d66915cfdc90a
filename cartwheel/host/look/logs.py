"""Read the logs of an application and of its site in the web server. Changes nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Iterable, List

from cartwheel.host.layout import OLD_SLOTS, Layout
from cartwheel.host.state import releases
from cartwheel.host.system import children
from cartwheel.host.system.context import Context
from cartwheel.host.web.kinds import web_server
from cartwheel.host.wire.output import ReadLogs
from cartwheel.host.wire.request import Done

_FOLLOW_SECONDS = 365 * 86400.0


def logs(ctx: Context, request: ReadLogs) -> Done:
    """Send the journal of every instance of the app and the web server's logs of its site as events
    `log`; with `follow` until contact is lost."""
    at, lines, web = ctx.at, str(request.lines), web_server()
    # A release starts with a digit, so units of `shop` in an environment `web` do not match.
    units = [f"--unit=cartwheel-{at.app}.{name}.[0-9]*.service" for name in _processes(at)]
    of_site = [str(path) for path in web.logs(at.app) if path.exists()]
    journal = ["journalctl", "--no-pager", "-q", "-o", "short-iso", *units, "-n", lines]
    site = ["tail", "-q", "-n", lines, *of_site]
    if request.follow:
        journal, site = [*journal, "--follow"], [*site, "-F"]
    seconds = _FOLLOW_SECONDS if request.follow else ctx.remaining()
    # One after the other, or both at the same time to follow them.
    with ThreadPoolExecutor(2 if request.follow else 1) as pool:
        told = [
            pool.submit(_tell, ctx, name, argv, seconds)
            for name, argv in (("app", journal), (web.name, site))
        ]
    for one in told:
        one.result()
    return Done()


def _processes(at: Layout) -> Iterable[str]:
    """The process names in units' names, including those of an earlier version."""
    known = [name for release in releases.names(at) for name in releases.processes(at, release)]
    return dict.fromkeys([*OLD_SLOTS, *known])


def _tell(ctx: Context, name: str, argv: List[str], seconds: float) -> None:
    """Send every line as an event; `children` keeps only the last ones."""

    def tell(line: str) -> None:
        ctx.emit("log", "note", line, source=name)

    children.ask(argv, ctx=ctx, timeout_seconds=seconds, on_line=tell)
