"""Certificates from an authority on a real host, with Debian's certbot and Pebble: one story in
order, from the first certificate to the last."""

from __future__ import annotations

import os
import re
import signal
import time

import pytest

from cartwheel_lab import LabHost, load
from cartwheel_lab.visitors import visiting
from tests.kit import pebble
from tests.kit.host import await_sessions, journal, main_pids
from tests.kit.pebble import Pebble
from tests.kit.project import SHOP, Project, new_project
from tests.kit.waiting import until
from tests.kit.web_servers import Server

pytestmark = pytest.mark.timeout(300)

NAME, MORE = "shop.example.org", "www.example.org"
# What visitors load: the front page, by its name.
LOAD = load.Plan(
    host=NAME,
    path="/",
    release_pattern="(.+)",
    seconds=120,
    pause_seconds=0.1,
    keep_alive=2,
    close=2,
    slow=0,
    upload=0,
    stream=0,
)


def settings(server: Server, *names: str, more: str = "") -> str:
    listed = ", ".join(f'"{name}"' for name in names)
    tls = f'[tls]\nacme = true\ndirectory = "{pebble.DIRECTORY}"\nca = "root.pem"\n{more}'
    return f"{SHOP}{server.web}server_names = [{listed}]\n{tls}"


@pytest.fixture(scope="module")
def shop_host(web_host: LabHost) -> LabHost:
    pebble.knows(web_host, "ca.example.org", NAME, MORE, pebble.BLOCKED)
    return web_host


@pytest.fixture(scope="module")
def ca(shop_host: LabHost) -> Pebble:
    """The authority; `project` starts it."""
    return Pebble(shop_host)


