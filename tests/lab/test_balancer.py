"""Three hosts behind nginx and HAProxy on a fourth: nobody notices a deploy, and no host stays
out, whatever dies."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from cartwheel.errors import Exit
from cartwheel_lab import LabHost
from tests.kit.bases import READY
from tests.kit.fab import fab
from tests.kit.host import await_sessions, current
from tests.kit.project import Done
from tests.kit.shop import Shop, new_shop
from tests.kit.tiers import is_nightly, tiered
from tests.kit.visitors import KINDS, loaded
from tests.kit.waiting import until
from tests.kit.web_servers import NGINX, Server
from tests.lab.conftest import GetHosts
from tests.lab.test_streams import APP, RESTARTED, asks, closed_with, said, websocket

pytestmark = pytest.mark.timeout(400)

PEERS = 3143  # inside a lab host: the web servers of the others
HAPROXY = 8001
OUT = ("out of the balancer", "done")

LIVE = """
[fleet]
batch = 1
[balancer]
kind = "{kind}"
drain_seconds = 4
timeout_seconds = 10
haproxy_backend = "shop"
haproxy_socket = "{socket}"
[inventory.hosts.{balancer}]
roles = ["balancer"]
inner_address = "{address}"
"""

HAPROXY_CONFIG = """
global
    stats socket /run/haproxy/admin.sock mode 660 level admin
    user haproxy
    group haproxy
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    option forwardfor
    option redispatch
frontend front
    bind :{port}
    default_backend shop
backend shop
    balance roundrobin
    option httpchk GET /healthz
    http-request set-header X-Forwarded-Proto https
{servers}
"""


class Behind:
    """The shop on several hosts, and the balancers in front of them."""

    def __init__(self, hosts: list[LabHost], shop: Shop, server: Server = NGINX) -> None:
        *self.webs, self.balancer = hosts
        self.shop, self.server = shop, server
        self.use("nginx")

    def use(self, kind: str, socket: str = "/run/haproxy/admin.sock") -> None:
        tables = "".join(
            f'[inventory.hosts.{web.name}]\ninner_address = "{web.address}:{PEERS}"\n'
            for web in self.webs
        )
        live = LIVE.format(
            kind=kind,
            socket=socket,
            balancer=self.balancer.name,
            address=self.balancer.address,
        )
        self.shop.project.settings(self.server.web + live + tables, "config/environments/live.toml")

    def code(self) -> str:
        return self.shop.code()

    def fab(self, *words: str, code: int | None = 0) -> Done:
        return self.shop.project.fab(*words, "--env", "live", code=code)

    @property
    def releases(self) -> list[str]:
        return [current(web, "shop.live") for web in self.webs]

    def states(self) -> dict[str, bool | None]:
        """Who is in, as the balancer says."""
        said = self.fab("balancer.status", "--json").out.splitlines()[-1]
        return {one["host"]: one["is_in"] for one in json.loads(said)["hosts"]}

    def links(self) -> set[str]:
        """Who is in, past Cartwheel."""
        found = self.balancer.sh("ls /srv/shop.live/balancer").split()
        return {name.removesuffix(".sock") for name in found if name.endswith(".sock")}

    def names(self) -> set[str]:
        return {web.name for web in self.webs}

    def asked(self, web: LabHost) -> int:
        """How many requests it has had, HAProxy's checks aside."""
        return int(web.sh(f"grep -c 'GET /seen' {self.server.access_log('shop.live')} || true"))

    def seen(self, host: LabHost, *curl: str) -> dict[str, Any]:
        found = host.exec(["curl", "-sS", "--max-time", "10", *curl])
        assert found.returncode == 0, found
        answer: dict[str, Any] = json.loads(found.stdout)
        return answer

    @contextmanager
    def visited(self) -> Iterator[None]:
        """Visitors of both balancers, of whom nobody notices anything."""
        with loaded(self.balancer, port=80) as one, loaded(self.balancer, port=HAPROXY) as other:
            yield
        for name, found in (("nginx", one.result), ("HAProxy", other.result)):
            shown = json.dumps(found, indent=1)
            print(name, "failed", found["failed"], "of", sum(found["sent"].values()), found["sent"])
            assert found["failed"] == 0, shown
            assert found["idle_closed"] == [], shown
            assert all(found["sent"].get(kind, 0) > 0 for kind in KINDS), shown


