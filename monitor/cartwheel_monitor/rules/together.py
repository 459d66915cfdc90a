"""Which requests a look judges: those of its host, and now and then those of the whole app."""

from __future__ import annotations

from collections.abc import Iterator

from cartwheel_monitor.observations import Around, Look


def judged(look: Look, app: str, around: Around) -> Iterator[str]:
    """The host; and "" for all hosts, where their requests were added up (recent.Window)."""
    yield look.host
    if (app, "") in around.traffic:
        yield ""