@pytest.fixture(scope="module")
def project(
    web_server: Server, shop_host: LabHost, ca: Pebble, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    """The set-up brings certbot, and here the authority's program too."""
    project = new_project(tmp_path_factory.mktemp("shop"))
    (project.folder / "root.pem").write_text(ca.roots)
    project.settings(settings(web_server, NAME, more='[host]\npackages = ["pebble"]\n'))
    project.fab("setup", "-H", shop_host.name)
    ca.start()
    trust(project, ca)
    project.settings(settings(web_server, NAME))
    return project


def trust(project: Project, *cas: Pebble) -> None:
    (project.folder / "root.pem").write_text("".join(one.roots for one in cas))


def deploy(project: Project, host: LabHost, code: int = 0) -> str:
    return project.fab("deploy", "-H", host.name, code=code).text


def served(host: LabHost) -> str:
    """The certificate that a visitor gets."""
    ask = f"openssl s_client -connect 127.0.0.1:443 -servername {NAME} </dev/null 2>/dev/null"
    return host.sh(f"{ask} | openssl x509")


def names_of(host: LabHost, certificate: str) -> set[str]:
    ask = f"openssl x509 -noout -ext subjectAltName <<'.'\n{certificate}\n."
    return set(re.findall(r"DNS:(\S+?)(?:,|$)", host.sh(ask), re.MULTILINE))


def curl(host: LabHost, url: str, *options: str) -> str:
    """The response's headers and body. curl verifies HTTPS with the CA's roots."""
    text = host.sh(" ".join(["curl", "-sSi", "--cacert /tmp/roots.pem", *options, url]))
    return text.replace("\r", "")


def by_timer(host: LabHost, *, may_ask: bool = True) -> None:
    """As the timer does; `may_ask`: the last failure was an hour ago."""
    if may_ask:
        host.sh('sed -i \'s/"time": .*/"time": 0/\' /srv/shop/tls/tried.json')
    host.sh("systemctl start cartwheel-shop_tls.service || true")


def test_a_first_certificate(project: Project, shop_host: LabHost, ca: Pebble) -> None:
    planned = project.fab("plan", "-H", shop_host.name).text
    assert f"tls: asks {pebble.DIRECTORY} for a certificate for {NAME}" in planned
    assert re.search(r"steps: .*, tls$", planned, re.MULTILINE)
    deploy(project, shop_host)
    shop_host.sh(f"cat >/tmp/roots.pem <<'.'\n{ca.roots}\n.")
    assert curl(shop_host, f"https://{NAME}/").startswith("HTTP/2 200")
    assert curl(shop_host, f"http://{NAME}/").startswith("HTTP/1.1 301 ")
    missing = curl(shop_host, f"http://{NAME}/.well-known/acme-challenge/none")
    assert missing.startswith("HTTP/1.1 404 ")
    modes = shop_host.sh(
        "cd /srv/shop && stat -c '%n %a %U:%G' tls tls/*/* tls/*.json /var/lib/cartwheel/acme/*"
    )
    assert not [line for line in modes.splitlines() if line.split()[1] not in ("600", "700")]
    assert not {"live", "accounts", "renewal"} & set(shop_host.sh("ls /etc/letsencrypt").split())
    shown = project.fab("tls.status", "-H", shop_host.name).text
    assert re.search(rf"acme {pebble.DIRECTORY} +{NAME} +Pebble .* 89 +yes +20\S+ +-", shown), shown
    assert "healthy" in project.fab("status", "-H", shop_host.name).text
    assert "active" in shop_host.sh("systemctl is-active cartwheel-shop_tls.timer")
    assert ("tls", "done") in [(one["kind"], one["result"]) for one in journal(shop_host, "shop")]


def test_an_unchanged_deploy_asks_nobody(project: Project, shop_host: LabHost, ca: Pebble) -> None:
    before = (ca.orders(), served(shop_host), main_pids(shop_host, "shop"))
    project.fab("plan", "-H", shop_host.name, "--exit-code", code=0)
    assert "nothing changed" in deploy(project, shop_host)
    by_timer(shop_host)
    assert before == (ca.orders(), served(shop_host), main_pids(shop_host, "shop"))


def test_a_refusal_shows_the_authoritys_words(
    web_server: Server, project: Project, shop_host: LabHost
) -> None:
    before = served(shop_host)
    project.settings(settings(web_server, NAME, pebble.BLOCKED))
    said = deploy(project, shop_host, code=4)
    assert "urn:ietf:params:acme:error:rejectedIdentifier: Order included an identifier" in said
    assert served(shop_host) == before
    status = project.fab("status", "-H", shop_host.name).text
    assert "the last try failed: " in status
    assert "healthy" in status, "the old one is good for a while"
    assert "rejectedIdentifier" in project.fab("tls.status", "-H", shop_host.name).text


@pytest.mark.nightly
def test_more_names(web_server: Server, project: Project, shop_host: LabHost) -> None:
    project.settings(settings(web_server, NAME, MORE))
    deploy(project, shop_host)
    assert names_of(shop_host, served(shop_host)) == {NAME, MORE}
    assert curl(shop_host, f"https://{MORE}/").startswith("HTTP/2 200")


@pytest.mark.nightly
def test_what_the_web_server_did_not_load_is_loaded_an_hour_later(
    web_server: Server, project: Project, shop_host: LabHost, ca: Pebble
) -> None:
    before, orders = served(shop_host), ca.orders()
    broken = f"{web_server.other_sites}/broken.conf"
    shop_host.sh(f"echo '{web_server.mistake}' >{broken}")
    said = project.fab("tls.renew", "-H", shop_host.name, code=1).text
    assert "already broken" in said
    by_timer(shop_host)
    assert served(shop_host) == before
    shop_host.sh(f"rm {broken}")
    by_timer(shop_host, may_ask=False)
    assert served(shop_host) == before, "the failure was a moment ago"
    by_timer(shop_host)
    assert served(shop_host) != before
    assert ca.orders() == orders + 1, "the authority was asked once"


@pytest.mark.nightly
def test_a_dry_run_changes_nothing(project: Project, shop_host: LabHost, ca: Pebble) -> None:
    before, orders = served(shop_host), ca.orders()
    files = "find /srv/shop/tls /srv/shop/acme-webroot -type f -exec sha256sum {} + | sort"
    there = shop_host.sh(files)
    said = project.fab("tls.renew", "--dry-run", "-H", shop_host.name).text
    assert "the authority would give a certificate" in said
    assert (served(shop_host), shop_host.sh(files)) == (before, there)
    assert ca.orders() == orders + 1


@pytest.mark.nightly
def test_the_hosts_own_certbot_is_another(project: Project, shop_host: LabHost) -> None:
    """Its settings would choose another way to prove a name."""
    own = "/etc/letsencrypt/cli.ini"
    shop_host.sh(f"cp {own} /tmp/; echo 'authenticator = standalone' >>{own}")
    before = served(shop_host)
    project.fab("tls.renew", "-H", shop_host.name)
    assert served(shop_host) != before
    shop_host.sh(f"cp /tmp/cli.ini {own}")


@pytest.mark.nightly
def test_the_operator_dies_while_certbot_asks(
    project: Project, shop_host: LabHost, ca: Pebble
) -> None:
    before = served(shop_host)
    ca.signal("STOP")
    with project.begin("tls.renew", "-H", shop_host.name) as fab:
        until(lambda: shop_host.sh("pgrep -f [c]ertonly ||:") != "", 20, shown="certbot")
        os.kill(fab.pid, signal.SIGKILL)
        fab.wait(10)
    until(lambda: shop_host.sh("pgrep -f [c]ertonly ||:") == "", 30, shown="certbot's end")
    await_sessions(shop_host)
    ca.signal("CONT")
    assert served(shop_host) == before
    assert shop_host.sh("ls -A /srv/shop/acme-webroot") == ""
    assert re.search("leftovers +none", project.fab("doctor", "-H", shop_host.name).text)
    project.fab("tls.renew", "-H", shop_host.name)
    assert served(shop_host) != before


@pytest.mark.nightly
def test_a_renewal_in_time_fails_no_request(
    web_server: Server, project: Project, shop_host: LabHost, ca: Pebble
) -> None:
    """Certificates of 24 seconds; and an authority that has lost its accounts meanwhile."""
    ca.stop()
    down = project.fab("tls.renew", "-H", shop_host.name, code=4).text
    assert "Connection refused" in down
    ca.start(days=24 / 86400)
    trust(project, ca)
    project.settings(settings(web_server, NAME, more="redirect = false\n"))
    deploy(project, shop_host)
    short = served(shop_host)
    assert names_of(shop_host, short) == {NAME}
    with visiting(shop_host, LOAD) as visits:
        due = "openssl x509 -checkend 7 -in /srv/shop/tls/live/fullchain.pem"
        until(lambda: "will expire" in shop_host.sh(f"{due} ||:"), 30, shown="the end is near")
        by_timer(shop_host)
        renewed = served(shop_host)
        time.sleep(1)
    assert renewed != short
    assert visits.result["failed"] == 0, visits.result
    assert sum(visits.result["sent"].values()) > 50


def test_without_the_table_all_of_it_goes(
    web_server: Server, project: Project, shop_host: LabHost
) -> None:
    project.settings(f'{SHOP}{web_server.web}server_names = ["{NAME}"]\n')
    deploy(project, shop_host)
    assert ":443" not in shop_host.sh("ss -Hltn")
    left = "ls -d /srv/shop/tls /srv/shop/acme-webroot /var/lib/cartwheel/acme"
    units = "/etc/systemd/system/*_tls*"
    assert shop_host.sh(f"ls -d {left.removeprefix('ls -d ')} {units} 2>/dev/null ||:") == ""


@pytest.mark.nightly
def test_an_uninstall_leaves_nothing(
    web_server: Server, project: Project, shop_host: LabHost
) -> None:
    project.settings(settings(web_server, NAME))
    deploy(project, shop_host)
    project.fab("uninstall", "--yes", "-H", shop_host.name)
    find = f"find /srv {web_server.etc} /etc/systemd /var/lib/systemd /var/lib/cartwheel"
    find += " /run/cartwheel"
    found = shop_host.sh(f"{find} 2>/dev/null ||:").splitlines()
    assert not [line for line in found if "shop" in line or "acme" in line], found
    assert "certbot" in shop_host.sh("ls /usr/bin/certbot"), "packages stay"
