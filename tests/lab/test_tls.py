"""HTTPS on a real host: from the first deploy to the last, one story in order."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from cartwheel_lab import LabHost
from tests.kit.certificates import Issued, authority, certificate
from tests.kit.host import await_sessions, current, journal, main_pids
from tests.kit.project import SHOP, Project, new_project
from tests.kit.waiting import until
from tests.kit.web_servers import Server

pytestmark = pytest.mark.timeout(300)

NAME = "shop.example.org"
ROOT = authority()
MIDDLE = authority("Test Intermediate", by=ROOT)
ONE, TWO, THREE = (certificate(NAME, by=MIDDLE) for _each in range(3))
TLS = '[tls]\ncertificate = "shop.pem"\nkey = "shop.key"\nca = "root.pem"\n'
HOST_PEM, HOST_KEY = "/etc/ssl/shop.pem", "/etc/ssl/shop.key"
ON_HOST = f'[tls]\nhost_certificate = "{HOST_PEM}"\nhost_key = "{HOST_KEY}"\nhsts_seconds = 300\n'
APP = """
import json
TEXT = {text!r}
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    kept = {{k: v for k, v in environ.items() if k.startswith("HTTP_") or k == "wsgi.url_scheme"}}
    return [json.dumps({{"text": TEXT, "environ": kept}}).encode()]
"""


def site(server: Server, tls: str = "") -> str:
    """The settings."""
    return SHOP + server.web + f'server_names = ["{NAME}"]\n' + tls


def write_pair(project: Project, one: Issued) -> None:
    (project.folder / "shop.pem").write_text(one.pem + MIDDLE.pem)
    (project.folder / "shop.key").write_text(one.key)


def release(project: Project, text: str) -> None:
    project.write("app/app.py", APP.format(text=text))


@pytest.fixture(scope="module")
def project(
    web_server: Server, web_host: LabHost, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    project = new_project(tmp_path_factory.mktemp("shop"))
    (project.folder / "root.pem").write_text(ROOT.pem)
    write_pair(project, ONE)
    release(project, "one")
    project.settings(site(web_server, TLS))
    project.fab("setup", "-H", web_host.name)
    yield project


def curl(host: LabHost, url: str, *options: str) -> str:
    """Head and body, verified with the CA's root."""
    host.sh(f"test -e /tmp/root.pem || cat >/tmp/root.pem <<'.'\n{ROOT.pem}.")
    ports = [f"--resolve {NAME}:{port}:127.0.0.1" for port in (80, 443)]
    words = ["curl", "-sSi", "--cacert /tmp/root.pem", *ports, *options, url]
    return host.sh(" ".join(words)).replace("\r", "")


def served(host: LabHost) -> str:
    """The certificate that a visitor gets."""
    ask = f"openssl s_client -connect 127.0.0.1:443 -servername {NAME} </dev/null 2>/dev/null"
    return host.sh(f"{ask} | openssl x509")


def is_served(host: LabHost, one: Issued) -> bool:
    return served(host) == one.pem


def footprint(server: Server, host: LabHost) -> str:
    places = f"/srv/shop/tls {server.etc} /etc/systemd/system"
    return host.sh(f"find {places} -printf '%p %m %l %s\\n' | sort")


def deploy(project: Project, host: LabHost, code: int = 0) -> str:
    return project.fab("deploy", "-H", host.name, code=code).text


def tls_status(project: Project, host: LabHost) -> str:
    return project.fab("tls.status", "-H", host.name).text


