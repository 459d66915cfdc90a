"""A secret value that is never printed. It is defined where both sides of a session import it."""

from __future__ import annotations

from cartwheel.host.wire.hidden import MASK, Hidden

__all__ = ["MASK", "Hidden"]
