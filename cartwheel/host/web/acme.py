"""Serve TLS with a certificate from a certificate authority, and renew it (RFC 8555).

What the authority issues is one more set of files, like those that a deploy brings: `tls_change`
installs it, proves it, and goes back. A set is a copy, so what becomes of certbot's own files never
matters to what is served.
"""

from __future__ import annotations

import hashlib
import time

from cartwheel.host.layout import Layout
from cartwheel.host.state import journal
from cartwheel.host.system import files, locks
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.web import certbot, lineages, order, tls, tls_change, tls_watch
from cartwheel.host.web.order import Kept
from cartwheel.host.wire.hidden import Hidden
from cartwheel.host.wire.request import Done
from cartwheel.host.wire.tls import InstallAcme, InstallTls, RenewTls, TlsFiles

_NAME_HEX = 12  # tls.SET


def install(ctx: Context, request: InstallAcme) -> Done:
    """Serve TLS as the request says, and renew the certificate from now on.

    Raises OpError("acme") with the CA's message, and the errors of `tls_change.install`. After an
    error the host serves the same certificate as before."""
    at = ctx.at
    order.keep(at, Kept(request.order, request.site, request.end))
    with locks.shared_parts(ctx):
        tls_watch.ensure(at)  # what fails now is tried again by the timer
    return Done(bring(ctx, at, now=False))


def renew(ctx: Context, request: RenewTls) -> Done:
    """Raises OpError as `install` does, and "no-acme"."""
    at = ctx.at
    kept = order.read(at)
    if kept is None:
        raise OpError("no-acme", f"{at.app} asks no certificate authority on this host")
    if not request.dry_run:
        return Done(bring(ctx, at, now=True))
    with certbot.alone(ctx):
        certbot.rehearse(ctx, at, kept.order)
    return Done(changed=False)


def bring(ctx: Context, at: Layout, *, now: bool) -> bool:
    """Get the certificate that the order asks for, `now` also if there is one, and serve it;
    whether anything changed. The caller holds the application's lock."""
    kept = order.read(at)
    if kept is None:
        return False
    try:
        changed = _bring(ctx, at, kept, now=now)
    except OpError as error:
        if error.slug in ("acme", "no-certbot") and order.failed(at) != error.message:
            journal.append(at.journal, tls_change.entry(ctx, at, "failed", error.message))
        order.remember(at, error.message)
        raise
    if order.failed(at) or order.tried(at) is None or changed:
        order.remember(at, "")
    return changed


def _bring(ctx: Context, at: Layout, kept: Kept, *, now: bool) -> bool:
    with certbot.alone(ctx):
        one = certbot.obtain(ctx, at, kept.order, now=now)
        brought = _as_set(one.chain.read_text(), one.key.read_text())
    is_site = tls.end_of(at) == kept.end and tls.site_text(at) == kept.site
    is_live = is_site and files.read_link(at.tls_live) == brought.name
    if not is_live:
        tls_change.bring(ctx, InstallTls(brought, kept.site, kept.order.names, kept.end))
    with certbot.alone(ctx):
        lineages.sweep(at.app, keep=one.home)  # those of another directory or mail
    return not is_live


def _as_set(chain: str, key: str) -> TlsFiles:
    """Named as the operator's side names what it brings."""
    name = hashlib.sha256(f"{chain}\0{key}".encode()).hexdigest()[:_NAME_HEX]
    return TlsFiles(name, chain, Hidden(key))


def renew_if_due(ctx: Context, at: Layout) -> bool:
    """What the timer does: as `bring`, but not at once again after a failure."""
    if order.read(at) is None or not order.may_try(order.tried(at), time.time()):
        return False
    return bring(ctx, at, now=False)
