"""HTTPS that ends at the balancer: the certificate comes, changes and goes there, and the hosts
behind it serve plain HTTP."""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from cartwheel_lab import LabHost
from tests.kit import pebble
from tests.kit.bases import READY
from tests.kit.certificates import Issued, authority, certificate
from tests.kit.host import await_ends
from tests.kit.pebble import Pebble
from tests.kit.project import SHOP, Project, new_project
from tests.kit.visitors import at_front_page
from tests.kit.waiting import until
from tests.kit.web_servers import NGINX
from tests.lab.conftest import GetHosts
from tests.lab.test_streams import APP, said, websocket

pytestmark = pytest.mark.timeout(600)

NAME = "shop.example.org"
PEER = 3143  # inside a lab host: the web servers of the others
FILES = 'certificate = "shop.pem"\nkey = "shop.key"\nca = "root.pem"\n'


def settings(webs: list[LabHost], balancers: list[LabHost], tls: str, kind: str = "uvicorn") -> str:
    text = SHOP.replace("[gunicorn]\n", f'[gunicorn]\nkind = "{kind}"\n')
    text += f'[web]\nserver_names = ["{NAME}"]\n[balancer]\nkind = "nginx"\ndrain_seconds = 5\n'
    for host in webs:
        text += f'[inventory.hosts.{host.name}]\ninner_address = "{host.address}:{PEER}"\n'
    for host in balancers:
        text += f'[inventory.hosts.{host.name}]\ninner_address = "{host.address}:{PEER}"\n'
        text += 'roles = ["balancer"]\n'
    return text + (f"[tls]\n{tls}" if tls else "")


def release(project: Project, text: str) -> None:
    project.write("app/app.py", APP.format(text=text, much=1 << 20))
    project.write("app/requirements.txt", "websockets\n")


def bring(project: Project, issued: Issued, root: Issued) -> None:
    for name, text in (("shop.pem", issued.pem), ("shop.key", issued.key), ("root.pem", root.pem)):
        (project.folder / name).write_text(text)


def served(host: LabHost) -> str:
    """The certificate that a visitor of this host gets; "" without HTTPS."""
    ask = f"openssl s_client -connect 127.0.0.1:443 -servername {NAME} </dev/null 2>/dev/null"
    return host.sh(f"{ask} | openssl x509 2>/dev/null ||:")


def curl(host: LabHost, url: str, *options: str) -> str:
    words = ["curl", "-sSik", f"--resolve {NAME}:443:127.0.0.1", f"--resolve {NAME}:80:127.0.0.1"]
    return host.sh(" ".join([*words, *options, url])).replace("\r", "")


@pytest.fixture(scope="module")
def pair(hosts: GetHosts) -> list[LabHost]:
    """A host, and a balancer in front of it."""
    both = hosts(2, packages=READY)
    for host in both:
        host.reset()
    return both


