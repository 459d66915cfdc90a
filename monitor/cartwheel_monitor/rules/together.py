"""Which requests a look judges: those of its host, and now and then those of the whole app."""

from __future__ import annotations

from collections.abc import Iterator

from cartwheel_monitor.observations import Around, Look


def judged(look: Look, app: str, around: Around) -> Iterator[str]:
    """The host, and "" for all hosts of the app at the look of the first of them only: bad looks
    are counted, and forty hosts make forty looks in the time of one."""
    yield look.host
    hosts = [host for name, host in around.traffic if name == app and host]
    if look.host == min(hosts, default=""):
        yield ""
