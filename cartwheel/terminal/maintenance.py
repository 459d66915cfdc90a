"""A site that is closed for visitors, as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from cartwheel.plan.maintenance import closed_text
from cartwheel.telling import hosts_text

if TYPE_CHECKING:
    from cartwheel.host.wire.maintenance import Closed, Opened
    from cartwheel.host.wire.status import Status


def told_closed(one: Closed) -> str:
    """What a host did in `maintenance.on`."""
    parts = ["visitors get 503 and the page"]
    parts += [f"asked to try again after {one.now.minutes} minutes"] if one.now.minutes else []
    parts += [f"{', '.join(one.now.allow)} see the app"] if one.now.allow else []
    parts += [f"it was closed before ({closed_text(one.was)})"] if one.was else []
    parts += ["the web server was reloaded"] if one.reloaded else []
    return "; ".join(parts)


def told_open(one: Opened) -> str:
    """What a host did in `maintenance.off`."""
    parts = [f"open again; was {closed_text(one.was)}" if one.was else "was open"]
    parts += ["the web server was reloaded"] if one.reloaded else []
    return "; ".join([*parts, *([one.note] if one.note else [])])


def closed_lines(statuses: Mapping[str, Status]) -> Iterator[str]:
    """Which hosts are closed, and which of the others are not."""
    said = {host: closed_text(one.maintenance) for host, one in statuses.items() if one.maintenance}
    for text in dict.fromkeys(said.values()):
        yield f"{hosts_text([host for host in said if said[host] == text])}: {text}"
    open_ones = _open(statuses, said)
    if said and open_ones:
        yield f"{hosts_text(open_ones)}: open for visitors; `fab maintenance.on` closes all hosts"


def _open(statuses: Mapping[str, Status], closed: Iterable[str]) -> list[str]:
    return [host for host, one in statuses.items() if one.serving and host not in closed]
