"""Change what a host serves over TLS: a new certificate, other settings, none any more.

First `Layout.tls_pending` notes what is there now, and the web server tests the change as if it
were made. Then the link and the file that the site includes are replaced, each by one rename; the
web server reloads, and a handshake must show the certificate. Only then is the note removed. If the
change is cut off, the next session or `recover` finds the note and restores what it says.
"""

from __future__ import annotations

import ssl
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, List, Optional, Tuple

from cartwheel.host.layout import Layout
from cartwheel.host.state import journal, releases
from cartwheel.host.system import files, locks
from cartwheel.host.system.context import Context, OpError, scratch_prefix
from cartwheel.host.web import certbot, configuration, lineages, order, tls, tls_watch
from cartwheel.host.web.chosen import web_server
from cartwheel.host.wire.codec import to_json
from cartwheel.host.wire.journal import Entry
from cartwheel.host.wire.request import Done
from cartwheel.host.wire.tls import CHAIN, KEY, End, InstallTls, RemoveTls, TlsFiles

_PROOF_SECONDS = 5.0
_POLL_SECONDS = 0.1
_KIND = "tls"


@dataclass(frozen=True)
class Before:
    """What was there before a change; None: nothing."""

    live: Optional[str] = None
    site: Optional[str] = None
    balancer_site: Optional[str] = None

    @classmethod
    def now(cls, at: Layout) -> Before:
        live = files.read_link(at.tls_live)
        return cls(live, tls.text_of(at, "app") or None, tls.text_of(at, "balancer") or None)

    def text(self, end: End) -> Optional[str]:
        return self.site if end == "app" else self.balancer_site


def install(ctx: Context, request: InstallTls) -> Done:
    """Serve TLS with files from the operator or of the host, and ask no authority any more. Raises
    OpError in the web server's or the handshake's words; then everything is as before."""
    bring(ctx, request)
    if order.read(ctx.at) is not None:
        _forget_order(ctx, ctx.at)
        with locks.shared_parts(ctx):
            tls_watch.ensure(ctx.at)
    return Done(changed=True)


def _forget_order(ctx: Context, at: Layout) -> List[str]:
    """The lineages first: while there is an order, it is known that they are to go."""
    gone: List[str] = []
    if lineages.homes():
        with certbot.alone(ctx):
            gone += lineages.sweep(at.app)
    gone += [str(path) for path in (at.acme_webroot,) if files.remove_tree(path)]
    order.forget(at)
    return gone


def bring(ctx: Context, request: InstallTls) -> None:
    """Serve TLS with these files. Raises OpError as `install` does."""
    at = ctx.at

    def prepare() -> None:
        if request.files is not None:
            _write_set(at, request.files)
        _test(ctx, at, request)

    with locks.shared_parts(ctx):
        _carry_out(ctx, prepare, lambda: _serve(ctx, at, request))
        _tidy(at)


def remove(ctx: Context, request: RemoveTls) -> Done:
    """Serve no TLS any more, and remove everything that there was for it."""
    at = ctx.at
    with locks.shared_parts(ctx):
        if tls.site_text(at):
            _carry_out(ctx, lambda: None, lambda: _end(ctx, at))
        tls_watch.remove(at)
    _forget_order(ctx, at)
    return Done(files.remove_tree(at.tls))


def uninstall(ctx: Context, at: Layout) -> List[str]:
    """Remove all that there is for TLS, where the site is gone already; returns what was there."""
    gone = tls_watch.remove(at) + _forget_order(ctx, at)
    return gone + [str(path) for path in (at.tls,) if files.remove_tree(path)]


def _write_set(at: Layout, brought: TlsFiles) -> None:
    """The name is a digest of the content: a set that is there already stays as it is."""
    folder = at.tls / brought.name
    files.directory(folder, 0o700)
    files.write(folder / CHAIN, brought.certificate.encode(), 0o600)
    files.write(folder / KEY, brought.key.reveal().encode(), 0o600)
    files.fsync_dir(at.tls)


def _test(ctx: Context, at: Layout, asked: InstallTls) -> None:
    """Let the web server test the change; nothing that it reads is touched."""
    live, wanted = files.read_link(at.tls_live), asked.files.name if asked.files else None
    if wanted is not None and (live is None or not (at.tls / live).is_dir()):
        files.link(at.tls_live, wanted)  # nothing is served from there yet
        live = wanted
    included = tls.file_of(at, asked.end)
    if not included.exists():
        files.write(included, b"", 0o600)  # a place to lay the new one over
    with tempfile.TemporaryDirectory(prefix=scratch_prefix("web")) as scratch:
        text, nothing = Path(scratch, included.name), Path(scratch, "nothing")
        text.write_text(asked.site, encoding="utf-8")
        nothing.touch()
        laid: List[Tuple[Path, Path]] = [(text, included)]
        laid += [(nothing, other) for other in _others(at, asked.end) if other.exists()]
        if wanted is not None and live is not None and live != wanted:
            laid.append((at.tls / wanted, at.tls / live))
        configuration.check_laid(ctx, web_server(at), laid, asked.server_names)


