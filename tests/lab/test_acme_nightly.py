"""What else may happen between a host and a certificate authority; and Debian 11 and 13."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cartwheel_lab import LabHost
from cartwheel_lab.visitors import visiting
from tests.kit import pebble
from tests.kit.certificates import certificate
from tests.kit.host import await_sessions
from tests.kit.pebble import Pebble
from tests.kit.project import Project, new_project
from tests.kit.waiting import until
from tests.kit.web_servers import Server
from tests.lab.conftest import GetHosts
from tests.lab.test_acme import LOAD, NAME, by_timer, curl, deploy, served, settings, trust

pytestmark = [pytest.mark.timeout(600), pytest.mark.nightly]

PEER = 3143  # leads to the web server of another lab host (cartwheel_lab.forwarder)
HOMES = "/var/lib/cartwheel/acme"

# Answers as RFC 8555 says, up to the order, for which it was asked too often (6.6).
STUB = """
import http.server, json, ssl
BASE = "https://ca.example.org:14001"
class Authority(http.server.BaseHTTPRequestHandler):
    def say(self, status, body, **more):
        self.send_response(status)
        for name, value in {"Replay-Nonce": "abcd", **more}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())
    def do_HEAD(self):
        self.send_response(200)
        self.send_header("Replay-Nonce", "abcd")
        self.end_headers()
    def do_GET(self):
        names = {"newNonce": "nonce", "newAccount": "account", "newOrder": "order"}
        self.say(200, {name: f"{BASE}/{path}" for name, path in names.items()})
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/account":
            return self.say(201, {"status": "valid"}, Location=BASE + "/account/1")
        problem = {"type": "urn:ietf:params:acme:error:rateLimited", "status": 429}
        problem["detail"] = "too many certificates already issued for: shop.example.org"
        self.say(429, problem, Content_Type="application/problem+json", Retry_After="3600")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 14001), Authority)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/etc/test-ca/api.pem", "/etc/test-ca/api.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


@pytest.fixture(scope="module")
def shop_host(web_server: Server, hosts: GetHosts) -> LabHost:
    host = hosts(packages=pebble.packages(web_server))[0]
    host.reset()
    pebble.knows(host, "ca.example.org", NAME)
    return host


@pytest.fixture(scope="module")
def ca(shop_host: LabHost) -> Pebble:
    one = Pebble(shop_host)
    one.start()
    return one


