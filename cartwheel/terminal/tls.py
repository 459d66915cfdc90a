"""Certificates as rows. Nothing here prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cartwheel.plan.tls import certificate

if TYPE_CHECKING:
    from cartwheel.host.wire.tls import TlsState

HEADS = ("SOURCE", "NAMES", "ISSUER", "UNTIL", "DAYS", "SERVED")


def rows(state: TlsState | None) -> Iterator[tuple[str, ...]]:
    """A host's certificate; no row without HTTPS."""
    if state is None:
        return
    source = "deploy" if state.is_ours else state.path
    known = certificate(state.certificate)
    if known is None:
        yield (source, "-", "-", "-", "-", _served(state))
        return
    days = str(known.days_left(state.time))
    yield (source, ", ".join(known.names), known.issuer, known.day, days, _served(state))


def _served(state: TlsState) -> str:
    if not state.served:
        return state.problem
    if state.served == state.certificate:
        return "yes"
    other = certificate(state.served)
    return f"another, until {other.day}" if other else "another"
