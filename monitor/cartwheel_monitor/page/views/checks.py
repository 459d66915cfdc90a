"""The current state of sites, hosts, messengers, silences, limits and the monitor."""

from __future__ import annotations

from flask import Blueprint, g, render_template

from cartwheel_monitor.page import names, site
from cartwheel_monitor.page.reading import checks, projects

blueprint = Blueprint("checks", __name__)


@blueprint.get("/checks")
def show() -> str:
    watcher = projects.watcher(site.places())
    every = [checks.read(one, watcher, g.now) for one in projects.every(site.places())]
    return render_template(
        "checks.html",
        projects=every,
        watcher=watcher,
        problems=[one for one in watcher.problems if not one.startswith("its list ")],
        unread=checks.unread_lists(site.places()),
        names=names,
    )