def test_a_first_deploy_serves_https(
    web_server: Server, project: Project, web_host: LabHost
) -> None:
    planned = project.fab("plan", "-H", web_host.name).text
    assert f"tls: begins to serve {NAME} until " in planned
    assert re.search(r"steps: .*, tls$", planned, re.MULTILINE)
    deploy(project, web_host)
    head, _, body = curl(web_host, f"https://{NAME}/").partition("\n\n")
    assert head.startswith("HTTP/2 200")
    environ = json.loads(body)["environ"]
    assert environ["wsgi.url_scheme"] == environ["HTTP_X_FORWARDED_PROTO"] == "https"
    assert environ["HTTP_X_FORWARDED_PORT"] == "443"
    plain = curl(web_host, f"'http://{NAME}/a?b=1'")
    assert plain.startswith("HTTP/1.1 301 ")
    assert f"Location: https://{NAME}/a?b=1\n" in plain
    assert curl(web_host, f"https://{NAME}/", "--http1.1").startswith("HTTP/1.1 200 OK")
    modes = web_host.sh("cd /srv/shop && stat -c '%n %a %U:%G' tls tls/*/* tls/site.conf")
    assert set(modes.splitlines()) >= {"tls 700 root:root", "tls/site.conf 600 root:root"}
    assert [line.split()[1:] for line in modes.splitlines() if line.split()[0][-4:] == ".pem"] == [
        ["600", "root:root"]
    ] * 4, "both files, once more through the link"
    assert web_server.warnings(web_host) == []
    shown = tls_status(project, web_host)
    assert re.search(rf"deploy +{NAME} +Test Intermediate +20\d\d-\d\d-\d\d +79 +yes", shown), shown
    well = project.fab("status", "-H", web_host.name).text
    assert "healthy" in well
    assert "the certificate ends on" in project.fab("doctor", "-H", web_host.name).text
    assert ("tls", "done") in [(one["kind"], one["result"]) for one in journal(web_host, "shop")]


def test_an_unchanged_deploy_touches_nothing(
    web_server: Server, project: Project, web_host: LabHost
) -> None:
    before = (
        web_server.reloads(web_host),
        footprint(web_server, web_host),
        main_pids(web_host, "shop"),
    )
    assert f"tls: serves {NAME} until " in project.fab("plan", "-H", web_host.name).text
    project.fab("plan", "-H", web_host.name, "--exit-code", code=0)
    assert "nothing changed" in deploy(project, web_host)
    assert before == (
        web_server.reloads(web_host),
        footprint(web_server, web_host),
        main_pids(web_host, "shop"),
    )


@pytest.mark.nightly
def test_units_that_somebody_took_away_come_again(project: Project, web_host: LabHost) -> None:
    timer = "cartwheel-shop_tls.timer"
    web_host.sh(f"systemctl disable --now {timer}; rm /etc/systemd/system/{timer}")
    assert "its units are not whole" in project.fab("plan", "-H", web_host.name).text
    deploy(project, web_host)
    assert web_host.sh(f"systemctl is-active {timer}") == "active\n"
    assert "nothing changed" in deploy(project, web_host)


def test_a_renewed_certificate_is_one_reload(
    web_server: Server, project: Project, web_host: LabHost
) -> None:
    write_pair(project, TWO)
    project.fab("plan", "-H", web_host.name, "--exit-code", code=10)
    count, pids = web_server.reloads(web_host), main_pids(web_host, "shop")
    said = deploy(project, web_host)
    assert f"tls: another certificate, serves {NAME} until " in said
    assert served(web_host) == TWO.pem
    assert (web_server.reloads(web_host), main_pids(web_host, "shop")) == (count + 1, pids)
    assert len(web_host.sh("ls -d /srv/shop/tls/????????????").split()) == 1


def test_the_key_shows_nowhere(project: Project, web_host: LabHost) -> None:
    secret = TWO.key.splitlines()[1]
    shown = [
        project.fab(*words, "-H", web_host.name).text
        for words in (("--debug", "plan", "--json"), ("--debug", "deploy"), ("history",))
    ]
    assert not [text for text in shown if secret in text]
    kept = [path for path in (project.folder / "state").rglob("*") if path.is_file()]
    assert not [path for path in kept if secret in path.read_text(errors="replace")]
    places = "/srv /var/log /etc /tmp /var/tmp /run/systemd /var/lib/cartwheel"
    found = web_host.sh(f"grep -rlF -e '{secret}' {places} 2>/dev/null || true").splitlines()
    assert {re.sub("/[0-9a-f]{12}/", "/SET/", path) for path in found} == {
        "/srv/shop/tls/SET/key.pem"
    }
    assert secret not in web_host.sh("journalctl --no-pager -o cat")


