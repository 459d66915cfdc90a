"""What only Apache's site has: sites beside each other, and beside what the host does by itself."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cartwheel.host.wire.tls import CHAIN, KEY
from cartwheel.render.release import SITE, RenderFacts, render_release, render_tls
from tests.kit.certificates import certificate
from tests.kit.ports import free_port
from tests.unit.render.sites import FACTS, SERVERS, Here, Site, settings

SITES = 60
LONGEST = ".".join(["x" * 63] * 3) + "." + "y" * 40 + ".example"
pytestmark = pytest.mark.parametrize("kind", ["apache"], indirect=True)


def complaints(folder: Path) -> str:
    """What Apache says about all sites of the folder, warnings too."""
    command = [*SERVERS["apache"].command(folder), "-t"]
    env = {**os.environ, "APACHE_RUN_DIR": str(folder)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    return done.stdout + done.stderr


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, as a host's: the path of a socket is."""
    with tempfile.TemporaryDirectory(prefix="cw-") as name:
        yield Path(name)


def test_many_sites_with_the_longest_names(kind: str, folder: Path) -> None:
    """All with HTTPS."""
    (folder / "conf.d").mkdir()
    pair, port = certificate("*.example"), free_port()
    for number in range(SITES):
        own = settings(
            folder,
            app={"name": f"a{number:02}" + "-b" * 10, "source": "."},
            environment=f"e{number:02}" + "-c" * 10,
            web={
                "server": kind,
                "listen": port,
                "server_names": tuple(f"s{number}-{each}.{LONGEST}" for each in range(2)),
                "redirect_names": (f"w{number}.{LONGEST}",),
                "error_pages": "shop/errors",
                "trusted_proxies": ("10.0.0.0/8", "2001:db8::1"),
                "static": {"/s-t.a~x/": {"folder": "shop/static"}},
                "media": {"/media/": "media"},
                "paths": {
                    "/admin/": {"allow": ("192.0.2.0/24",), "users": {"file": "x"}},
                    "/up": {"client_max_body_size": "200m", "timeout_seconds": 5},
                },
            },
            tls={"acme": True, "hsts_seconds": 9},
        )
        facts = replace(FACTS, ipv6=number % 2 == 0, siblings=("192.0.2.2:80", "192.0.2.3:80"))
        at = Here(own.slug, folder)
        text = render_release(own, facts, "1", folder)[SITE].content
        written = text.replace("/var/log/apache2", str(folder))
        (folder / f"conf.d/cartwheel-{own.slug}.conf").write_text(written)
        live = at.tls / "0123456789ab"
        live.mkdir(parents=True)
        (live / CHAIN).write_text(pair.pem)
        (live / KEY).write_text(pair.key)
        at.tls_live.symlink_to(live.name)
        at.tls_site.write_text(render_tls(own, facts, folder))
    assert complaints(folder) == "Syntax OK\n"


class Sites(Site):
    """Other sites beside the first one: each redirects a path to its own name."""

    def beside(self, name: str, web: Mapping[str, Any], facts: RenderFacts = FACTS) -> None:
        web = {"listen": self.port, "server": self.server.name, **web}
        extra = f'RewriteRule "^/who$" http://{name}/ [R=301,L]'
        own = settings(self.folder, app={"name": name, "source": "."}, web={**web, "extra": extra})
        text = self._here(render_release(own, facts, "1", self.folder)[SITE].content)
        (self.folder / f"conf.d/cartwheel-{name}.conf").write_text(text)

    def host(self, text: str) -> None:
        """Something of the host's own."""
        (self.folder / "conf.d/cartwheel-.conf").write_text(text)

    def who(self, host: str) -> str:
        where = self.get("/who", Host=host)[0].getheader("Location") or ""
        return where.removeprefix("http://").strip("/")


@pytest.fixture
def sites(kind: str) -> Iterator[Sites]:
    folder = tempfile.TemporaryDirectory(prefix="cw-")
    with folder as name, closing(Sites(Path(name), kind)) as site:
        site.instance("1")
        for link in (site.at.current, site.at.fallback):
            site.point(link, "1")
        yield site


