"""The monitor on the oldest and the newest Debian: its Python, and its SQLite."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.kit.certificates import authority, certificate
from tests.kit.project import SHOP, new_project
from tests.kit.waiting import until
from tests.lab.conftest import GetHosts
from tests.lab.test_monitor import PAGE, settings

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(600)]


@pytest.mark.parametrize(("suite", "sqlite"), [("bullseye", "3.34"), ("trixie", "3.46")])
def test_it_watches_and_shows(hosts: GetHosts, tmp_path: Path, suite: str, sqlite: str) -> None:
    (web,) = hosts(1)
    (monitor,) = hosts(1, suite=suite)
    for host in (monitor, web):
        host.reset()
    project, root = new_project(tmp_path / "shop"), authority()
    issued = certificate(PAGE, by=root)
    for name, text in (("a.pem", issued.pem), ("a.key", issued.key), ("r.pem", root.pem)):
        project.write(name, text)
    project.write("ops", "json://127.0.0.1:9/nobody")
    page = f'page = "{PAGE}"\npage_certificate = "a.pem"\npage_key = "a.key"\npage_ca = "r.pem"\n'
    project.settings(settings(web).replace("[monitor]\n", f"[monitor]\n{page}"))
    assert "[app]" in SHOP
    project.fab("setup", "-H", web.name)
    project.fab("deploy", "-H", web.name)
    project.fab("monitor.install", "-H", monitor.name)
    has = monitor.sh("python3 -c 'import sqlite3; print(sqlite3.sqlite_version)'")
    assert has.startswith(sqlite)

    def is_well() -> bool:
        said = project.fab("monitor.status", "-H", monitor.name, "--json", code=None).out
        [result] = [one for one in map(json.loads, said.splitlines()) if "status" in one]
        targets = result["status"]["targets"]
        return len(targets) == 2 and all(one["state"] == "well" for one in targets)

    until(is_well, 60, shown="site and host were asked")
    password = "correct horse battery"
    project.fab("monitor.user.add", "ann", "-H", monitor.name, given=f"{password}\n")
    monitor.sh(f"cat >/tmp/root.pem <<'.'\n{root.pem}.")
    monitor.path("/tmp/visit.py").write_text(VISIT)
    seen = json.loads(monitor.sh(f"python3 /tmp/visit.py {PAGE} ann '{password}'"))
    wrong = {path: status for path, (status, _text) in seen.items() if status != 200}
    assert wrong == {}
    assert web.name in seen["/"][1] and "confirmed" in seen["/apps/shop/runs"][1]


VISIT = r"""
import http.cookiejar, json, re, socket, ssl, sys, urllib.error, urllib.parse, urllib.request
name, user, password = sys.argv[1:]
real = socket.getaddrinfo
socket.getaddrinfo = lambda host, *more, **named: real(
    "127.0.0.1" if host == name else host, *more, **named)
trusted = ssl.create_default_context(cafile="/tmp/root.pem")
trusted.verify_flags &= ~ssl.VERIFY_X509_STRICT  # as browsers do
browser = urllib.request.build_opener(
    urllib.request.HTTPSHandler(context=trusted),
    urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
browser.addheaders = [("Referer", f"https://{name}/login")]
def get(path, data=None):
    try:
        with browser.open(f"https://{name}{path}", data, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
token = re.search(r'name="csrf_token" value="([^"]+)"', get("/login")[1])[1]
form = {"csrf_token": token, "name": user, "password": password}
get("/login", urllib.parse.urlencode(form).encode())
paths = ["/", "/incidents", "/checks", "/apps/shop/", "/apps/shop/releases", "/apps/shop/runs",
         "/apps/shop/processes", "/apps/shop/?span=60d"]
print(json.dumps({path: get(path) for path in paths}))
"""
