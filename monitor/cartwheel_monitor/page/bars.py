"""The days of a bar (reading/health.py) as paths of an SVG. Pure."""

from __future__ import annotations

from cartwheel_monitor.page.reading.health import Bar, State


def days(bar: Bar, state: State) -> str:
    """All its days of that state, in one path: a view has thousands of days."""
    return "".join(day(place) for place, one in enumerate(bar.days) if one.state == state)


def day(place: int) -> str:
    """The day at that place."""
    return f"M{4 * place} 0h3v20h-3z"