@pytest.fixture(scope="module")
def behind(
    request: pytest.FixtureRequest,
    hosts: GetHosts,
    web_server: Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Behind]:
    """Two hosts behind it; in the nightly run three."""
    webs = 3 if is_nightly(request) else 2
    every = hosts(webs + 1, packages=READY)
    if web_server is not NGINX:
        every = [*hosts(webs, packages=web_server.packages), every[-1]]
    for host in every:
        host.reset()
    behind = Behind(every, new_shop(tmp_path_factory.mktemp("behind")), web_server)
    behind.code()
    behind.fab("setup")
    behind.fab("deploy")
    servers = "".join(
        f"    server {web.name} {web.address}:{PEERS} check inter 500ms\n" for web in behind.webs
    )
    install_haproxy(behind.balancer, HAPROXY_CONFIG.format(port=HAPROXY, servers=servers))
    yield behind
    behind.balancer.reset()  # else it checks the others, whatever runs there next


def install_haproxy(host: LabHost, config: str) -> None:
    host.sh(
        "export DEBIAN_FRONTEND=noninteractive; apt-get -q update >/dev/null;"
        " apt-get -q -y --no-install-recommends install haproxy >/dev/null",
        timeout=200,
    )
    host.path("/etc/haproxy/haproxy.cfg").write_text(config)
    host.sh("systemctl restart haproxy")


@pytest.mark.parametrize("kind", tiered(["nginx", "haproxy"], nightly={"haproxy"}))
def test_nobody_notices_a_deploy(behind: Behind, kind: str) -> None:
    """Each host in turn is out, switches, is in again, and proves itself in traffic."""
    behind.use(kind)
    behind.fab("balancer.setup")
    behind.code()
    before = behind.releases
    with behind.visited():
        done = behind.fab("deploy", "--json")
    said = [json.loads(line) for line in done.out.splitlines()]
    order = [
        (one["host"], one["step"])
        for one in said
        if one.get("state") == "done" and one.get("step") in (OUT[0], "back in the balancer")
    ]
    assert order == [
        (web.name, step) for web in behind.webs for step in (OUT[0], "back in the balancer")
    ]
    assert len(set(behind.releases)) == 1 and behind.releases != before
    assert set(behind.states().values()) == {True}


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_a_release_that_fails_on_the_last_host(behind: Behind, kind: str) -> None:
    behind.use(kind)
    mark = behind.code()
    before = behind.releases
    ill = behind.webs[2].path(f"/srv/shop.live/shared/sick-{mark}")
    ill.touch()
    try:
        with behind.visited():
            behind.fab("deploy", code=Exit.REVERTED)
    finally:
        ill.unlink()
    assert behind.releases == before
    assert set(behind.states().values()) == {True}


@pytest.mark.nightly
def test_a_person_takes_a_host_out(behind: Behind) -> None:
    """It stays out, over a deploy and a reboot, until a person puts it back."""
    behind.use("nginx")
    first = behind.webs[0]
    with behind.visited():
        behind.fab("balancer.out", "-H", first.name)
    assert behind.links() == behind.names() - {first.name}
    asked = behind.asked(first)
    for _ in range(12):
        behind.seen(behind.balancer, "http://127.0.0.1/seen")
    assert behind.asked(first) == asked, "it gets nothing"
    behind.code()
    behind.fab("deploy", "-H", first.name)
    assert behind.states()[first.name] is False
    done = behind.fab("balancer.out", "-H", ",".join(behind.names()), code=Exit.USAGE)
    assert "CW802" in done.text
    behind.balancer.power_cut()
    behind.balancer.boot()
    assert behind.states()[first.name] is False
    until(lambda: http_answers(behind.balancer), shown="nginx after the boot")
    behind.fab("balancer.back", "-H", first.name)
    assert behind.links() == behind.names()


def http_answers(host: LabHost) -> bool:
    return host.exec(["curl", "-sf", "--max-time", "5", "http://127.0.0.1/healthz"]).returncode == 0


@pytest.mark.nightly
@pytest.mark.parametrize(
    "word",
    ["balancer.out", "balancer.back", "balancer.setup"],
)
def test_a_frozen_balancer_is_not_changed(behind: Behind, word: str) -> None:
    behind.use("nginx")
    on = ("-H", behind.balancer.name)
    behind.fab("lock.hold", *on, "--message", "no changes today")
    try:
        hosts = on if word == "balancer.setup" else ("-H", behind.webs[0].name)
        done = behind.fab(word, *hosts, code=Exit.LOCKED)
    finally:
        behind.fab("lock.release", *on)
    assert "(no changes today) [CW703]" in done.text
    assert behind.links() == behind.names()


