"""Who is behind a balancer, how each is taken out, and how many may be out at once."""

from __future__ import annotations

from typing import Any

import pytest

from cartwheel.plan.balancing import (
    Member,
    balancer_site_changes,
    emptied,
    filled,
    problem,
    socket_of,
    to_take_out,
    ways,
)
from cartwheel.settings.checks import SOCKET_PATH_BYTES
from cartwheel.settings.names import default_site
from cartwheel.settings.toml_tables import Settings
from tests.unit.answers import facts


def settings(**more: Any) -> Settings:
    return Settings.model_validate({"app": {"name": "shop", "source": "."}, **more})


def member(name: str, **more: Any) -> Member:
    return Member(name, more.pop("server", name), "192.0.2.1:80", **more)


@pytest.mark.parametrize(
    ("batch", "inside", "expected"),
    [
        (["a"], ["a", "b"], False),
        (["a", "b"], ["a", "b"], True),
        (["a", "b", "c"], ["a", "b"], True),
        (["a"], ["a"], True),
        (["c"], ["a", "b"], False),
        (["a"], [], False),
        ([], ["a"], False),
    ],
)
def test_whether_nobody_is_left(batch: list[str], inside: list[str], expected: bool) -> None:
    assert emptied(batch, inside) is expected


@pytest.mark.parametrize(
    ("hosts", "members", "out"),
    [
        (["a", "b"], ["a", "b", "c"], ["a", "b"]),
        (["a", "x"], ["a", "b"], ["a"]),
        (["a"], ["a"], []),
        (["a"], [], []),
    ],
)
def test_who_is_taken_out(hosts: list[str], members: list[str], out: list[str]) -> None:
    """Who is not behind it is left alone, and so is the only one."""
    assert to_take_out(hosts, members) == out


def test_sockets_have_a_name_for_each_server() -> None:
    plain = socket_of(settings(environment="live"), member("root@web1", server="web1"))
    assert plain.link == "/srv/shop.live/balancer/web1.sock"
    assert plain.path == "/run/cartwheel/.balancer.shop.live/web1.sock"
    assert plain.open_link == "/srv/shop.live/balancer/web1.open"
    assert plain.open_path == "/run/cartwheel/.balancer.shop.live/web1.open"
    names = ["web1:22", "web1-22", "web1%3A22", "[::1]"]
    links = {socket_of(settings(), member(name)).link for name in names}
    assert len(links) == len(names)
    assert not any(set("[]: ") & set(link) for link in links)


@pytest.mark.parametrize("wrong", ["web 1", "web1;", "web1\n", "{web1}", "$host", ""])
def test_names_that_would_change_a_configuration(wrong: str) -> None:
    assert problem(settings(), Member("a", "root@web1:22", "[2001:db8::1]:80")) == ""
    for one in (Member("a", wrong, "192.0.2.1:80"), Member("a", "a", wrong)):
        assert problem(settings(), one).endswith("is not allowed in a balancer's configuration")


def test_a_name_that_fits_no_socket() -> None:
    longest = SOCKET_PATH_BYTES - len("/run/cartwheel/.balancer.shop/.sock")
    assert problem(settings(), member("w" * longest)) == ""
    assert "too long by 1 for a socket's path" in problem(settings(), member("w" * (longest + 1)))


def test_the_way_of_each_kind() -> None:
    web1 = member("root@web1", server="blue")
    assert ways(settings(balancer={"kind": "nginx"}), [web1]) == {
        "blue": {
            "kind": "nginx",
            "link": "/srv/shop/balancer/blue.sock",
            "path": "/run/cartwheel/.balancer.shop/blue.sock",
            "open_link": "/srv/shop/balancer/blue.open",
            "open_path": "/run/cartwheel/.balancer.shop/blue.open",
            "site": "/etc/nginx/conf.d/cartwheel-shop_balancer.conf",
        }
    }
    haproxy = {"kind": "haproxy", "haproxy_backend": "shop", "haproxy_socket": "/run/h.sock"}
    assert ways(settings(balancer=haproxy), [web1]) == {
        "blue": {"kind": "haproxy", "socket": "/run/h.sock", "backend": "shop", "server": "blue"}
    }


@pytest.mark.parametrize(
    ("names", "port", "goes"), [([], 80, True), (["shop.example"], 80, False), ([], 8080, False)]
)
def test_the_distributions_site_goes_where_ours_answers_for_all(
    names: list[str], port: int, goes: bool
) -> None:
    known = settings(web={"server_names": names}, balancer={"listen": port})
    default = {"file": default_site(settings()), "ports": [80], "names": [], "default_ports": []}
    there = facts(lambda found: found.update(servers=[default]))
    changes = balancer_site_changes(known, there, "site")
    assert changes.pop("/etc/nginx/conf.d/cartwheel-shop_balancer.conf") == "site"
    assert changes == ({default_site(settings()): None} if goes else {})


def test_filling_in() -> None:
    assert filled("/{name}/{action}?{x}", {"name": "web1", "action": "out"}) == "/web1/out?{x}"
