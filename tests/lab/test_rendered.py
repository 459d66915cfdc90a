"""The rendered files on a real host: the hardened unit serves behind nginx."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cartwheel.host.layout import Layout, first_of
from cartwheel.host.system import envfile
from cartwheel.host.web.nginx import Nginx
from cartwheel.host.wire.tls import CHAIN, KEY
from cartwheel.render.release import SITE, RenderFacts, TlsFacts, render_release, render_tls
from cartwheel.settings import names
from cartwheel.settings.toml_tables import Settings, Tls, Web
from cartwheel_lab import LabHost
from tests.kit.bases import READY
from tests.kit.certificates import certificate
from tests.kit.tiers import tiered
from tests.lab.conftest import GetHosts

RELEASE = "1.0.ab12"
SETTINGS = Settings.model_validate(
    {
        "app": {"name": "shop", "source": ".", "entry": "app:app"},
        "environment": "live",
        "gunicorn": {"threads": 4, "access_log": True},
    }
)
AT = Layout(SETTINGS.slug)
USER, GROUP = names.user(SETTINGS), names.group(SETTINGS)

# What an ordinary application does: threads, a file of its own, /tmp, a child process.
APP = """
import json, os, subprocess, tempfile, threading
def can(work):
    try:
        work()
    except OSError as error:
        return type(error).__name__
    return "yes"
def app(environ, start_response):
    thread = threading.Thread(target=lambda: None); thread.start(); thread.join()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({
        "shared": can(lambda: open("data.txt", "w").write("x")),
        "tmp": can(lambda: tempfile.TemporaryFile().close()),
        "child": subprocess.run(["id", "-un"], capture_output=True, text=True).stdout.strip(),
        "release": can(lambda: open(os.environ["VIRTUAL_ENV"] + "/x", "w")),
        "etc": can(lambda: open("/etc/x", "w")),
        "env": can(lambda: open(os.environ["VIRTUAL_ENV"] + "/../env")),
        "secret": os.environ["SECRET"],
        "cwd": os.getcwd(),
    }).encode()]
"""

PREPARE = f"""
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qqy --no-install-recommends nginx python3-venv >/dev/null
useradd --system --user-group --home-dir {AT.shared} --shell /usr/sbin/nologin {USER}
groupadd --system {GROUP}
usermod --append --groups {GROUP} www-data
mkdir -p {AT.release(RELEASE)} {AT.shared}
chown {USER}: {AT.shared}
python3 -m venv {AT.release(RELEASE)}/venv
{AT.release(RELEASE)}/venv/bin/pip install -q --disable-pip-version-check gunicorn
cp /tmp/app.py {AT.release(RELEASE)}/venv/lib/python3*/site-packages/
"""


def facts(host: LabHost) -> RenderFacts:
    """As the host's own tools say."""
    return RenderFacts(
        cpus=2,
        systemd_version=int(host.sh("systemctl --version").split()[1]),
        python_version=host.sh("python3 -c 'import platform; print(platform.python_version())'"),
        default_server_free=True,
        ipv6=Path("/proc/net/if_inet6").exists(),
    )


