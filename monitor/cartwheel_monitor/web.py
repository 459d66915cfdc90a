"""The web process, gunicorn's `cartwheel_monitor.web:app`: the page, for a host or for a person."""

from __future__ import annotations

import os
from pathlib import Path

from cartwheel_monitor.page import site
from cartwheel_monitor.page.door_login import LoginDoor
from cartwheel_monitor.page.door_token import TokenDoor
from cartwheel_monitor.page.views.runs import RUNS
from cartwheel_monitor.places import Places

TOKEN_VARIABLE = "CARTWHEEL_DASHBOARD_TOKEN"  # noqa: S105 - a name
"""Set by `fab dashboard` for its own page."""

RUNS_VARIABLE = "CARTWHEEL_DASHBOARD_RUNS"
"""Set by it too: the folder with the records of the operator's runs."""

if "CARTWHEEL_SHARED" not in os.environ:
    raise RuntimeError("CARTWHEEL_SHARED must name the monitor's shared folder")
_places = Places.here()
_token = os.environ.get(TOKEN_VARIABLE)
app = site.create(_places, TokenDoor(_token) if _token else LoginDoor(_places.users, _places.page))
app.config[RUNS] = Path(os.environ[RUNS_VARIABLE]) if os.environ.get(RUNS_VARIABLE) else None
