"""Numbers as people read them."""

from __future__ import annotations

_STEP, _PRECISE = 1024.0, 10.0


def size_text(count: float) -> str:
    """`512 B`, `1.5 MB`, `20 GB`."""
    unit = "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < _STEP or unit == "TB":
            break
        count /= _STEP
    precise = unit != "B" and count < _PRECISE
    return f"{count:.1f} {unit}" if precise else f"{count:.0f} {unit}"


def span_text(hours: float) -> str:
    """`12 minutes`, `5 hours`, `3 days`."""
    for count, unit in ((hours * 60, "minute"), (hours, "hour"), (hours / 24, "day")):
        most = {"minute": 90, "hour": 48, "day": float("inf")}[unit]
        if count < most:
            break
    number = max(1, round(count))
    return f"{number} {unit}{'' if number == 1 else 's'}"