def test_a_broken_pair_never_reaches_the_host(
    web_server: Server, project: Project, web_host: LabHost
) -> None:
    before = footprint(web_server, web_host)
    (project.folder / "shop.key").write_text(ONE.key)
    assert "is not the key of this certificate" in deploy(project, web_host, code=2)
    (project.folder / "shop.pem").write_text(TWO.pem)
    assert "lacks the certificate of Test Intermediate" in deploy(project, web_host, code=2)
    project.fab("config.check", code=2)
    assert (footprint(web_server, web_host), served(web_host)) == (before, TWO.pem)
    write_pair(project, TWO)


def test_what_the_web_server_refuses_leaves_all_as_it_was(
    web_server: Server, project: Project, web_host: LabHost
) -> None:
    """The release is live all the same, and the exit code asks for a person."""
    before = footprint(web_server, web_host)
    template = f"{web_server.name}-tls.conf.j2"
    text = f'{{% include "cartwheel/{template}" %}}{web_server.tls_mistake}\n'
    project.write(f"templates/{template}", text)
    said = deploy(project, web_host, code=4)
    assert web_server.tls_mistake_said in said
    assert (footprint(web_server, web_host), served(web_host)) == (before, TWO.pem)
    (project.folder / "templates" / template).unlink()
    assert "nothing changed" in deploy(project, web_host)


def test_a_port_that_is_taken_is_refused(
    web_server: Server, project: Project, web_host: LabHost
) -> None:
    web_host.sh("systemd-run --unit=other python3 -m http.server 8443")
    until(lambda: ":8443" in web_host.sh("ss -Hltn"), shown="the other program")
    project.settings(site(web_server, TLS + "listen = 8443\n"))
    said = deploy(project, web_host, code=1)
    assert "port 8443 (tls.listen) is used by python3" in said
    web_host.sh("systemctl stop other")
    project.settings(site(web_server, TLS))
    assert served(web_host) == TWO.pem


@pytest.mark.nightly
def test_a_rollback_keeps_https(project: Project, web_host: LabHost) -> None:
    first = current(web_host, "shop")
    release(project, "two")
    write_pair(project, THREE)
    deploy(project, web_host)
    assert served(web_host) == THREE.pem
    project.fab("rollback", "-H", web_host.name)
    assert current(web_host, "shop") == first
    assert served(web_host) == THREE.pem
    assert '"text": "one"' in curl(web_host, f"https://{NAME}/")


def test_a_session_that_is_killed_leaves_work_for_the_next(
    web_server: Server, project: Project, web_host: LabHost
) -> None:
    """As if it had been killed after it moved the files."""
    await_sessions(web_host)  # the end of one puts in order what it finds
    before = footprint(web_server, web_host)
    web_host.sh(
        "cd /srv/shop/tls && cp -a $(readlink live) 0123456789ab && python3 - <<'.'\n"
        "import json, os; mark = {'live': os.readlink('live'), 'site': open('site.conf').read()}\n"
        "json.dump(mark, open('pending.json', 'w'))\n.\n"
        f"echo '{web_server.tls_mistake}' >>site.conf && ln -sfn 0123456789ab live"
    )
    said = project.fab("doctor", "--fix", "-H", web_host.name, code=None).text
    assert footprint(web_server, web_host) == before, said
    assert web_server.warnings(web_host) == []


def test_files_of_the_host_are_followed(
    web_server: Server, project: Project, web_host: LabHost
) -> None:
    put(web_host, ONE)
    project.settings(site(web_server, ON_HOST))
    deploy(project, web_host)
    assert served(web_host) == ONE.pem
    assert "strict-transport-security: max-age=300\n" in curl(web_host, f"https://{NAME}/")
    assert web_host.sh("ls /srv/shop/tls").split() == ["site.conf"]
    put(web_host, TWO)
    until(lambda: served(web_host) == TWO.pem, 20, shown="the path unit")
    shown = tls_status(project, web_host)
    assert re.search(rf"{HOST_PEM} +{NAME} .* yes", shown), shown
    # While the program runs it looks again; the test is about a change that nobody notices.
    web_host.sh("systemctl stop cartwheel-shop_tls.path cartwheel-shop_tls.service")
    put(web_host, THREE)
    assert "another, until" in tls_status(project, web_host)
    said = project.fab("status", "-H", web_host.name, code=1).text
    assert "another certificate is served than" in said
    web_host.sh("systemctl start cartwheel-shop_tls.service")  # as the timer does
    assert served(web_host) == THREE.pem
    assert "active" in web_host.sh("systemctl is-active cartwheel-shop_tls.timer")


