"""Visitors over TLS with HTTP/2, while releases and certificates change."""

from __future__ import annotations

import json

import pytest

from cartwheel_lab import LabHost
from tests.kit.certificates import authority, certificate
from tests.kit.load_http2 import Plan
from tests.kit.shop import Shop, new_shop
from tests.kit.visitors import loaded, over_http2

pytestmark = pytest.mark.timeout(600)

NAME = "shop.example.org"
ROOT = authority()
TLS = f"""
[web]
server_names = ["{NAME}"]
[tls]
certificate = "shop.pem"
key = "shop.key"
ca = "root.pem"
redirect = false
"""


@pytest.fixture(scope="module")
def shop(module_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    shop = new_shop(tmp_path_factory.mktemp("shop"))
    settings = shop.project.folder / "config/deploy.toml"
    settings.write_text(settings.read_text() + TLS)
    shop.project.write("root.pem", ROOT.pem)
    renew(shop)
    shop.project.fab("setup", "-H", module_host.name)
    shop.project.fab("deploy", "-H", module_host.name)
    return shop


def renew(shop: Shop) -> None:
    one = certificate(NAME, by=ROOT)
    shop.project.write("shop.pem", one.pem)
    shop.project.write("shop.key", one.key)


def visitors(shop: Shop, more: int) -> Plan:
    """Half of the requests take a second."""
    return Plan(
        host=NAME,
        seconds=500,
        paths=("/healthz", "/slow?seconds=1"),
        work_seconds=(0.0, 1.0),
        releases=[f"mark{number}" for number in range(1, shop.marks + more + 1)],
    )


def assert_nobody_noticed(result: dict[str, object]) -> None:
    shown = json.dumps(result, indent=1)
    assert (result["failed"], result["late"]) == (0, 0), shown


def test_a_switch_and_a_renewal(shop: Shop, module_host: LabHost) -> None:
    with over_http2(module_host, visitors(shop, 1)) as seen:
        shop.code()
        shop.project.fab("deploy", "-H", module_host.name)
        renew(shop)
        shop.project.fab("deploy", "-H", module_host.name)
    assert_nobody_noticed(seen.result)
    assert set(seen.result["releases"]) == {f"mark{shop.marks - 1}", f"mark{shop.marks}"}


@pytest.mark.nightly
def test_thirty_switches_with_every_kind_of_visitor(shop: Shop, module_host: LabHost) -> None:
    host, rounds = module_host.name, 15
    plan = visitors(shop, rounds)
    marks = list(plan.releases)
    with (
        over_http2(module_host, plan) as secure,
        loaded(module_host, host=NAME, seconds=500, releases=marks) as plain,
    ):
        for number in range(rounds):
            shop.code()
            shop.project.fab("deploy", "-H", host)
            shop.project.fab("rollback" if number % 2 else "restart", "-H", host)
    assert_nobody_noticed(secure.result)
    assert_nobody_noticed(plain.result)
    assert plain.result["idle_closed"] == secure.result["idle_closed"] == []
    print(secure.result, plain.result)
