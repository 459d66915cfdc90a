"""An application: its requests, its memory and its sites' answers over a span of time, as plots."""

from __future__ import annotations

from collections.abc import Iterable

from flask import Blueprint, abort, g, render_template, request

from cartwheel_monitor.language import _, listed
from cartwheel_monitor.page import plots, site, words
from cartwheel_monitor.page.plots import Kind, Line, Mark, Plot, Value
from cartwheel_monitor.page.reading import projects, traffic
from cartwheel_monitor.page.reading.traffic import SPANS, Done, Traffic

blueprint = Blueprint("application", __name__)
_USUAL = "24h"


@blueprint.get("/apps/<name>/")
def show(name: str) -> str:
    project = projects.named(site.places(), name)
    span, host = request.args.get("span", _USUAL), request.args.get("host", "")
    if span not in SPANS or (host and host not in project.hosts):
        abort(404)
    found = traffic.read(project, SPANS[span], g.now, host)
    return render_template(
        "application.html",
        name=name,
        hosts=project.hosts,
        host=host,
        span=span,
        spans=_spans(),
        watcher=projects.watcher(site.places()),
        found=found,
        most_done=traffic.MOST_DONE,
        done=[(one.at, _sentence(one), one.is_bad) for one in reversed(found.done)],
        plots=[plots.drawn(one) for one in _plots(found)],
    )


def _spans() -> dict[str, str]:
    return {
        "6h": _("6 hours"),
        "24h": _("24 hours"),
        "7d": _("7 days"),
        "60d": _("60 days"),
    }


def _plots(found: Traffic) -> list[Plot]:
    each = found.points
    marks = tuple(Mark(one.at, _sentence(one), one.is_bad) for one in found.done)

    def plot(name: str, title: str, kind: Kind, lines: Iterable[Line]) -> Plot:
        return Plot(name, title, kind, found.times, found.step, tuple(lines), marks)

    return [
        plot("requests", _("Requests per second"), "rate",
             [Line(_("requests"), tuple(one.requests for one in each))]),
        plot("times", _("Response time"), "seconds",
             [Line(_("p50"), tuple(one.p50 for one in each)),
              Line(_("p95"), tuple(one.p95 for one in each))]),
        plot("share", _("5xx answers, share"), "share",
             [Line(_("5xx"), tuple(one.share for one in each))]),
        plot("failed", _("5xx answers, count"), "count",
             [Line(_("5xx"), _whole(one.failed for one in each))]),
        plot("memory", _("Memory used"), "size",
             [Line(_("memory"), tuple(one.memory for one in each))]),
        plot("sites", _("Response time, as the monitor sees it"), "seconds", _of_sites(found)),
    ]  # fmt: skip


def _whole(values: Iterable[Value]) -> tuple[Value, ...]:
    """Counts without the last, whose time is not over."""
    return (*tuple(values)[:-1], None)


def _of_sites(found: Traffic) -> Iterable[Line]:
    """Of the only site also the longest answer."""
    if len(found.sites) == 1:
        yield Line(_("on average"), found.sites[0].usual)
        yield Line(_("longest"), found.sites[0].longest)
        return
    for one in found.sites:
        yield Line(one.url, one.usual)


def _sentence(one: Done) -> str:
    """`deploy of 1.2.0 by ann: confirmed on 2 hosts, reverted on 1 host`"""
    text = (
        _("{kind} of {release} by {who}: {results}")
        if one.who
        else _("{kind} of {release}: {results}")
    )
    kind = _("rollback") if one.kind == "rollback" else _("deploy")
    how = {
        "confirmed": _("confirmed on {hosts}"),
        "failed": _("failed on {hosts}"),
        "reverted": _("reverted on {hosts}"),
    }
    results = [how[name].format(hosts=words.hosts(count)) for name, count in one.results]
    release = one.release or words.NOTHING
    return text.format(kind=kind, release=release, who=one.who, results=listed(results))