def put(host: LabHost, one: Issued) -> None:
    """The key last, so that in between they do not fit."""
    host.sh(f"cat >{HOST_PEM} <<'.'\n{one.pem}{MIDDLE.pem}.")
    host.sh(f"cat >{HOST_KEY} <<'.'\n{one.key}.")


ANOTHER = f"cat >{HOST_PEM} <<'.'\n{ONE.pem}{MIDDLE.pem}."
WEAK = "openssl req -x509 -newkey rsa:1024 -nodes -days 90 -subj /CN=x 2>/dev/null"


@pytest.mark.nightly
@pytest.mark.parametrize(
    "put_another",
    [ANOTHER, f"{ANOTHER}\necho garbage >{HOST_KEY}", f"{WEAK} -keyout {HOST_KEY} -out {HOST_PEM}"],
    ids=["no-pair", "garbage", "too-weak"],
)
def test_a_pair_of_the_host_that_is_unusable_is_never_loaded(
    web_server: Server, project: Project, web_host: LabHost, put_another: str
) -> None:
    """Apache's own test accepts it, and a reload would end Apache."""
    before = (served(web_host), web_server.reloads(web_host))
    unit = "cartwheel-shop_tls.service"
    web_host.sh(f"{put_another}\nsystemctl start {unit} ||:")
    assert web_host.sh(f"systemctl is-failed {unit} ||:") == "failed\n"
    said = web_host.sh(f"journalctl --sync; journalctl -u {unit} -n 20 -o cat --no-pager")
    assert f"shop: {web_server.name} rejects its configuration: " in said
    assert "/etc/ssl/shop." in said
    told = project.fab("status", "-H", web_host.name, code=1).text
    assert "AT RISK" in told and "/etc/ssl/shop." in told
    told = project.fab(f"{web_server.name}.reload", "-H", web_host.name, code=1).text
    assert "/etc/ssl/shop." in told
    assert (served(web_host), web_server.reloads(web_host)) == before
    put(web_host, THREE)
    web_host.sh(f"systemctl start {unit}")
    assert served(web_host) == before[0]


@pytest.mark.nightly
def test_links_are_followed_too(project: Project, web_host: LabHost) -> None:
    """As certbot has them: a renewal is another file, and another target of the link."""
    for number, one in enumerate((TWO, ONE), 1):
        new = f"/etc/ssl/archive{number}"
        web_host.sh(f"cp {HOST_PEM} {new}.pem; cp {HOST_KEY} {new}.key")
        web_host.sh(f"cat >{new}.pem <<'.'\n{one.pem}{MIDDLE.pem}.")
        web_host.sh(f"cat >{new}.key <<'.'\n{one.key}.")
        web_host.sh("systemctl start cartwheel-shop_tls.path")
        web_host.sh(f"ln -sf {new}.key {HOST_KEY}; ln -sf {new}.pem {HOST_PEM}")
        until(partial(is_served, web_host, one), 20, shown=f"link {number}")


def test_without_the_table_https_ends(
    web_server: Server, project: Project, web_host: LabHost
) -> None:
    project.settings(site(web_server))
    assert "tls: is removed" in project.fab("plan", "-H", web_host.name).text
    deploy(project, web_host)
    assert ":443" not in web_host.sh("ss -Hltn")
    assert curl(web_host, f"http://{NAME}/").startswith("HTTP/1.1 200 ")
    assert web_host.sh("ls -d /srv/shop/tls /etc/systemd/system/*_tls* || true") == ""
    assert "nothing to show" in tls_status(project, web_host)
    assert Path(HOST_PEM).name in web_host.sh(f"ls {HOST_PEM}"), "that is somebody else's"


def test_an_uninstall_leaves_nothing(
    web_server: Server, project: Project, web_host: LabHost
) -> None:
    write_pair(project, THREE)
    project.settings(site(web_server, TLS))
    deploy(project, web_host)
    assert served(web_host) == THREE.pem
    project.fab("uninstall", "--yes", "-H", web_host.name)
    found = web_host.sh(f"find /srv /etc/systemd /var/lib/systemd {web_server.etc}").splitlines()
    assert not [line for line in found if "shop" in line or "cartwheel" in line]
