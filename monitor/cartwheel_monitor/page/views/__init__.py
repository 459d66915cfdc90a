"""The page's views, one module each with its `blueprint`."""

from __future__ import annotations

from flask import Blueprint

from cartwheel_monitor.language import _


def every() -> list[Blueprint]:
    """The blueprints of all views."""
    from cartwheel_monitor.page.views import (
        about,
        application,
        checks,
        fleet,
        incidents,
        metrics,
        processes,
        releases,
        runs,
    )

    of_app = (application, releases, runs, processes)
    return [one.blueprint for one in (about, fleet, *of_app, incidents, checks, metrics)]


def menu() -> list[tuple[str, str]]:
    """The views about everything, by endpoint, as each page's head lists them."""
    from cartwheel_monitor.page.views import runs

    found = [
        ("fleet.show", _("Fleet")),
        ("incidents.show", _("Incidents")),
        ("checks.show", _("Checks")),
    ]
    if runs.folder() is not None:
        found.append(("runs.records", _("My runs")))
    return found


def app_menu() -> list[tuple[str, str]]:
    """The views about one application, by endpoint."""
    return [
        ("application.show", _("Requests")),
        ("runs.show", _("Runs")),
        ("releases.show", _("Releases")),
        ("processes.show", _("Processes")),
    ]