def test_a_batch_must_leave_somebody_in(behind: Behind) -> None:
    behind.use("nginx")
    behind.code()
    done = behind.fab("deploy", "--canary", "0", "--batch", "100%", code=Exit.USAGE)
    assert "no host would be left in the balancer" in done.text and "CW802" in done.text
    assert behind.links() == behind.names()


@pytest.mark.nightly
def test_a_host_whose_web_server_is_down(behind: Behind) -> None:
    """Nothing was taken out; what can be sent again is sent to another host."""
    first = behind.webs[0]
    with loaded(behind.balancer, port=80, slow=0, upload=0, stream=0) as visits:
        first.sh(f"systemctl stop {behind.server.package}")
        time.sleep(2)
        first.sh(f"systemctl start {behind.server.package}")
        time.sleep(1)
    assert visits.result["failed"] == 0, visits.result["failures"]


@pytest.mark.parametrize("kind", tiered(["nginx", "haproxy"], nightly={"nginx"}))
def test_the_operator_dies_while_a_host_is_out(behind: Behind, kind: str) -> None:
    behind.use(kind)
    behind.code()
    before = behind.releases
    with behind.visited():
        with fab(behind.shop.project, "deploy", "--env", "live") as running:
            running.wait_for(OUT)
            os.kill(running.process.pid, signal.SIGKILL)
        until(lambda: set(behind.states().values()) == {True}, shown="the host to be back")
        for host in (*behind.webs, behind.balancer):
            await_sessions(host)
    assert behind.releases == before


@pytest.mark.nightly
def test_the_balancers_own_side_is_killed(behind: Behind) -> None:
    """`recover` puts back what it left out; the operator is told that a person must look."""
    behind.use("nginx")
    behind.code()
    before = behind.releases
    with fab(behind.shop.project, "deploy", "--env", "live") as running:
        running.wait_for(OUT)
        behind.balancer.sh("systemctl kill -s KILL 'cartwheel-session-*'")
        code = running.end()
    assert code == Exit.ATTENTION, running.errors
    assert "balancer-stuck" in {(one["error"] or {}).get("slug") for one in running.result["hosts"]}
    until(lambda: behind.links() == behind.names(), shown="the host to be back")
    assert behind.releases == before


def test_nginx_starts_again_after_it_was_killed(behind: Behind) -> None:
    """What it left of its sockets is not in its way."""
    behind.balancer.sh("systemctl kill -s KILL nginx")
    until(lambda: not http_answers(behind.balancer), shown="nginx to be gone")
    behind.balancer.sh("systemctl start nginx")
    until(lambda: http_answers(behind.balancer), shown="nginx")


def test_haproxy_that_does_not_answer(behind: Behind) -> None:
    behind.use("haproxy", socket="/run/haproxy/nobody.sock")
    behind.code()
    before = behind.releases
    done = behind.fab("deploy", code=Exit.FAILED)
    assert f"{behind.balancer.name}: HAProxy does not answer" in done.text
    assert "CW801" in done.text
    assert behind.releases == before


@pytest.mark.nightly
def test_a_rollback_needs_no_balancer(behind: Behind) -> None:
    behind.use("haproxy", socket="/run/haproxy/nobody.sock")
    before = behind.releases
    done = behind.fab("rollback")
    assert "continuing without the balancer" in done.text
    assert all(now != was for now, was in zip(behind.releases, before, strict=True))


@pytest.mark.nightly
def test_a_host_that_cannot_be_put_back(behind: Behind) -> None:
    """HAProxy ends while a host is out of it: the exit code says so, and the advice repairs it."""
    behind.use("haproxy")
    behind.code()
    before = behind.releases
    with fab(behind.shop.project, "deploy", "--env", "live") as running:
        running.wait_for(OUT)
        behind.balancer.sh("systemctl stop haproxy")
        code = running.end()
    assert code == Exit.ATTENTION
    first = next(one for one in running.result["hosts"] if one["host"] == behind.webs[0].name)
    assert (first["outcome"], first["error"]["slug"]) == ("attention", "balancer-stuck")
    assert behind.releases == before
    behind.balancer.sh("systemctl start haproxy")
    behind.fab("balancer.back", "-H", behind.webs[0].name)
    assert set(behind.states().values()) == {True}


@pytest.mark.nightly
def test_status_fails_where_the_balancer_sends_nothing_to_anybody(behind: Behind) -> None:
    for kind, slug in (("nginx", "not-well"), ("haproxy", "balancer")):
        behind.use(kind)
        behind.balancer.sh(f"systemctl stop {kind}")
        done = behind.fab("balancer.status", "--json", code=Exit.FAILED)
        (error,) = json.loads(done.out.splitlines()[-1])["errors"]
        assert (error["host"], error["slug"]) == (behind.balancer.name, slug)
        behind.balancer.sh(f"systemctl start {kind}")
        assert set(behind.states().values()) == {True}


