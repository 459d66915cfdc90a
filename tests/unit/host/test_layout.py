"""Where things are on a host."""

from __future__ import annotations

import pytest

from cartwheel.host import layout
from cartwheel.host.layout import Layout
from cartwheel.settings.toml_tables import NAME


@pytest.mark.parametrize("shared", [layout.PIP, layout.HOST_LOCK])
def test_no_application_can_be_called_like_what_all_share(shared: object) -> None:
    name = str(shared).rpartition("/")[2]
    assert not NAME.match(name)
    for app in ("pip", "host"):
        at = Layout(app)
        assert shared not in (at.lib, at.lock, at.root, at.record, at.logs)
