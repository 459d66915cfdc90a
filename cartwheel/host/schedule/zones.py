"""Time zones by name, and this host's own."""

from __future__ import annotations

from datetime import timezone, tzinfo
from zoneinfo import ZoneInfo

_LOCAL = "/etc/localtime"  # localtime(5)


def zone(name: str) -> tzinfo:
    """The zone; "": the host's own. Raises ValueError if the host does not know it."""
    if name == "UTC":
        return timezone.utc
    if name:
        try:
            return ZoneInfo(name)
        except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
            raise ValueError(f"there is no time zone {name} on this host") from None
    try:
        with open(_LOCAL, "rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return timezone.utc
