"""What a monitor says, as lines and rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cartwheel.decoded import Fields
from cartwheel.telling import age_text, hosts_text
from cartwheel.terminal.format import minute

if TYPE_CHECKING:
    from cartwheel.commands.monitor import Installed

HEADS = ("WATCHED", "STATE", "LAST LOOK", "DETAIL")
INCIDENT_HEADS = ("NO", "BEGAN", "LASTED", "WHAT", "APP", "HOSTS", "RELEASE", "TOLD")


def installed_lines(found: Installed) -> Iterator[str]:
    """What is watched now, and what the monitor cannot look into."""
    well = [host for host, problem in found.tried.items() if not problem]
    if well:
        yield f"the monitor on {found.host} watches {hosts_text(well)}"
    for host, problem in found.tried.items():
        if problem:
            yield f"{host}: the monitor cannot look into it: {problem}"
    for host, notes in found.notes.items():
        yield from (f"{host}: {note}" for note in notes)
    if found.page:
        yield f"its page: {found.page} (`fab monitor.user.add` lets people in)"
    yield "next: `fab monitor.test`, `fab monitor.status`"


def status_rows(found: Fields) -> list[tuple[str, ...]]:
    """A row for each site and each host, as `status` of the monitor's program has them."""
    return [
        (
            str(one["name"]),
            str(one["state"]),
            "-" if one.get("at") is None else f"{age_text(found['time'] - one['at'])} ago",
            str(one.get("detail", "")),
        )
        for one in found.get("targets", ())
    ]


def trouble_lines(found: Fields) -> Iterator[str]:
    """What is wrong: with the monitor itself, with what it watches; and what it does not watch."""
    yield from (f"the monitor: {one}" for one in found.get("problems", ()))
    for one in found.get("open", ()):
        yield f"incident {one['number']} since {minute(one['began'])}: {one['title']}"
    if found.get("unwatched"):
        hosts = hosts_text(found["unwatched"])
        yield f"{hosts}: not watched; `fab monitor.install` adds them"


def silence_lines(found: Fields) -> Iterator[str]:
    """Until when nobody is told, and why."""
    for one in found.get("silences", ()):
        yield f"quiet until {minute(one['until'])}, by {one['who']}: {one['why']}"


def incident_rows(found: Fields) -> list[tuple[str, ...]]:
    """The last incidents, the newest first."""
    return [
        (
            str(one["number"]),
            minute(one["began"]),
            "still" if one["ended"] is None else age_text(one["ended"] - one["began"]),
            str(one["title"]),
            str(one["app"]),
            hosts_text(one["hosts"]) if one["hosts"] else "-",
            str(one["release"]) or "-",
            "yes" if one["told"] else "no",
        )
        for one in found["incidents"]
    ]


def incident_lines(one: Fields) -> Iterator[str]:
    """One incident with all that is known."""
    yield f"incident {one['number']}: {one['title']}"
    ended = "it goes on" if one["ended"] is None else f"until {minute(one['ended'])}"
    yield f"since {minute(one['began'])}, {ended}"
    for member in one.get("members", ()):
        yield f"  {minute(member['began'])} {member['what']}: {member['problem']}"
    for told in one.get("telling", ()):
        how = told["problem"] or "told"
        yield f"  {minute(told['at'])} {told['messenger']}: {told['news']}: {how}"