def test_who_the_visitor_is_cannot_be_forged(behind: Behind) -> None:
    """The balancer is believed, and nobody else."""
    behind.use("nginx")
    first, second = behind.webs[:2]
    lies = ("X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https", "X-Real-IP: 6.6.6.6")
    forged = [word for lie in lies for word in ("-H", lie)]

    def told(host: LabHost, *curl: str) -> tuple[str, str, str]:
        seen = behind.seen(host, *forged, *curl)
        return seen["X-Forwarded-For"], seen["X-Forwarded-Proto"], seen["X-Real-IP"]

    visitor = ("--interface", "127.0.0.9")
    at = f"http://{first.address}:{PEERS}/seen"
    assert told(behind.balancer, *visitor, "http://127.0.0.1/seen") == (
        "127.0.0.9",
        "http",
        "127.0.0.9",
    )
    assert told(behind.balancer, *visitor, f"http://127.0.0.1:{HAPROXY}/seen") == (
        "127.0.0.9",
        "https",
        "127.0.0.9",
    )
    assert told(second, at) == (second.address, "http", second.address)
    assert told(first, "http://127.0.0.1/seen") == ("127.0.0.1", "http", "127.0.0.1")


@pytest.mark.nightly
def test_a_request_has_one_id_and_one_port_on_its_way(behind: Behind) -> None:
    """The balancer's, in all logs and in the app; not what a client or a stranger says."""
    behind.use("nginx")
    forged = ("-H", "X-Request-ID: forged-forged", "-H", "X-Forwarded-Port: 7777")
    seen = behind.seen(behind.balancer, *forged, "http://127.0.0.1/seen")
    assert re.fullmatch("[0-9a-f]{32}", seen["X-Request-ID"])
    assert (seen["X-Forwarded-Port"], seen["X-Forwarded-Host"]) == ("80", "127.0.0.1")
    at_host = behind.server.access_log("shop.live")
    at_balancer = NGINX.access_log("shop.live_balancer")

    def logged() -> list[str]:
        """How often each host has logged it, the balancer last."""
        places = [*((web, at_host) for web in behind.webs), (behind.balancer, at_balancer)]
        count = f"grep -c ' id={seen['X-Request-ID']} ' {{}} || true"
        return [host.sh(count.format(path)).strip() for host, path in places]

    until(lambda: sorted(logged()[:-1]) == ["0", "0", "1"], shown=logged)
    until(lambda: logged()[-1] == "1", shown=logged)
    straight = behind.seen(behind.webs[1], *forged, "http://127.0.0.1/seen")
    assert straight["X-Request-ID"] not in ("forged-forged", seen["X-Request-ID"])
    assert straight["X-Forwarded-Port"] == "80"


@pytest.mark.nightly
def test_websockets_pass_and_move(behind: Behind) -> None:
    """The deploy closes one with its code, and the next one finds the new release."""
    behind.use("nginx")
    project = behind.shop.project
    settings = project.folder / "config/deploy.toml"
    settings.write_text(settings.read_text().replace("threads = 8", 'kind = "uvicorn"'))
    project.write("app/requirements.txt", "websockets\n")
    project.write("app/app.py", APP.format(text="one", much=1))
    behind.fab("deploy")
    with websocket(behind.balancer) as one:
        assert (said(one), asks(one, "hello")) == ("one", "one: hello")
        project.write("app/app.py", APP.format(text="two", much=1))
        assert "1 connection of the old release was still open" in behind.fab("deploy").text
        assert closed_with(one) == RESTARTED
    with websocket(behind.balancer) as again:
        assert said(again) == "two"


def test_uninstall_takes_the_balancer_away(behind: Behind) -> None:
    """The last test: nothing of ours stays, and the distribution's site is back."""
    behind.use("nginx")
    behind.fab("uninstall", "--yes", "-H", behind.balancer.name)
    await_sessions(behind.balancer)
    places = "/etc /srv /run/cartwheel /usr/local /var/lib/cartwheel /var/log/nginx"
    left = behind.balancer.sh(f"find {places} -name '*cartwheel*' -o -name '*shop*' || true")
    assert left == ""
    assert "Welcome to nginx" in behind.balancer.sh("curl -sS http://127.0.0.1/")