def test_the_narrowest_name_decides_whatever_the_order_of_sites(sites: Sites) -> None:
    """Apache takes the first that fits: names, then patterns, then the site without names."""
    sites.beside("a-all", {})
    sites.beside("b-wild", {"server_names": ("*.example",)})
    sites.beside("c-one", {"server_names": ("one.example", "two.test")})
    sites.beside("d-wild", {"server_names": ("*.test",)})
    sites.beside("z-one", {"server_names": ("three.example",)})
    sites.facts = replace(FACTS, default_server_free=False)
    sites.start()
    asked = ("one.example", "ONE.example:80", "three.example", "x.example", "two.test", "x.test")
    found = {host: sites.who(host) for host in (*asked, "x.org", "192.0.2.1")}
    assert found == {
        "one.example": "c-one",
        "ONE.example:80": "c-one",
        "three.example": "z-one",
        "x.example": "b-wild",
        "two.test": "c-one",
        "x.test": "d-wild",
        "x.org": "a-all",
        "192.0.2.1": "a-all",
    }


def test_a_site_of_the_host_stays_the_default_one(sites: Sites) -> None:
    sites.host(
        f"<VirtualHost *:{sites.port}>\nServerName own.example\n"
        'RewriteEngine On\nRewriteRule "^/who$" http://host/ [R=301,L]\n</VirtualHost>\n'
    )
    taken = replace(FACTS, default_server_free=False)
    sites.beside("a-all", {}, taken)
    sites.beside("c-one", {"server_names": ("one.example",)}, taken)
    sites.facts = taken
    sites.start()
    found = [sites.who(name) for name in ("one.example", "own.example", "x.org")]
    assert found == ["c-one", "host", "host"]


def test_a_port_that_the_host_listens_on_is_not_asked_for_again(sites: Sites) -> None:
    sites.host(f"Listen {sites.port}\n")
    sites.facts = replace(FACTS, listens=(sites.port,))
    sites.start()
    assert sites.get()[0].status == 200


# What an administrator may have turned on for all sites of the host.
HOST = """
<Location "/server-status">
    SetHandler server-status
</Location>
<FilesMatch "\\.(?:php|css)$">
    SetHandler server-status
</FilesMatch>
AddHandler server-status .html
AddDefaultCharset utf-8
AddOutputFilterByType DEFLATE text/plain
Alias /icons /etc
RewriteEngine On
RewriteOptions InheritDownBefore
RewriteRule "^/stolen$" - [F]
Protocols h2 h2c http/1.1
"""
UPGRADE = {
    "Connection": "Upgrade, HTTP2-Settings",
    "Upgrade": "h2c",
    "HTTP2_Settings": "AAMAAABkAAQAAP__",
}


def test_what_the_host_does_for_all_its_sites(sites: Sites) -> None:
    """The application gets its paths, and no file runs: not what a visitor has uploaded either."""
    web = sites.settings.web.model_copy(update={"media": {"/media/": "media"}})
    sites.settings = sites.settings.model_copy(update={"web": web})
    media = sites.at.shared / "media"
    media.mkdir()
    names = ("a.php", "a.var", "a.html", "a.shtml", "a.en.txt", "a.cgi")
    for name in names:
        (media / name).write_text(f"URI: {name}\n\n")
    static = sites.at.release("1") / "venv/lib/python3.11/site-packages/shop/static"
    static.mkdir(parents=True)
    (static / "a.css").write_text("css")
    sites.host(HOST)
    sites.start()
    for name in names:
        assert sites.get(f"/media/{name}")[1] == f"URI: {name}\n\n", name
    assert sites.get("/static/a.css")[1] == "css"
    for path in ("/server-status", "/stolen", "/icons/passwd", "/a.php", "/a.html"):
        assert '"who": "1"' in sites.get(path)[1], path
    answer, body = sites.get(**UPGRADE)
    assert (answer.status, answer.getheader("Upgrade")) == (200, None)
    assert "UPGRADE" not in body
    sites.at.maintenance.mkdir()
    sites.at.maintenance_mark.write_text("{}")
    assert "not answering" in sites.get()[1], "the page is a page"