def test_https_ends_at_the_balancer(
    pair: list[LabHost], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """With the operator's files: begun and changed by `balancer.setup`."""
    web, balancer = pair
    project, root = new_project(tmp_path_factory.mktemp("shop")), authority()
    one, two = (certificate(NAME, by=root) for _each in range(2))
    bring(project, one, root)
    project.settings(settings([web], [balancer], FILES, "wsgi"))
    project.fab("setup")
    told = project.fab("deploy").text
    assert re.search(r"the certificate ends on \S+, in 79 days", told), told
    assert (served(balancer), served(web)) == (one.pem, "")
    assert curl(balancer, f"https://{NAME}/").startswith("HTTP/2 200")
    assert curl(balancer, f"http://{NAME}/x").startswith("HTTP/1.1 301 ")
    bring(project, two, root)
    project.fab("balancer.setup")
    assert served(balancer) == two.pem


@pytest.mark.nightly
def test_from_hosts_to_balancers(
    pair: list[LabHost], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A host that serves HTTPS goes on until the balancers do."""
    for host in pair:
        host.reset()
    web, balancer = pair
    project, root = new_project(tmp_path_factory.mktemp("shop")), authority()
    one = certificate(NAME, by=root)
    release(project, "one")
    bring(project, one, root)
    behind = settings([web], [balancer], FILES)
    project.settings(behind.replace('kind = "nginx"', 'kind = "none"'))
    project.fab("setup", "-H", web.name)
    project.fab("deploy", "-H", web.name)
    assert served(web) == one.pem
    project.settings(behind.replace(FILES, FILES + "redirect = false\n"))
    project.fab("setup", "-H", balancer.name)
    balancer.sh("rm /srv/shop/tls/balancer.conf; systemctl reload nginx")
    kept = project.fab("deploy").text
    assert f"goes on until {balancer.name} serves it: `fab balancer.setup`" in (
        project.fab("plan").text
    ), kept
    assert served(web) == one.pem
    project.fab("balancer.setup")
    assert served(balancer) == one.pem
    assert "nothing to do" in project.fab("balancer.setup").text
    shown = project.fab("tls.status").text
    assert re.search(rf"{balancer.name} +deploy +{NAME} .* 79 +yes", shown), shown
    project.fab("deploy")
    assert served(web) == "", "it does not serve HTTPS any more"
    for task in ("balancer.status", "status", "doctor"):
        assert "in 79 days" in project.fab(task, code=None).text
    project.settings(settings([web], [balancer], ""))
    project.fab("balancer.setup")
    assert served(balancer) == ""
    assert curl(balancer, f"http://{NAME}/").endswith("one")


@pytest.mark.nightly
def test_an_uninstall_leaves_nothing_of_it(
    pair: list[LabHost], tmp_path_factory: pytest.TempPathFactory
) -> None:
    web, balancer = pair
    project, root = new_project(tmp_path_factory.mktemp("shop")), authority()
    release(project, "one")
    bring(project, certificate(NAME, by=root), root)
    project.settings(settings([web], [balancer], FILES))
    project.fab("setup")
    assert served(balancer) != ""
    project.fab("uninstall", "--yes", "-H", balancer.name)
    assert served(balancer) == ""
    places = "/etc /srv /run/cartwheel /usr/local /var/lib/cartwheel /var/log/nginx"
    assert balancer.sh(f"find {places} -name '*cartwheel*' -o -name '*shop*' || true") == ""


@pytest.mark.nightly
@pytest.mark.parametrize("suite", ["bullseye", "trixie"])
def test_other_suites(hosts: GetHosts, tmp_path: Path, suite: str) -> None:
    """nginx 1.18 and 1.26."""
    web, balancer = hosts(2, suite)
    for host in (web, balancer):
        host.reset()
    project, root = new_project(tmp_path), authority()
    one = certificate(NAME, by=root)
    release(project, "one")
    bring(project, one, root)
    project.settings(settings([web], [balancer], FILES + "hsts_seconds = 300\n"))
    project.fab("setup")
    project.fab("deploy")
    for host in (web, balancer):
        assert "warn" not in host.sh("nginx -t 2>&1")
    assert served(balancer) == one.pem
    answer = curl(balancer, f"https://{NAME}/")
    assert answer.startswith("HTTP/2 200")
    assert "strict-transport-security: max-age=300\n" in answer
    with websocket(balancer, ssl.create_default_context(cadata=root.pem)) as one_socket:
        assert said(one_socket) == "one"
    project.fab("uninstall", "--yes", "-H", balancer.name)
    assert served(balancer) == ""


# -- a fleet, with certificates from an authority: one story in order


@dataclass
class Fleet:
    webs: list[LabHost]
    balancers: list[LabHost]
    cas: list[Pebble]
    project: Project

    def settings(self, more: str = "") -> None:
        tls = f'acme = true\ndirectory = "{pebble.DIRECTORY}"\nca = "root.pem"\n{more}'
        self.project.settings(settings(self.webs, self.balancers, tls))

    def trust(self) -> None:
        (self.project.folder / "root.pem").write_text("".join(one.roots for one in self.cas))


@pytest.fixture(scope="module")
def fleet(hosts: GetHosts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """An authority on each balancer always asks the other one."""
    four = hosts(4, packages=pebble.packages(NGINX))
    webs, balancers = four[:2], four[2:]
    cas: list[Pebble] = []
    for host in four:
        host.reset()
    for host, other in zip(balancers, reversed(balancers), strict=True):
        pebble.knows(host, "ca.example.org")
        pebble.knows(host, NAME, address=other.address)
        cas.append(Pebble(host, web_port=PEER))
        cas[-1].start()
    project = new_project(tmp_path_factory.mktemp("shop"))
    one = Fleet(webs, balancers, cas, project)
    release(project, "one")
    one.trust()
    one.settings()
    yield one


@pytest.mark.nightly
def test_an_authority_that_gives_none(fleet: Fleet) -> None:
    """The balancers serve plain HTTP without a redirect; the next run, or the timer, asks again."""
    for ca in fleet.cas:
        ca.stop()
    said_ = fleet.project.fab("setup", code=4).text
    assert "Connection refused" in said_
    for ca in fleet.cas:
        ca.start()
    fleet.trust()
    told = fleet.project.fab("deploy").text
    assert "https: there is no certificate yet" in told
    for balancer in fleet.balancers:
        assert curl(balancer, f"http://{NAME}/").startswith("HTTP/1.1 200 ")
    fleet.project.fab("balancer.status", code=1)


@pytest.mark.nightly
def test_first_certificates_from_an_authority(fleet: Fleet) -> None:
    done = fleet.project.fab("setup").text
    one, two = fleet.balancers
    assert served(one) and served(two) and served(one) != served(two), done
    assert [served(web) for web in fleet.webs] == ["", ""]
    fleet.project.fab("deploy")
    for balancer in fleet.balancers:
        assert curl(balancer, f"https://{NAME}/").startswith("HTTP/2 200")
    before = [ca.orders() for ca in fleet.cas]
    assert "nothing to do" in fleet.project.fab("balancer.setup").text
    assert [ca.orders() for ca in fleet.cas] == before
    shown = fleet.project.fab("tls.status").text
    assert shown.count(f"acme {pebble.DIRECTORY}") == 2
    first = served(one)
    assert "would give" in fleet.project.fab("tls.renew", "--dry-run").text
    assert served(one) == first
    fleet.project.fab("tls.renew", "-H", one.name)
    assert served(one) != first
    wrong = fleet.project.fab("tls.renew", "-H", fleet.webs[0].name, code=2).text
    assert "HTTPS ends at the balancers" in wrong


@pytest.mark.nightly
def test_a_renewal_under_load_fails_no_request(fleet: Fleet) -> None:
    for ca in fleet.cas:
        ca.stop()
        ca.start(days=24 / 86400)
    fleet.trust()
    fleet.settings("redirect = false\n")
    fleet.project.fab("balancer.setup")
    one = fleet.balancers[0]
    for balancer in fleet.balancers:
        balancer.sh("rm -rf /var/lib/cartwheel/acme/*/live/shop")
    fleet.project.fab("tls.renew")
    short = served(one)
    with at_front_page(one, slow=0, host=NAME) as load:
        due = "openssl x509 -checkend 7 -in /srv/shop/tls/live/fullchain.pem"
        until(lambda: "will expire" in one.sh(f"{due} ||:"), 40, shown="the end is near")
        one.sh('sed -i \'s/"time": .*/"time": 0/\' /srv/shop/tls/tried.json')
        one.sh("systemctl start cartwheel-shop_tls.service")
        assert served(one) != short
        time.sleep(1)
    load.assert_served_by({"one"})
    for ca in fleet.cas:
        ca.stop()
        ca.start()
    fleet.trust()
    fleet.settings("redirect = false\n")
    fleet.project.fab("tls.renew")


@dataclass
class Visitor(threading.Thread):
    """A browser at a balancer, over HTTPS: it opens its websocket again as soon as it is closed."""

    host: LabHost
    context: ssl.SSLContext
    greetings: list[str] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    problems: list[BaseException] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    # The identity of the thread, which threading keeps in sets.
    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        closed = 0.0
        try:
            while not self.ended.is_set():
                with websocket(self.host, self.context) as one:
                    self.greetings.append(said(one))
                    if closed:
                        self.gaps.append(time.monotonic() - closed)
                    self._stay(one)
                closed = time.monotonic()
        except BaseException as error:
            self.problems.append(error)

    def _stay(self, one: ClientConnection) -> None:
        while not self.ended.is_set():
            try:
                one.recv(0.2)
            except TimeoutError:
                continue
            except ConnectionClosed:
                return


@contextmanager
def browsing(visitors: list[Visitor]) -> Iterator[None]:
    for visitor in visitors:
        visitor.start()
    until(lambda: all(one.greetings or one.problems for one in visitors), shown="the websockets")
    try:
        yield
    finally:
        for visitor in visitors:
            visitor.ended.set()
        for visitor in visitors:
            visitor.join(20)


@pytest.mark.nightly
def test_deploys_under_load_with_websockets_and_a_stream(fleet: Fleet) -> None:
    """No request fails; websockets are open again within a second; nobody waits for the stream."""
    one = fleet.balancers[0]
    context = ssl.create_default_context(cadata=fleet.cas[0].roots)
    stream = one.popen_in_netns(
        [
            "curl",
            "-sSNk",
            "-H",
            "Accept: text/event-stream",
            "-H",
            f"Host: {NAME}",
            "https://127.0.0.1/events",
        ],
        stdout=-1,
    )
    visitors = [Visitor(one, context) for _each in range(4)]
    try:
        with (
            browsing(visitors),
            at_front_page(one, slow_seconds=0.3, host=NAME) as load,
        ):
            for text in ("two", "three"):
                release(fleet.project, text)
                said_ = fleet.project.fab("deploy").text
                assert "requests still running" not in said_
            until(lambda: all(v.greetings[-1] == "three" for v in visitors), 20, shown="three")
        load.assert_served_by({"one", "two", "three"})
        for visitor in visitors:
            assert visitor.problems == []
            print("open again after", [round(gap, 3) for gap in visitor.gaps])
            assert max(visitor.gaps) < 1.0
    finally:
        stream.kill()
        stream.communicate()
    for web in fleet.webs:
        await_ends(web, "shop")


@contextmanager
def https_load(host: LabHost) -> Iterator[list[str]]:
    """Ask over HTTPS, on a new connection each time; the statuses, or why there was none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    found: list[str] = []
    ended = threading.Event()

    def ask() -> None:
        where = (host.address, host.https_port)
        while not ended.wait(0.02):
            try:
                with (
                    socket.create_connection(where, 10) as line,
                    context.wrap_socket(line, server_hostname=NAME) as secure,
                ):
                    secure.sendall(f"GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
                    found.append(secure.recv(100).split()[1].decode())
            except (OSError, IndexError) as error:
                found.append(repr(error))

    visitors = [threading.Thread(target=ask, daemon=True) for _each in range(3)]
    for visitor in visitors:
        visitor.start()
    try:
        yield found
    finally:
        ended.set()
        for visitor in visitors:
            visitor.join(15)


@pytest.mark.nightly
def test_back_to_the_hosts_and_to_the_balancers_again(fleet: Fleet) -> None:
    """The names lead to the balancers all the time: they pass challenges and requests on."""
    project, one = fleet.project, fleet.balancers[0]
    for host, other in zip(fleet.webs, fleet.balancers, strict=True):
        pebble.knows(host, "ca.example.org")
        pebble.knows(host, NAME, address=other.address)
        fleet.cas.append(Pebble(host, web_port=PEER))
        fleet.cas[-1].start()
    fleet.trust()
    fleet.settings()
    behind = project.folder / "config/deploy.toml"
    before, kept = behind.read_text(), served(one)
    behind.write_text(before.replace('kind = "nginx"', 'kind = "none"'))
    with https_load(one) as load:
        project.fab("deploy")
        hosts = [served(web) for web in fleet.webs]
        assert all(hosts) and hosts[0] != hosts[1]
        assert served(one) == kept
        time.sleep(1)
        behind.write_text(before)
        project.fab("balancer.setup")
        project.fab("deploy")
        assert [served(web) for web in fleet.webs] == ["", ""]
        time.sleep(1)
    assert len(load) > 50
    assert set(load) == {"200"}