def _others(at: Layout, end: End) -> List[Path]:
    return [tls.file_of(at, other) for other in tls.ENDS if other != end]


def _carry_out(ctx: Context, prepare: Callable[[], None], change: Callable[[], str]) -> None:
    """Prepare and make a change, whose mark is there all the while; at any failure go back.
    `change` returns what it did."""
    at = ctx.at
    if files.directory(at.tls, 0o700):
        files.fsync_dir(at.root)
    mark = Before.now(at)
    files.write_json(at.tls_pending, to_json(mark), 0o600)
    has_begun = False
    try:
        prepare()
        has_begun = True
        what = change()
    except BaseException as error:
        go_back(at, mark, is_read=has_begun)
        if isinstance(error, OpError):
            _note(ctx, at, "failed", error.message)
        raise
    files.remove(at.tls_pending)
    _note(ctx, at, "done", what)


def _serve(ctx: Context, at: Layout, asked: InstallTls) -> str:
    if asked.files is not None:
        files.link(at.tls_live, asked.files.name)
    files.write(tls.file_of(at, asked.end), asked.site.encode(), 0o600)
    for other in _others(at, asked.end):
        files.remove(other)
    configuration.reload(ctx, web_server(at))
    prove(at, tls.a_name_of(list(asked.server_names)))
    if asked.files is None:
        files.remove(at.tls_live)
    tls_watch.ensure(at)
    return "serves " + (", ".join(asked.server_names) or "every name")


def _end(ctx: Context, at: Layout) -> str:
    for end in tls.ENDS:
        files.remove(tls.file_of(at, end))
    configuration.reload(ctx, web_server(at), start=False)
    return "is removed"


def prove(at: Layout, name: str) -> None:
    """A handshake must show the certificate in the file, soon. Raises OpError("tls-not-served")."""
    how = tls.served_as(at)
    if how is None:
        raise OpError("tls-not-served", f"{at.tls} names no certificate and port")
    end = time.monotonic() + _PROOF_SECONDS
    problem = _difference(how.certificate, how.port, name)
    while problem and time.monotonic() < end:
        time.sleep(_POLL_SECONDS)
        problem = _difference(how.certificate, how.port, name)
    if problem:
        said = configuration.complaints(web_server(at))
        raise OpError("tls-not-served", f"port {how.port}: {problem}", log=said)


def _difference(certificate: Path, port: int, name: str) -> str:
    wanted = tls.certificate_in(certificate)
    try:
        served = tls.shown(port, name)
    except OSError as error:
        return tls.reason(error)
    same = wanted and ssl.PEM_cert_to_DER_cert(wanted) == served
    return "" if same else f"another certificate is served for {name or 'any name'}"


# -- the way back


def is_owed(at: Layout) -> bool:
    """Whether a change was cut off."""
    return at.tls_pending.exists()


def settle(at: Layout, say: Callable[[str], None]) -> None:
    """Go back from a change that was cut off; the caller holds the lock. What cannot be done now
    keeps its mark for the next session."""
    if not is_owed(at):
        return
    try:
        mark = files.read_record(Before, at.tls_pending) or Before()
        with locks.shared_parts():
            go_back(at, mark)
    except OpError as error:
        say(f"TLS could not be restored: {error.message}")
        return
    say("restored TLS as it was before a change that was cut off")


def go_back(at: Layout, mark: Before, *, is_read: bool = True) -> None:
    """Everything as the mark says. `is_read`: the web server may have read the change. The file
    goes first where it goes, because it names the link."""
    for end in tls.ENDS:
        if mark.text(end) is None:
            files.remove(tls.file_of(at, end))
    if mark.live is None:
        files.remove(at.tls_live)
    else:
        files.link(at.tls_live, mark.live)
    for end in tls.ENDS:
        text = mark.text(end)
        if text is not None:
            files.write(tls.file_of(at, end), text.encode(), 0o600)
    if is_read:
        configuration.reload(None, web_server(at), start=False)
        tls_watch.ensure(at)
    files.remove(at.tls_pending)
    _tidy(at)


def _tidy(at: Layout) -> None:
    for name in unneeded(at):
        files.remove_tree(at.tls / name)
    files.remove_empty(at.tls)


def unneeded(at: Layout) -> List[str]:
    """The sets that nothing names."""
    needed = {files.read_link(at.tls_live)}
    if is_owed(at):
        try:
            needed.add((files.read_record(Before, at.tls_pending) or Before()).live)
        except OpError:
            return []
    return [name for name in tls.sets(at) if name not in needed]


def _note(ctx: Context, at: Layout, result: str, what: str) -> None:
    journal.append(at.journal, entry(ctx, at, result, what))


def entry(ctx: Context, at: Layout, result: str, what: str) -> Entry:
    """A line of the journal about HTTPS."""
    return Entry(
        kind=_KIND,
        release=releases.pointed(at.current),
        result=result,
        who=ctx.about.who,
        message=ctx.about.message,
        reason=what,
    )
