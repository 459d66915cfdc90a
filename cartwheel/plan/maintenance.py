"""A site that is closed for visitors, in words; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cartwheel.host.wire.marks import Maintenance


def closed_text(mark: Maintenance) -> str:
    """Who closed it, since when, and why."""
    why = f": {mark.message.rstrip('.')}" if mark.message else ""  # more may follow
    return f"closed for visitors by {mark.who} since {mark.since}{why}"
