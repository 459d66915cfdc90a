"""The first view: every application, its sites, and its hosts."""

from __future__ import annotations

from flask import Blueprint, g, render_template

from cartwheel_monitor.page import site
from cartwheel_monitor.page.reading import fleet, incidents, projects

blueprint = Blueprint("fleet", __name__)


@blueprint.get("/")
def show() -> str:
    known = projects.every(site.places())
    apps = [fleet.read(one, g.now) for one in known]
    watcher = projects.watcher(site.places())
    open_ = incidents.open_now(known, watcher)
    return render_template("fleet.html", apps=apps, watcher=watcher, open_=open_)
