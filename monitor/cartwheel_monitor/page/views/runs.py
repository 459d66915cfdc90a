"""What was done to an application, by its hosts' journals; and the records of runs, which are on
an operator's own machine."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Response, abort, current_app, make_response, render_template, request

from cartwheel_monitor.page import site
from cartwheel_monitor.page.reading import projects, records, runs

blueprint = Blueprint("runs", __name__)
RUNS = "RUNS"
"""The setting of the page with the folder of the records, None on a host."""
_SCRIPT_COOKIE = "script"
_REFRESH_SECONDS = 5  # without JavaScript


@blueprint.get("/apps/<name>/runs")
def show(name: str) -> Response:
    project = projects.named(site.places(), name)
    found = runs.read(project, request.args.get("before", type=float))
    answer = make_response(render_template("runs.html", name=name, found=found))
    return _fresh(answer) if found.now else answer


@blueprint.get("/apps/<name>/runs/<run>")
def one(name: str, run: str) -> Response:
    project = projects.named(site.places(), name)
    found = runs.find(project, run)
    if found is None:
        abort(404)
    is_known = not isinstance(found, str)
    shown = {"run": found, "trouble": ""} if is_known else {"run": None, "trouble": found}
    answer = make_response(render_template("run.html", name=name, **shown))
    return _fresh(answer) if isinstance(found, runs.Run) and found.locked else answer


def folder() -> Path | None:
    """Where the records are; None where there are none."""
    found: Path | None = current_app.config.get(RUNS)
    return found if found is not None and found.is_dir() else None


@blueprint.get("/runs", endpoint="records")
def of_operator() -> Response:
    here = folder()
    if here is None:
        abort(404)
    found = records.newest(here)
    answer = make_response(render_template("records.html", found=found))
    return _fresh(answer) if any(each.is_alive for each in found) else answer


@blueprint.get("/runs/<record>", endpoint="record")
def of_record(record: str) -> Response:
    here = folder()
    found = records.named(here, record) if here is not None else None
    if found is None:
        abort(404)
    answer = make_response(render_template("record.html", one=found))
    return _fresh(answer) if found.is_alive else answer


def _fresh(answer: Response) -> Response:
    """Loaded again and again where the page's script does not do it."""
    if _SCRIPT_COOKIE not in request.cookies:
        answer.headers["Refresh"] = str(_REFRESH_SECONDS)
    return answer
