"""What a host asks a certificate authority for, and how its last try ended."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Optional

from cartwheel.host.layout import Layout
from cartwheel.host.system import files
from cartwheel.host.wire.codec import to_json
from cartwheel.host.wire.tls import End, Order

# The timer comes once an hour, and never quite at the same second.
_PAUSE_SECONDS = 55 * 60.0
_DUE = 1 / 3  # of the lifetime is left
_CUT_OFF = "it was cut off, or is under way"


@dataclass(frozen=True)
class Kept:
    """The order, and what the site includes once there is a certificate; `end` is that site."""

    order: Order
    site: str
    end: End = "app"


@dataclass(frozen=True)
class Tried:
    """The last try: when (seconds since the epoch), and why it failed; "" if it did not."""

    time: float
    failed: str


@dataclass(frozen=True)
class Validity:
    """What a certificate says. `begin` and `until`: seconds since the epoch."""

    names: "frozenset[str]"
    begin: float
    until: float


def read(at: Layout) -> Optional[Kept]:
    return files.read_record(Kept, at.tls_order)


def keep(at: Layout, kept: Kept) -> None:
    """From now on the host asks for this; another order was never tried."""
    if files.directory(at.tls, 0o700):
        files.fsync_dir(at.root)
    was = read(at)
    if was is None or was.order != kept.order:
        files.remove(at.tls_tried)
    files.write_json(at.tls_order, to_json(kept), 0o600)


def tried(at: Layout) -> Optional[Tried]:
    return files.read_record(Tried, at.tls_tried)


def failed(at: Layout) -> str:
    """Why the last try failed; "" if it did not, or if nothing is asked for."""
    last = tried(at)
    if last is None:
        return _CUT_OFF if at.tls_order.exists() else ""
    return last.failed


def remember(at: Layout, failed: str) -> None:
    """The last try, which has just ended."""
    files.write_json(at.tls_tried, to_json(Tried(time.time(), failed)), 0o600)


def forget(at: Layout) -> None:
    """Ask for nothing any more."""
    for path in (at.tls_order, at.tls_tried, at.tls_roots):
        files.remove(path)


def fits(known: Optional[Validity], order: Order, now: float) -> bool:
    """Whether a certificate is for exactly these names, and not due. It may begin a little later
    than now: the authority's clock is another."""
    if known is None or known.names != {name.lower() for name in order.names}:
        return False
    return now < due(known)


def due(known: Validity) -> float:
    """When it is to be renewed. A share of the lifetime and no number of days: some authorities
    issue certificates for six days."""
    return known.until - (known.until - known.begin) * _DUE


def may_try(last: Optional[Tried], now: float) -> bool:
    """Whether the host may ask by itself: after a failure not more than once an hour. A clock that
    was set back does not count."""
    return last is None or not last.failed or not 0 <= now - last.time < _PAUSE_SECONDS
