"""The processes and timers of an application on its hosts."""

from __future__ import annotations

from flask import Blueprint, render_template

from cartwheel_monitor.page import site
from cartwheel_monitor.page.reading import processes, projects

blueprint = Blueprint("processes", __name__)


@blueprint.get("/apps/<name>/processes")
def show(name: str) -> str:
    project = projects.named(site.places(), name)
    found = processes.read(project)
    return render_template("processes.html", name=name, found=found, up=processes.UP)
