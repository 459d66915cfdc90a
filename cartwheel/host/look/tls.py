"""Look at how a host serves TLS."""

from __future__ import annotations

from typing import Optional

from cartwheel.host.system.context import Context
from cartwheel.host.web import tls
from cartwheel.host.wire.tls import AskTls, TlsState


def look(ctx: Context, request: AskTls) -> Optional[TlsState]:
    """By a handshake; None if there is no TLS."""
    return tls.state(ctx.at)
