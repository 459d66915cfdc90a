"""What went wrong: a list of all projects' incidents, and all that is known of one."""

from __future__ import annotations

import sqlite3

from flask import Blueprint, abort, g, render_template, request

from cartwheel_monitor import messages
from cartwheel_monitor.page import names, site
from cartwheel_monitor.page.reading import incidents, projects

blueprint = Blueprint("incidents", __name__)
_MOST_PAGES = 200


@blueprint.get("/incidents")
def show() -> str:
    every = projects.every(site.places())
    app, kind = request.args.get("app", ""), request.args.get("kind", "")
    number = request.args.get("page", 0, type=int)
    if (kind and kind not in incidents.kinds()) or not 0 <= number < _MOST_PAGES:
        abort(404)
    chosen = [projects.named(site.places(), app)] if app else every
    return render_template(
        "incidents.html",
        page=incidents.page(chosen, kind, number),
        number=number,
        apps=[one.name for one in every],
        kinds=incidents.kinds(),
        app=app,
        kind=kind,
        names=names,
        span=messages.span,
        watcher=projects.watcher(site.places()),
    )


@blueprint.get("/incidents/<name>/<int:number>")
def one(name: str, number: int) -> str:
    project = projects.named(site.places(), name)
    try:
        found = incidents.detail(project, number)
    except incidents.NoIncidentError:
        abort(404)
    except (OSError, sqlite3.Error) as error:
        return render_template("incident.html", project=name, number=number, trouble=str(error))
    return render_template(
        "incident.html",
        project=name,
        number=number,
        detail=found,
        title=messages.title(found.one),
        lasted=messages.span((found.one.ended or g.now) - found.one.began),
        todo=messages.next_command(found.one),
        names=names,
        span=messages.span,
    )
