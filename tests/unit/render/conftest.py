"""Kinds of web servers that promises hold for."""

from __future__ import annotations

import pytest

from tests.kit.tiers import tiered
from tests.unit.render.sites import SERVERS


@pytest.fixture(scope="session", params=tiered(SERVERS, nightly=["apache"]))
def kind(request: pytest.FixtureRequest) -> str:
    """The name of a web server. Tests that try the other one in every run say `BOTH`."""
    name: str = request.param
    return name
