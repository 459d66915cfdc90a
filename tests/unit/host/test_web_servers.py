"""The kinds of web servers, and which one a host has."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from cartwheel.errors import CATALOGUE
from cartwheel.host.layout import Layout
from cartwheel.host.state import record
from cartwheel.host.web import chosen
from cartwheel.host.web.kinds import KINDS, named
from cartwheel.settings.toml_tables import Web
from tests.unit.hostside import host_in


def test_all_kinds_can_be_chosen() -> None:
    assert [kind.name for kind in KINDS] == list(get_args(Web.model_fields["server"].annotation))


def test_each_has_errors_of_its_own() -> None:
    said = [(kind.broken, kind.refuses) for kind in KINDS]
    assert said == [("nginx-broken", "nginx-refuses"), ("apache-broken", "apache-refuses")]
    assert set(sum(said, ())) <= set(CATALOGUE)


@pytest.mark.parametrize(
    ("told", "found"), [("", "nginx"), ("nginx", "nginx"), ("apache", "apache")]
)
def test_setup_decides_the_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str, found: str
) -> None:
    at = host_in(tmp_path, monkeypatch)
    assert chosen.prepared_for(at) == ""
    record.write(at, record.Record(user="shop", group="shop", web_server=told))
    assert chosen.prepared_for(at) == chosen.web_server(at).name == found


def test_the_site_of_another_kind_is_found(tmp_path: Path) -> None:
    at = Layout("no-such-app", tmp_path)
    assert chosen.other_site(at, named("apache")) is None
