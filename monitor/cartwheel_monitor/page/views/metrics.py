"""/metrics for a Prometheus, with a token instead of the page's door."""

from __future__ import annotations

import hmac

from flask import Blueprint, Response, g, request

from cartwheel_monitor import records
from cartwheel_monitor.page import metrics, site
from cartwheel_monitor.page.metrics import Monitor
from cartwheel_monitor.page.reading import checks, figures, projects
from cartwheel_monitor.page.reading.projects import Project

blueprint = Blueprint("metrics", __name__)
_BEARER = "bearer"
_REFUSED = "A bearer token is needed: `monitor.metrics` sets it (docs/metrics.md).\n"


@blueprint.get("/metrics")
def show() -> Response:
    """The series of the projects that have the request's token; 401 if none has it."""
    mine = _allowed(projects.every(site.places()))
    if not mine:
        answer = Response(_REFUSED, 401, mimetype="text/plain")
        answer.headers["WWW-Authenticate"] = 'Bearer realm="metrics"'
        return answer
    watcher = projects.watcher(site.places())
    monitor = Monitor(
        not watcher.late,
        records.optional(watcher.said, "time"),
        len(checks.unread_lists(site.places())),
    )
    text = metrics.text((figures.read(one, watcher) for one in mine), monitor, g.now)
    return Response(text, content_type=metrics.CONTENT_TYPE)


def _allowed(every: list[Project]) -> list[Project]:
    kind, _space, given = request.headers.get("Authorization", "").partition(" ")
    token = given.strip().encode() if kind.lower() == _BEARER else b""
    # Each is compared, in constant time: how long that takes says nothing.
    fits = [hmac.compare_digest(one.listed.metrics.reveal().encode(), token) for one in every]
    return [one for one, is_it in zip(every, fits) if is_it and one.listed.metrics and token]
