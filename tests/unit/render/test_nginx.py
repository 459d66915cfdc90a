"""What only nginx's site has: how it is rendered, and whether nginx takes it."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from cartwheel.host.web import nginx_shared
from cartwheel.host.web.nginx import Nginx
from cartwheel.host.web.server import TlsSite
from cartwheel.render.release import SITE, RenderFacts, TlsFacts, render_release, render_tls
from tests.kit.ports import free_port
from tests.unit.render.sites import FACTS, MAIN, NGINX, settings


def accepted(folder: Path, sites: dict[str, str]) -> str:
    """What `nginx -t` says of these sites together, with the file that they share."""
    (folder / "conf.d").mkdir(exist_ok=True)
    for name, text in sites.items():
        target = folder / f"conf.d/{name}.conf"
        target.write_text(text.replace("/var/log/nginx", str(folder)))
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder, user=""))
    shared = folder / "conf.d/cartwheel.conf"
    shared.write_text(nginx_shared.text(shared, folder / "nginx.conf"))
    done = subprocess.run(
        [NGINX, "-t", "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_sites_of_several_applications_stand_side_by_side(tmp_path: Path) -> None:
    """Also those whose names differ in a separator only; one of them is the default."""
    port = free_port()
    sites = {}
    for name, environment in (("a-b", None), ("a", "b"), ("a", "b-c"), ("a-b-c", None)):
        own = settings(
            Path("/srv"),
            app={"name": name, "source": "."},
            environment=environment,
            web={
                "listen": port,
                "server_names": []
                if environment == "b"
                else [f"{name}.{environment}.example", f"*.{name}.{environment}.example"],
                "static_url": "/s-t.a~x",
                "static_dir": "pkg/static",
                "client_max_body_size": "0",
            },
        )
        text = render_release(own, FACTS, "1", tmp_path)[SITE].content
        sites[own.slug] = text
    assert "[warn]" not in accepted(tmp_path, sites)
    assert [name for name, text in sites.items() if "default_server" in text] == ["a.b"]


PROXIES = ("10.0.0.0/8", "2001:db8::1")


def test_balancers_are_believed(tmp_path: Path) -> None:
    """By themselves, and what the settings name; without any, nothing of it is there."""
    behind = replace(FACTS, balancers=("192.0.2.9",))
    own = settings(Path("/srv"), web={"listen": free_port(), "trusted_proxies": PROXIES})
    text = render_release(own, behind, "1", tmp_path)[SITE].content
    for address in (*PROXIES, "192.0.2.9"):
        assert f"    {address} 1;" in text and f"set_real_ip_from {address};" in text
    accepted(tmp_path, {"shop": text})
    alone = render_release(settings(Path("/srv")), FACTS, "1", tmp_path)[SITE].content
    assert "real_ip" not in alone and "geo" not in alone


@pytest.mark.parametrize("name", ["a" * 24, "customer-portal"])
def test_nginx_takes_long_names_of_applications(tmp_path: Path, name: str) -> None:
    web = {"listen": free_port(), "trusted_proxies": PROXIES}
    app = {"name": name, "source": "."}
    own = settings(Path("/srv"), app=app, environment="production", web=web)
    accepted(tmp_path, {"shop": render_release(own, FACTS, "1", tmp_path)[SITE].content})


def test_ipv6_where_the_host_has_it() -> None:
    facts = RenderFacts(2, 252, "3.11.2", default_server_free=True, ipv6=True)
    text = render_release(settings(Path("/srv")), facts, "1", Path("/"))[SITE].content
    assert "listen 80 default_server;" in text
    assert "listen [::]:80 default_server;" in text


def test_the_site_names_no_release() -> None:
    """So it changes only when its settings do, and nginx is not reloaded for a release."""
    one, two = (
        render_release(settings(Path("/srv")), FACTS, release, Path("/")) for release in ("1", "2")
    )
    shared = [name for name, file in one.items() if file.shared]
    assert sorted(shared) == ["boot.service", "logrotate.conf", SITE]
    assert all(one[name] == two[name] for name in shared)


# -- HTTPS


def test_no_other_application_has_the_siblings_name(tmp_path: Path) -> None:
    """`_` is in no application's name."""
    known = replace(FACTS, siblings=("192.0.2.2:80",))
    one = settings(tmp_path, web={"server_names": ["shop.test"]}, tls={"acme": True})
    text = render_release(one, known, "1", tmp_path)[SITE].content
    assert re.findall(r"^upstream (\S+)", text, re.MULTILINE) == [
        "cartwheel-shop",
        "cartwheel-shop_siblings",
    ]


def test_without_an_authority_the_site_has_no_place_for_it(tmp_path: Path) -> None:
    known = replace(FACTS, siblings=("192.0.2.2:80",))
    text = render_release(settings(tmp_path), known, "1", tmp_path)[SITE].content
    assert "acme-challenge/ {" not in text
    assert "sibling" not in text


@pytest.mark.parametrize(
    ("version", "shares_port", "how"),
    [
        ("1.18.0", True, "listen"),
        ("1.22.1", True, "listen"),
        ("1.23.4", False, "listen"),
        ("1.24.0", True, ""),
        ("1.25.0", True, ""),
        ("1.25.1", True, "directive"),
        ("1.26.3", False, "directive"),
    ],
)
def test_http2_by_version(tmp_path: Path, version: str, shares_port: bool, how: str) -> None:
    known = replace(FACTS, ipv6=True, tls=TlsFacts(version, shares_port))
    one = settings(tmp_path, tls={"certificate": "a.pem", "key": "a.key"})
    text = render_tls(one, known, tmp_path)
    lines = text.splitlines()
    assert ("http2 on;" in lines) is (how == "directive")
    http2 = " http2" if how == "listen" else ""
    assert f"listen 443 ssl{http2} default_server;" in lines
    assert f"listen [::]:443 ssl{http2} default_server;" in lines
    found = Nginx().tls_of(text)
    assert found == TlsSite(443, tmp_path / "shop/tls/live/fullchain.pem")


def test_files_of_the_host_are_named_where_they_are(tmp_path: Path) -> None:
    on_host = {"host_certificate": "/etc/ssl/a.pem", "host_key": "/etc/ssl/a.key"}
    web = {"server_names": ["a.example"]}
    text = render_tls(settings(tmp_path, tls=on_host, web=web), FACTS, tmp_path)
    assert "ssl_certificate /etc/ssl/a.pem;\nssl_certificate_key /etc/ssl/a.key;\n" in text
    assert "default_server" not in text
    assert render_tls(settings(tmp_path), FACTS, tmp_path) == ""
    assert Nginx().tls_of("") is None
