"""The releases of an application, and what differs between two of them."""

from __future__ import annotations

from flask import Blueprint, render_template, request

from cartwheel_monitor.page import site
from cartwheel_monitor.page.reading import projects, releases

blueprint = Blueprint("releases", __name__)


@blueprint.get("/apps/<name>/releases")
def show(name: str) -> str:
    project = projects.named(site.places(), name)
    found = releases.read(project, request.args.get("before", type=float))
    return render_template("releases.html", name=name, found=found)


@blueprint.get("/apps/<name>/releases/compare")
def compare(name: str) -> str:
    project = projects.named(site.places(), name)
    before, after = (request.args.get(one, "") for one in ("from", "to"))
    found = releases.compare(project, before, after)
    return render_template("compare.html", name=name, found=found, shown=releases.SHOWN)
