"""Close the site for visitors, and open it again.

The site looks for the mark at each request, so the mark alone closes it. Pages, and what the site
includes for minutes and addresses, are there before the mark, and go after it: whatever is cut off
in between, the site is either open, or closed as somebody wanted.
"""

from __future__ import annotations

import ipaddress
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from cartwheel.host.layout import Layout
from cartwheel.host.process.health import NoAnswer, exchange
from cartwheel.host.state import journal, releases, watchers
from cartwheel.host.system import files, locks
from cartwheel.host.system.context import Context, OpError, scratch_prefix
from cartwheel.host.web import configuration, front_door
from cartwheel.host.web.chosen import web_server
from cartwheel.host.wire.codec import to_json
from cartwheel.host.wire.journal import Entry
from cartwheel.host.wire.maintenance import Closed, CloseSite, Opened, OpenSite
from cartwheel.host.wire.marks import Maintenance

_LOOPBACK = ipaddress.ip_address("127.0.0.1")
_CLOSED = 503
_A_PAGE = "/.cartwheel/a-visitors-page"  # of no app


def read(at: Layout) -> Optional[Maintenance]:
    """Who closed the site; None if it is open. A damaged mark closes it too."""
    try:
        return files.read_record(Maintenance, at.maintenance_mark)
    except OpError:
        return Maintenance(message=f"{at.maintenance_mark} is damaged")


def turn_on(ctx: Context, request: CloseSite) -> Closed:
    """Close the site, or change what its page says. Raises OpError("maintenance-unseen") where
    visitors do not get the page, and OpError like `configuration.check_laid`; then everything is as
    before."""
    at, about = ctx.at, ctx.about
    if releases.serving(at) is None:
        raise OpError("not-deployed", f"{at.app} is not deployed on this host")
    before, was = _texts(at), read(at)
    files.directory(at.maintenance, 0o750, 0, at.root.stat().st_gid)
    watchers.let_pass(at.maintenance)
    mark = Maintenance(
        about.who, about.message, time.strftime("%F %T"), request.minutes, request.allow
    )
    try:
        with locks.shared_parts(ctx):
            reloaded = _include(ctx, at, request.included)
        for name, text in request.pages.items():
            files.write(at.maintenance / name, text.encode())
        files.write_json(at.maintenance_mark, to_json(mark))
        _prove(at, request)
    except BaseException:
        _restore(ctx, at, before)
        raise
    _note(ctx, "maintenance on")
    return Closed(was, mark, reloaded)


def turn_off(ctx: Context, request: OpenSite) -> Opened:
    """Open the site; what it included for minutes and addresses goes with the next reload at the
    latest."""
    at = ctx.at
    was, note, reloaded = read(at), "", False
    if files.remove(at.maintenance_mark):
        _note(ctx, "maintenance off")
    with locks.shared_parts(ctx):
        try:
            reloaded = _include(ctx, at, {})
        except OpError as error:
            note = error.message
    files.remove_tree(at.maintenance)
    return Opened(was, reloaded, note)


def _include(ctx: Context, at: Layout, wanted: Dict[str, str]) -> bool:
    """Let the site include exactly these texts: tested first, and only a change is loaded."""
    changed = {
        name: wanted.get(name, "")
        for name in web_server(at).maintenance_templates
        if wanted.get(name, "") != _text(at.maintenance / name)
    }
    if not changed:
        return False
    _test(ctx, at, changed)
    _write(at, changed)
    configuration.reload(ctx, web_server(at), start=False)
    return True


def _write(at: Layout, included: Dict[str, str]) -> None:
    """What one text declares is there before another one names it, and goes after it."""
    for name, text in included.items():
        if text:
            files.write(at.maintenance / name, text.encode())
    for name, text in reversed(list(included.items())):
        if not text:
            files.write(at.maintenance / name, b"")


def _test(ctx: Context, at: Layout, changed: Dict[str, str]) -> None:
    laid: List[Tuple[Path, Path]] = []
    with tempfile.TemporaryDirectory(prefix=scratch_prefix("web")) as scratch:
        for name, text in changed.items():
            place, new = at.maintenance / name, Path(scratch, name)
            if not place.exists():
                files.write(place, b"")  # a place to lay the new one over
            new.write_text(text, encoding="utf-8")
            laid.append((new, place))
        configuration.check_laid(ctx, web_server(at), laid, ())


def _prove(at: Layout, asked: CloseSite) -> None:
    """Ask as a visitor: an earlier version's site, or a template of the user's own, may not look
    for the mark."""
    if any(_LOOPBACK in ipaddress.ip_network(one, strict=False) for one in asked.allow):
        return  # it would see the app
    probe = replace(asked.probe, path=_A_PAGE)
    try:
        answer, _body = exchange(front_door.connected(at, probe, asked.listen), probe)
    except NoAnswer as error:
        raise OpError("maintenance-unseen", str(error)) from error
    if answer.status != _CLOSED or answer.getheader("Retry-After") is None:
        raise OpError("maintenance-unseen", f"a visitor still gets {answer.status}")


def _restore(ctx: Context, at: Layout, before: Dict[str, str]) -> None:
    """The folder as it was; without a mark the site is open, whatever else is left there."""
    mark = at.maintenance_mark.name
    if mark not in before:
        files.remove(at.maintenance_mark)
    was = {name: before.get(name, "") for name in web_server(at).maintenance_templates}
    is_read = any(_text(at.maintenance / name) != text for name, text in was.items())
    _write(at, was)
    for name, text in before.items():
        files.write(at.maintenance / name, text.encode())
    if mark not in before:
        files.remove_tree(at.maintenance)
    if is_read:
        configuration.reload(ctx, web_server(at), start=False)


def _texts(at: Layout) -> Dict[str, str]:
    return {name: _text(at.maintenance / name) for name in files.names(at.maintenance)}


def _text(path: Path) -> str:
    try:
        return "" if files.is_no_file(path) else path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _note(ctx: Context, kind: str) -> None:
    at, about = ctx.at, ctx.about
    release = releases.pointed(at.current)
    entry = Entry(kind=kind, release=release, result="done", who=about.who, message=about.message)
    journal.append(at.journal, entry)