def put(host: LabHost, path: Path | str, text: str, mode: int = 0o644) -> None:
    target = host.path(str(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    target.chmod(mode)


def until_answers(host: LabHost, *arguments: str) -> str:
    end = time.monotonic() + 30
    while True:
        done = host.exec(["curl", "-sf", *arguments])
        if done.returncode == 0:
            return done.stdout.decode()
        if time.monotonic() > end:
            unit = AT.unit(first_of(RELEASE))
            log = host.exec(["journalctl", "-u", unit, "-n", "40", "--no-pager", "-o", "cat"])
            pytest.fail(f"no answer:\n{log.stdout.decode()}")
        time.sleep(0.1)


@pytest.fixture(
    scope="module",
    params=tiered(["bookworm", "trixie", "bullseye"], nightly={"trixie", "bullseye"}),
)
def serving(request: pytest.FixtureRequest, hosts: GetHosts) -> Iterator[LabHost]:
    """One release, installed by hand from what is rendered, behind nginx."""
    host = hosts(suite=request.param, packages=READY)[0]
    host.reset()
    put(host, "/tmp/app.py", APP)
    host.sh(PREPARE, timeout=240)
    for name, file in render_release(SETTINGS, facts(host), RELEASE, Path("/nowhere")).items():
        if name != "boot.service":
            put(host, file.path, file.content)
    put(host, AT.release(RELEASE) / "env", envfile.dump({"SECRET": "it's $ecret\n"}), 0o600)
    unit = AT.unit(first_of(RELEASE))
    host.sh(
        f"cp {AT.unit_source(first_of(RELEASE))} {AT.unit_file(first_of(RELEASE))}\n"
        f"ln -s {AT.socket(first_of(RELEASE))} {AT.socket_link(RELEASE)}\n"
        f"ln -s releases/{RELEASE} {AT.current}; ln -s releases/{RELEASE} {AT.fallback}\n"
        "rm -f /etc/nginx/sites-enabled/default\n"
        f"systemctl daemon-reload; systemctl start {unit}; nginx -t; systemctl restart nginx"
    )
    yield host
    host.sh(f"systemctl stop {unit} nginx")


def test_a_hardened_release_serves(serving: LabHost) -> None:
    answer = json.loads(until_answers(serving, "http://127.0.0.1/"))
    assert answer == {
        "shared": "yes",
        "tmp": "yes",
        "child": USER,
        "release": "OSError",
        "etc": "OSError",
        "env": "PermissionError",
        "secret": "it's $ecret\n",
        "cwd": str(AT.shared),
    }
    socket = AT.socket(first_of(RELEASE))
    shown = serving.sh(f"stat -c '%U:%G %a' {socket.parent} {socket}").split("\n")
    assert shown[:2] == [f"{USER}:{GROUP} 750", f"{USER}:{GROUP} 770"]
    # Nobody else reaches the socket.
    refused = [
        "runuser",
        "-u",
        "nobody",
        "--",
        "curl",
        "-s",
        "--unix-socket",
        str(socket),
        "http://x/",
    ]
    assert serving.exec(refused).returncode != 0
    # The journal has the access log, under the app's name.
    log = serving.sh(f"journalctl -t cartwheel-{AT.app} -o cat --no-pager")
    assert '127.0.0.1 "GET / HTTP/1.1" 200' in log
    assert "Unknown" not in serving.sh("journalctl -b --no-pager | grep cartwheel-shop || true")


def test_a_worker_killed_for_memory_does_not_end_the_others(serving: LabHost) -> None:
    until_answers(serving, "http://127.0.0.1/")
    unit = AT.unit(first_of(RELEASE))
    main = serving.sh(f"systemctl show -P MainPID {unit}").strip()
    serving.sh(f"kill -KILL $(cat /proc/{main}/task/{main}/children | cut -d' ' -f1)")
    until_answers(serving, "http://127.0.0.1/")
    assert serving.sh(f"systemctl show -P MainPID {unit}").strip() == main
    assert serving.sh(f"systemctl show -P OOMPolicy {unit}").strip() == "continue"


def test_a_host_with_another_default_site(serving: LabHost) -> None:
    """The rendered site then makes no claim that nginx would refuse."""
    other = replace(facts(serving), default_server_free=False)
    site = render_release(SETTINGS, other, RELEASE, Path("/nowhere"))[SITE]
    put(serving, "/etc/nginx/conf.d/other.conf", "server { listen 80 default_server; return 404; }")
    put(serving, site.path, site.content)
    serving.sh("nginx -t")


# Another site on the same port: what it says of HTTP/2, by version, so that it alone does not warn.
OTHER = """
server {{
    listen 443 ssl{parameter};
    {directive}
    server_name other.example;
    ssl_certificate /etc/ssl/other.pem; ssl_certificate_key /etc/ssl/other.key;
}}
"""


@pytest.mark.parametrize("beside", ["nobody", "a site without HTTP/2", "a site with HTTP/2"])
def test_nginx_has_no_warning_about_https(serving: LabHost, beside: str) -> None:
    secure = SETTINGS.model_copy(
        update={
            "tls": Tls.model_validate({"certificate": "a.pem", "key": "a.key", "hsts_seconds": 9}),
            "web": Web(server_names=("shop.example",)),
        }
    )
    issued = certificate("shop.example")
    for name, text in {CHAIN: issued.pem, KEY: issued.key}.items():
        put(serving, AT.tls_live / name, text)
        put(serving, f"/etc/ssl/other.{'pem' if name == CHAIN else 'key'}", text)
    version = Nginx().version_in(serving.sh("nginx -v 2>&1")) or ""
    other = serving.path("/etc/nginx/conf.d/other.conf")
    with_http2 = Nginx().http2(version, shares_port=False) if "with HTTP/2" in beside else ""
    parameter = " http2" if with_http2 == "listen" else ""
    directive = "http2 on;" if with_http2 == "directive" else ""
    known = replace(facts(serving), tls=TlsFacts(version, shares_port=beside != "nobody"))
    site = render_release(secure, known, RELEASE, Path("/nowhere"))[SITE]
    other.unlink(missing_ok=True)
    if beside != "nobody":
        other.write_text(OTHER.format(parameter=parameter, directive=directive))
    put(serving, site.path, site.content)
    put(serving, AT.tls_site, render_tls(secure, known, Path("/nowhere")))
    assert "warn" not in serving.sh("nginx -t 2>&1")
    serving.sh("systemctl reload nginx")
    at = "--resolve shop.example:443:127.0.0.1 https://shop.example/"
    shown = until_answers(serving, "-ki", *at.split())
    assert shown.startswith("HTTP/2 200")
    serving.path(str(AT.tls_site)).unlink()
    other.unlink(missing_ok=True)
