"""Look at what a host has for TLS, and how it serves it."""

from __future__ import annotations

import hashlib
from typing import Optional

from cartwheel.host.layout import Layout
from cartwheel.host.system import files
from cartwheel.host.system.context import Context
from cartwheel.host.web import order, tls, tls_watch
from cartwheel.host.wire.tls import AskTls, TlsState, TlsThere


def look(ctx: Context, request: AskTls) -> Optional[TlsState]:
    """By a handshake; None if there is no TLS."""
    return tls.state(ctx.at)


def there(at: Layout) -> Optional[TlsThere]:
    """What is there; None if nothing is."""
    if not files.is_folder(at.tls):
        return None
    text, how, kept = tls.site_text(at), tls.served_as(at), order.read(at)
    return TlsThere(
        live=files.read_link(at.tls_live) or "",
        site=hashlib.sha256(text.encode()).hexdigest() if text else "",
        certificate=tls.certificate_in(how.certificate) if how else "",
        order=kept.order if kept else None,
        failed=order.failed(at),
        is_watched=tls_watch.is_whole(at),
        end=tls.end_of(at) or (kept.end if kept else "app"),
    )
