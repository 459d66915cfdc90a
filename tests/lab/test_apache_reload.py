"""Apache on a host with systemd: what a reload of ours would do to all its sites."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from cartwheel_lab import LabHost
from tests.kit.project import Project, new_project

READY = "apache2,python3-venv"
SITES = "/etc/apache2/sites-enabled"

SECURE = """\
<VirtualHost *:8443>
    SSLEngine on
    SSLCertificateFile /root/a.pem
    SSLCertificateKeyFile /root/a.key
    {0}
</VirtualHost>
"""
SITE = """\
LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
Listen 8443
""" + SECURE.format("ProxyPass /held http://127.0.0.1:9000/")
# Holds what it is asked, and answers nobody.
HOLDING = """
import socket, time
one = socket.create_server(("127.0.0.1", 9000))
held = []
one.settimeout(300)
while True:
    held.append(one.accept())
"""
ASKING = """
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
one = context.wrap_socket(socket.create_connection(("127.0.0.1", 8443), timeout=10))
one.sendall(b"GET /held HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
one.settimeout(300)
one.recv(1)
"""


def new_key(name: str) -> str:
    return (
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 9 -subj /CN=x "
        f"-keyout /root/{name}.key -out /root/{name}.pem"
    )


@pytest.fixture
def apache(hosts: Callable[..., list[LabHost]]) -> LabHost:
    host = hosts(packages=READY)[0]
    host.reset()
    host.path(f"{SITES}/secure.conf").write_text(SITE)
    host.sh(f"({new_key('a')}; {new_key('b')}) 2>/dev/null; systemctl reload apache2")
    return host


def answers(host: LabHost) -> int:
    with urllib.request.urlopen(host.url(), timeout=10) as answer:
        return int(answer.status)


def reloaded(project: Project, host: LabHost, code: int = 0) -> str:
    return project.fab("apache.reload", "-H", host.name, code=code).text


@pytest.mark.nightly
def test_a_reload_that_would_end_apache_is_refused(apache: LabHost, tmp_path: Path) -> None:
    """Its own test accepts all of these."""
    project = new_project(tmp_path, settings='[web]\nserver = "apache"\n')
    reloaded(project, apache)
    site = apache.path(f"{SITES}/zz.conf")

    apache.sh("setsid python3 -m http.server 8099 >/dev/null 2>&1 & echo $! > /root/pid; sleep 1")
    site.write_text("Timeout 5\nListen 8099\n")
    said = reloaded(project, apache, code=1)
    assert "zz.conf:2: 8099 is used by python3, so Apache would end when it is reloaded" in said
    apache.sh("kill $(cat /root/pid)")
    site.unlink()

    apache.sh("cp /root/b.key /root/a.key; apache2ctl -t")
    said = reloaded(project, apache, code=1)
    assert "secure.conf:7: /root/a.pem and /root/a.key: OpenSSL cannot use them together" in said
    assert "secure.conf:7:" in project.fab("apache.test", "-H", apache.name, code=1).text
    apache.sh("cp /root/b.pem /root/a.pem")
    reloaded(project, apache)

    # Whatever else ends it is reported, with Apache's own words.
    site.write_text(SECURE.format("SSLProtocol -all"))
    said = reloaded(project, apache, code=1)
    assert "apache does not start or reload: No SSL protocols available" in said
    site.unlink()
    reloaded(project, apache)
    assert answers(apache) == 200


@pytest.mark.nightly
def test_many_reloads_while_connections_stay_open(apache: LabHost, tmp_path: Path) -> None:
    """Each leaves a process that only waits. Debian's Apache has room for 16, then it is silent."""
    project = new_project(tmp_path, settings='[web]\nserver = "apache"\n')
    apache.path("/root/holding.py").write_text(HOLDING)
    apache.path("/root/asking.py").write_text(ASKING)
    apache.sh("setsid python3 /root/holding.py >/dev/null 2>&1 & sleep 1")
    for _reload in range(20):
        apache.sh("setsid python3 /root/asking.py >/dev/null 2>&1 & sleep 0.5")
        reloaded(project, apache)
        assert answers(apache) == 200
    assert int(apache.sh("pgrep -c apache2")) > 8
