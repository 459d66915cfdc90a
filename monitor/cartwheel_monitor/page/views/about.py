"""What is no view: whether the page and the watcher are well, and what a person has chosen."""

from __future__ import annotations

from flask import Blueprint, Response, abort, request

from cartwheel_monitor import language
from cartwheel_monitor.page import site
from cartwheel_monitor.page.reading import projects

blueprint = Blueprint("about", __name__)
_YEAR_SECONDS = 365 * 86400


@blueprint.get("/healthz")
def alive() -> Response:
    """200 as long as the page answers; it says if the watcher does not."""
    late = projects.watcher(site.places()).late
    return Response("the watcher is late\n" if late else "ok\n", mimetype="text/plain")


@blueprint.get("/language/<name>")
def choose_language(name: str) -> Response:
    return _chosen("language", name, list(language.LANGUAGES))


@blueprint.get("/theme/<name>")
def choose_theme(name: str) -> Response:
    return _chosen("theme", name, list(site.THEMES))


def _chosen(what: str, name: str, may: list[str]) -> Response:
    if name not in may:
        abort(404)
    answer = site.back()
    answer.set_cookie(
        what, name, max_age=_YEAR_SECONDS, httponly=True, samesite="Lax", secure=request.is_secure
    )
    return answer
