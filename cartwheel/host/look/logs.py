"""Read the logs of an application and of its site in the web server. Changes nothing."""

from __future__ import annotations

import threading
from typing import Iterable, List

from cartwheel.host.layout import OLD_SLOTS, Layout
from cartwheel.host.state import releases
from cartwheel.host.system import children
from cartwheel.host.system.context import ContactLost, Context
from cartwheel.host.web.kinds import web_server
from cartwheel.host.wire.output import ReadLogs
from cartwheel.host.wire.request import Done

_FOLLOW_SECONDS = 365 * 86400.0


def logs(ctx: Context, request: ReadLogs) -> Done:
    """Send the journal of every instance of the app and the web server's logs of its site as events
    `log`; with `follow` until contact is lost."""
    at, lines, web = ctx.at, request.lines, web_server()
    # A release starts with a digit, so units of `shop` in an environment `web` do not match.
    units = [
        word
        for name in _processes(at)
        for word in ("-u", "cartwheel-{}.{}.[0-9]*.service".format(at.app, name))
    ]
    logs_of_site = [str(path) for path in web.logs(at.app) if path.exists()]
    sources = [
        (
            "app",
            ["journalctl", "--no-pager", "-q", "-o", "short-iso", *units, "-n", str(lines)],
        ),
        (web.name, ["tail", "-q", "-n", str(lines), *logs_of_site]),
    ]
    if request.follow:
        _follow(ctx, [(name, _following(argv)) for name, argv in sources])
        return Done()
    for name, argv in sources:
        if argv[-1].isdigit() and name == web.name:
            continue  # no log file yet
        _tell(ctx, name, argv, ctx.remaining())
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


def _following(argv: List[str]) -> List[str]:
    return [argv[0], "-F" if argv[0] == "tail" else "--follow", *argv[1:]]


def _follow(ctx: Context, sources: "list[tuple[str, List[str]]]") -> None:
    """Run the followers in parallel until contact is lost."""

    def one(name: str, argv: List[str]) -> None:
        try:
            children.ask(
                argv,
                ctx=ctx,
                timeout_seconds=_FOLLOW_SECONDS,
                on_line=lambda line: ctx.emit("log", "note", line, source=name),
            )
        except ContactLost:
            pass

    threads = [threading.Thread(target=one, args=source) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ctx.poll()
