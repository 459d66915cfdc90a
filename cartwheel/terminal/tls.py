"""Certificates as rows. Nothing here prints."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cartwheel.plan.acme import RENEWED_AT
from cartwheel.plan.tls import certificate
from cartwheel.settings.certificates import Certificate

if TYPE_CHECKING:
    from cartwheel.host.wire.tls import TlsState

HEADS = ("SOURCE", "NAMES", "ISSUER", "UNTIL", "DAYS", "SERVED", "RENEWED ON", "LAST ERROR")


def rows(state: TlsState | None) -> Iterator[tuple[str, ...]]:
    """A host's certificate; no row without HTTPS."""
    if state is None:
        return
    source = "deploy" if state.is_ours else state.path
    source = f"acme {state.directory}" if state.directory else source
    error = state.failed or "-"
    known = certificate(state.certificate)
    if known is None:
        yield (source, "-", "-", "-", "-", _served(state), "-", error)
        return
    days = str(known.days_left(state.time))
    names, served, renewed = ", ".join(known.names), _served(state), _renewed(state, known)
    yield (source, names, known.issuer, known.day, days, served, renewed, error)


def _renewed(state: TlsState, known: Certificate) -> str:
    """The day on which the host will renew it; "-" if that is not the host's work."""
    if not state.directory:
        return "-"
    due = known.until - (known.until - known.begin) * RENEWED_AT
    return time.strftime("%Y-%m-%d", time.gmtime(max(due, state.time)))


def _served(state: TlsState) -> str:
    if not state.served:
        return state.problem
    if state.served == state.certificate:
        return "yes"
    other = certificate(state.served)
    return f"another, until {other.day}" if other else "another"