@pytest.fixture(scope="module")
def project(
    web_server: Server, shop_host: LabHost, ca: Pebble, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    """It has a certificate."""
    project = new_project(tmp_path_factory.mktemp("shop"))
    trust(project, ca)
    project.settings(settings(web_server, NAME))
    project.fab("setup", "-H", shop_host.name)
    deploy(project, shop_host)
    yield project


def test_an_authority_that_was_asked_too_often(
    web_server: Server, project: Project, shop_host: LabHost
) -> None:
    before = served(shop_host)
    shop_host.sh(f"cat >/root/stub.py <<'.'\n{STUB}\n.")
    shop_host.sh("systemd-run -q --unit=stub python3 /root/stub.py")
    until(lambda: ":14001" in shop_host.sh("ss -Hltn"), shown="the stub")
    project.settings(
        settings(web_server, NAME).replace(pebble.DIRECTORY, "https://ca.example.org:14001/dir")
    )
    said = deploy(project, shop_host, code=4)
    assert "urn:ietf:params:acme:error:rateLimited: too many certificates already issued" in said
    assert served(shop_host) == before
    log = f"{HOMES}/*/logs/shop/letsencrypt.log"
    tries = f"stat -c %Y {log} | sort | tail -1"
    last = shop_host.sh(tries)
    time.sleep(1)
    by_timer(shop_host, may_ask=False)
    assert shop_host.sh(tries) == last, "not again within the hour"
    by_timer(shop_host)
    assert shop_host.sh(tries) != last
    project.settings(settings(web_server, NAME))
    deploy(project, shop_host)
    assert served(shop_host) == before, "its lineage is still there, and fits"


def test_certbots_clock_decides_nothing(
    web_server: Server, project: Project, shop_host: LabHost, ca: Pebble
) -> None:
    """certbot runs 70 days ahead: then it would renew by itself. The host's clock decides."""
    project.settings(settings(web_server, NAME, more="redirect = false\n"))
    deploy(project, shop_host)
    program, real = "/usr/bin/certbot", "/usr/bin/certbot.real"
    shop_host.sh("apt-get -qq update && apt-get -qq install faketime >/dev/null", timeout=120)
    shop_host.sh(f"dpkg-divert --quiet --local --rename --divert {real} --add {program}")
    wrapper = f'#!/bin/sh\necho ahead >>/root/ran\nexec faketime "+70 days" {real} "$@"\n'
    shop_host.sh(f"cat >{program} <<'.'\n{wrapper}.\nchmod 755 {program}")
    before, orders = served(shop_host), ca.orders()
    by_timer(shop_host)
    assert (served(shop_host), ca.orders()) == (before, orders), "it is not due"
    with visiting(shop_host, LOAD) as visits:
        project.fab("tls.renew", "-H", shop_host.name)
    assert shop_host.sh("cat /root/ran").split() == ["ahead"], "certbot ran once, ahead of time"
    assert (served(shop_host) != before, ca.orders()) == (True, orders + 1)
    assert visits.result["failed"] == 0, visits.result
    shop_host.sh(f"rm {program}; dpkg-divert --quiet --local --rename --remove {program}")
    project.settings(settings(web_server, NAME))
    deploy(project, shop_host)


def test_a_deactivated_account(
    web_server: Server, project: Project, shop_host: LabHost, ca: Pebble
) -> None:
    """Another mail is another account."""
    before = served(shop_host)
    home = shop_host.sh(f"ls -d {HOMES}/*").split()[0]
    shop_host.sh(
        f"cp -a {home}/accounts /root/; REQUESTS_CA_BUNDLE=/srv/shop/tls/roots.pem"
        f" certbot unregister --non-interactive --config-dir {home} --work-dir /tmp/w"
        f" --logs-dir /tmp/l --server {pebble.DIRECTORY} && rm -rf {home}/accounts"
        f" && mv /root/accounts {home}/"
    )
    said = project.fab("tls.renew", "-H", shop_host.name, code=4).text
    assert re.search(r"urn:ietf:params:acme:error:\w+: ", said), said
    assert served(shop_host) == before
    project.settings(settings(web_server, NAME, more='mail = "ops@example.org"\n'))
    deploy(project, shop_host)
    assert served(shop_host) != before
    assert len(shop_host.sh(f"ls -d {HOMES}/*").split()) == 1, "the old account is gone"


def test_files_take_its_place_and_back(
    web_server: Server, project: Project, shop_host: LabHost, ca: Pebble
) -> None:
    own = certificate(NAME)
    (project.folder / "own.pem").write_text(own.pem)
    (project.folder / "own.key").write_text(own.key)
    files = 'certificate = "own.pem"\nkey = "own.key"\nca = "own.pem"\n'
    project.settings(settings(web_server, NAME).partition("[tls]")[0] + "[tls]\n" + files)
    deploy(project, shop_host)
    assert served(shop_host) == own.pem
    assert shop_host.sh(f"ls -d {HOMES} /srv/shop/acme-webroot /srv/shop/tls/*.json ||:") == ""
    shop_host.sh("systemctl start cartwheel-shop_tls.service")
    assert served(shop_host) == own.pem
    project.settings(settings(web_server, NAME))
    deploy(project, shop_host)
    assert served(shop_host) != own.pem


@pytest.mark.parametrize("tenths", range(2, 40, 6))
def test_killed_at_any_time_it_is_in_order(
    project: Project, shop_host: LabHost, tenths: int
) -> None:
    """The session and all that it has started, as by a power cut."""
    with project.begin("tls.renew", "-H", shop_host.name) as fab:
        unit = "systemctl list-units --plain --no-legend 'cartwheel-session-*' | cut -d' ' -f1"
        until(lambda: shop_host.sh(unit) != "", 60, shown="the session")
        time.sleep(tenths / 10)
        shop_host.sh(f"systemctl kill -s KILL $({unit}) || true")
        os.kill(fab.pid, signal.SIGKILL)
        fab.wait(10)
    await_sessions(shop_host)
    found = project.fab("doctor", "-H", shop_host.name, code=None).text
    assert re.search("leftovers +none", found), found
    assert "yes" in project.fab("tls.status", "-H", shop_host.name).text
    before = served(shop_host)
    project.fab("tls.renew", "-H", shop_host.name)
    assert served(shop_host) != before
    assert shop_host.sh("ls -A /srv/shop/acme-webroot") == ""


def go_down(host: LabHost, how: str) -> None:
    """By a power cut, one that leaves certbot's last files empty, or as an administrator would."""
    if how == "half":
        host.sh(f"find {HOMES} -type f -mmin -1 -exec truncate -s 0 {{}} +")
    if how == "reboot":
        init = host.init
        host.exec(["systemctl", "--no-block", "poweroff"])
        until(lambda: not init.alive, 120, shown="the host's end")
    host.power_cut()


def down_while_certbot_asks(
    project: Project, host: LabHost, ca: Pebble, task: str, how: str
) -> None:
    """Start a task, and take the host down once the answer to the authority's challenge is there.
    After the boot the site answers, before anybody asks again; then the authority is there too."""
    ca.stop()
    ca.start(env={"PEBBLE_VA_NOSLEEP": "0", "PEBBLE_VA_SLEEPTIME": "60"})
    trust(project, ca)
    with project.begin(task, "-H", host.name) as fab:
        answer = "find /srv/shop/acme-webroot -type f"
        until(lambda: host.sh(f"{answer} 2>/dev/null ||:"), 60, shown="the challenge")
        go_down(host, how)
        assert fab.wait(120) != 0
    host.boot()
    until(lambda: curl(host, f"http://{NAME}/").startswith("HTTP/1.1 "), shown="the site")
    until(lambda: host.sh(f"{answer} 2>/dev/null ||:") == "", shown="no answer is left")
    assert re.search("leftovers +none", project.fab("doctor", "-H", host.name, code=None).text)
    ca.start()


@pytest.mark.parametrize("how", ["power", "half", "reboot"])
def test_the_host_goes_down_in_a_renewal(
    project: Project, shop_host: LabHost, ca: Pebble, how: str
) -> None:
    before = served(shop_host)
    down_while_certbot_asks(project, shop_host, ca, "tls.renew", how)
    assert curl(shop_host, f"https://{NAME}/", "-k").startswith("HTTP/2 200")
    assert served(shop_host) == before
    project.fab("tls.renew", "-H", shop_host.name)
    assert served(shop_host) != before
    assert "healthy" in project.fab("status", "-H", shop_host.name).text


@pytest.mark.parametrize(("how", "again"), [("power", "timer"), ("half", "deploy")])
def test_the_host_goes_down_before_its_first_certificate(
    web_server: Server, project: Project, shop_host: LabHost, ca: Pebble, how: str, again: str
) -> None:
    project.settings(settings(web_server, NAME).partition("[tls]")[0])
    deploy(project, shop_host)
    project.settings(settings(web_server, NAME))
    down_while_certbot_asks(project, shop_host, ca, "deploy", how)
    assert curl(shop_host, f"http://{NAME}/").startswith("HTTP/1.1 200 ")
    assert ":443" not in shop_host.sh("ss -Hltn")
    if again == "timer":
        by_timer(shop_host, may_ask=False)
    else:
        deploy(project, shop_host)
    assert curl(shop_host, f"https://{NAME}/", "-k").startswith("HTTP/2 200")
    assert curl(shop_host, f"http://{NAME}/").startswith("HTTP/1.1 301 ")
    project.fab("plan", "-H", shop_host.name, "--exit-code", code=0)
    assert "healthy" in project.fab("status", "-H", shop_host.name).text


def test_two_applications_share_an_account(
    web_server: Server,
    project: Project,
    shop_host: LabHost,
    ca: Pebble,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The last one takes it along."""
    pebble.knows(shop_host, "blog.example.org")
    other = new_project(tmp_path_factory.mktemp("blog"))
    trust(other, ca)
    other.settings(settings(web_server, "blog.example.org").replace('"shop"', '"blog"'))
    other.fab("setup", "-H", shop_host.name)
    deploy(other, shop_host)
    assert len(shop_host.sh(f"ls -d {HOMES}/*").split()) == 1
    other.fab("uninstall", "--yes", "-H", shop_host.name)
    assert shop_host.sh(f"ls {HOMES}/*/renewal").split() == ["shop.conf"]
    assert shop_host.sh(f"ls -d {HOMES}/*/*/blog* ||:") == ""
    before = served(shop_host)
    project.fab("tls.renew", "-H", shop_host.name)
    assert served(shop_host) != before


def test_two_hosts_with_one_name(web_server: Server, hosts: GetHosts, tmp_path: Path) -> None:
    """The authority always asks the other host, which does not have the answer."""
    one, two = hosts(2, packages=pebble.packages(web_server))
    cas: list[Pebble] = []
    for host, other in ((one, two), (two, one)):
        host.reset()
        pebble.knows(host, "ca.example.org")
        pebble.knows(host, NAME, address=other.address)
        cas.append(Pebble(host, web_port=PEER))
        cas[-1].start()
    project = new_project(tmp_path)
    trust(project, *cas)
    inventory = "".join(
        f'[inventory.hosts.{host.name}]\ninner_address = "{host.address}:{PEER}"\n'
        for host in (one, two)
    )
    project.settings(settings(web_server, NAME) + inventory)
    both = f"{one.name},{two.name}"
    project.fab("setup", "-H", both)
    done = project.fab("deploy", "-H", both)
    assert served(one) != served(two), "each has its own"
    asked = [done.text.index(f"[{host.name}] … tls") for host in (one, two)]
    ended = [done.text.index(f"[{host.name}] ✓ tls") for host in (one, two)]
    assert ended[0] < asked[1] or ended[1] < asked[0], "never both at once"
    for host, other in ((one, two), (two, one)):
        folder = "/srv/shop/acme-webroot/.well-known/acme-challenge"
        host.sh(f"mkdir -p {folder}; echo {host.name} >{folder}/token-{host.name}")
        url = f"http://{NAME}/.well-known/acme-challenge/token-{host.name}"
        answer = curl(other, url, "--resolve", f"{NAME}:80:127.0.0.1")
        assert answer.endswith(f"{host.name}\n")
        nowhere = curl(host, url + "x", "--resolve", f"{NAME}:80:127.0.0.1")
        assert nowhere.startswith("HTTP/1.1 404 ")
        host.sh("rm -r /srv/shop/acme-webroot/.well-known")


@pytest.mark.parametrize("suite", ["bullseye", "trixie"])
def test_the_certbot_of_another_debian(
    web_server: Server, hosts: GetHosts, shop_host: LabHost, suite: str, tmp_path: Path
) -> None:
    """`fab setup` installs it. Pebble is bookworm's program."""
    host = hosts(suite=suite)[0]
    host.reset()
    pebble.knows(host, "ca.example.org", NAME)
    pebble.bring(shop_host, host)
    ca, project = Pebble(host), new_project(tmp_path)
    ca.start()
    trust(project, ca)
    project.settings(settings(web_server, NAME, more="redirect = false\n"))
    project.fab("setup", "-H", host.name)
    deploy(project, host)
    first = served(host)
    assert "nothing changed" in deploy(project, host)
    project.fab("tls.renew", "--dry-run", "-H", host.name)
    assert served(host) == first
    with visiting(host, LOAD) as visits:
        project.fab("tls.renew", "-H", host.name)
    assert served(host) != first
    assert visits.result["failed"] == 0, visits.result
    ca.stop()
    assert "Connection refused" in project.fab("tls.renew", "-H", host.name, code=4).text
    second = served(host)
    ca.start()
    host.sh(f"find {HOMES}/*/accounts -name '*.json' -exec truncate -s 0 {{}} +")
    project.fab("tls.renew", "-H", host.name)
    assert served(host) != second
    project.settings(settings(web_server, NAME, pebble.BLOCKED))
    assert "urn:ietf:params:acme:error:rejectedIdentifier: " in deploy(project, host, code=4)
    host.sh("apt-get -qq remove certbot >/dev/null 2>&1")
    said = project.fab("plan", "-H", host.name).text
    assert "the host has no certbot" in said
    project.fab("uninstall", "--yes", "-H", host.name)
    assert host.sh(f"ls -d {HOMES} ||:") == ""
