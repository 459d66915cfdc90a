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
    )

    return [one.blueprint for one in (about, fleet, application, incidents, checks, metrics)]


def menu() -> list[tuple[str, str]]:
    """The views about everything, by endpoint, as each page's head lists them."""
    return [
        ("fleet.show", _("Fleet")),
        ("incidents.show", _("Incidents")),
        ("checks.show", _("Checks")),
    ]


def app_menu() -> list[tuple[str, str]]:
    """The views about one application, by endpoint."""
    return [("application.show", _("Requests"))]
