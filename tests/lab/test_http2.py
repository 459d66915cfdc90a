"""Visitors over TLS with HTTP/2, while releases and certificates change."""

from __future__ import annotations

import json

import pytest

from cartwheel_lab import LabHost
from tests.kit import secure
from tests.kit.load_http2 import Plan
from tests.kit.secure import NAME
from tests.kit.shop import Shop, new_shop
from tests.kit.visitors import over_http2
from tests.kit.web_servers import Server

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def shop(web_server: Server, web_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    shop = new_shop(tmp_path_factory.mktemp("shop"))
    settings = shop.project.folder / "config/deploy.toml"
    site = f'{web_server.web}server_names = ["{NAME}"]\n'
    settings.write_text(settings.read_text() + site + secure.SETTINGS)
    secure.renew(shop.project)
    shop.project.fab("setup", "-H", web_host.name)
    shop.project.fab("deploy", "-H", web_host.name)
    return shop


@pytest.mark.nightly
def test_a_switch_and_a_renewal(shop: Shop, web_host: LabHost) -> None:
    with over_http2(web_host, Plan(host=NAME, seconds=500)) as seen:
        shop.code()
        shop.project.fab("deploy", "-H", web_host.name)
        secure.renew(shop.project)
        shop.project.fab("deploy", "-H", web_host.name)
    assert (seen.result["failed"], seen.result["late"]) == (0, 0), json.dumps(seen.result, indent=1)
    assert set(seen.result["releases"]) == {f"mark{shop.marks - 1}", f"mark{shop.marks}"}
