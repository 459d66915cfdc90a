"""A site that `fab maintenance.on` or `fab stop` has closed, in a real nginx."""

from __future__ import annotations

import http.client
import json
import socket

import pytest

from cartwheel.render.maintenance import render_closed
from cartwheel.render.release import PAGES
from tests.unit.render import test_site
from tests.unit.render.sites import BOTH, Site

site, serving = test_site.site, test_site.serving

USUAL = "600"  # seconds
ANSWERED = """
GET /                              -       503
POST /form                         -       503
PUT /form                          -       503
DELETE /form                       -       503
OPTIONS /                          -       503
HEAD /                             -       503
GET /static/app.css                -       503
GET /healthz                       -       200
HEAD /healthz                      -       200
GET /healthz?all=1                 -       200
GET /%68ealthz                     -       200
GET /healthz/                      -       503
GET /healthz2                      -       503
GET /x/../healthz                  -       200
GET /.well-known/acme-challenge/x  -       200
GET /.well-known/other             -       503
GET /.cartwheel/closed.html        -       404/503
GET /.cartwheel/503                -       503/404
GET /.cartwheel/maintenance.html   -       503
GET /.cartwheel/a-visitors-page    -       503
GET /                              Accept=text/event-stream         503
GET /ws                            Upgrade=websocket                503
GET /                              X-Cartwheel-Probe=forged         503
GET /                              X-Forwarded-For=127.0.0.9        503
"""


def close(site: Site, message: str = "", minutes: int = 0, allow: tuple[str, ...] = ()) -> None:
    """What `host.web.maintenance` does on a host."""
    closed = render_closed(site.settings, message, minutes, allow, site.folder)
    site.at.maintenance.mkdir(exist_ok=True)
    for name, text in {**closed.pages, **closed.included}.items():
        (site.at.maintenance / name).write_text(text)
    site.at.maintenance_mark.write_text("{}")


@pytest.mark.parametrize("line", ANSWERED.strip().splitlines())
def test_who_is_answered(serving: Site, line: str) -> None:
    method, path, header, status = line.split()
    headers = dict([header.split("=")]) if "=" in header else {}
    if "Upgrade" in headers:
        headers["Connection"] = "upgrade"
    assert serving.get(path, method, **headers)[0].status != 503, "it was closed before"
    close(serving)
    response, body = serving.get(path, method, **headers)
    of_nginx, _, of_apache = status.partition("/")
    status = of_apache if of_apache and serving.server.name == "apache" else of_nginx
    assert response.status == int(status)
    if status == "503":
        said = ("Retry-After", "Cache-Control", "Vary")
        assert [response.getheader(name) for name in said] == [USUAL, "no-store", "Accept-Language"]
        assert method == "HEAD" or "Down for maintenance" in body
    elif status == "200":
        assert response.getheader("Retry-After") is None
    serving.at.maintenance_mark.unlink()
    assert serving.get(path, method, **headers)[0].status != 503, "and it is open again"


def test_a_large_body_is_not_read(serving: Site) -> None:
    close(serving)
    with socket.create_connection(("127.0.0.1", serving.port), 10) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11000000\r\n\r\n")
        assert client.recv(99).startswith(b"HTTP/1.1 503 ")


def test_our_own_probe_reaches_the_release(serving: Site) -> None:
    close(serving)
    assert serving.ask("1") == ""
    response, body = serving.get("/page", X_Cartwheel_Probe=serving.token)
    assert (response.status, json.loads(body)["who"]) == (200, "1")


@BOTH
def test_minutes_and_addresses(serving: Site) -> None:
    close(serving, "soon", 30, ("127.0.0.2", "2001:db8::/32"))
    serving.reload()
    response, _body = serving.get()
    assert (response.status, response.getheader("Retry-After")) == (503, "1800")
    assert _from("127.0.0.2", serving) == (200, None)
    assert _from("127.0.0.3", serving) == (503, "1800")
    serving.at.maintenance_mark.unlink()
    assert serving.get()[0].status == 200


def _from(address: str, site: Site) -> tuple[int, str | None]:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, 10, (address, 0))
    connection.request("GET", "/")
    response = connection.getresponse()
    connection.close()
    return response.status, response.getheader("Retry-After")


@pytest.mark.parametrize(
    ("wanted", "is_chinese"),
    [
        (None, False),
        ("", False),
        ("en-US,en;q=0.9", False),
        ("zh", True),
        ("zh-CN,zh;q=0.9,en;q=0.8", True),
        ("zh-TW", True),
        ("ZH-Hant-HK, en;q=0.5", True),
        ("en-US,en;q=0.9,zh-CN;q=0.8", False),
        ("fr-FR,fr;q=0.9,zh;q=0.8,en;q=0.7", True),
        ("de, en;q=0.8, zh;q=0.5", False),
        ("en, zh;q=0", False),
        ("fr, zh;q=0.0", False),
        ("zh;q=0.9", True),
        ("zha", False),
        ("fr-zh", False),
        ("*", False),
    ],
)
def test_the_page_is_in_the_visitors_language(
    serving: Site, wanted: str | None, is_chinese: bool
) -> None:
    close(serving, "Back at 14:00")
    headers = {} if wanted is None else {"Accept_Language": wanted}
    _response, body = serving.get(**headers)
    assert ("系统维护中" in body) == is_chinese
    assert ("Down for maintenance" in body) == (not is_chinese)
    assert "Back at 14:00" in body


def test_the_message_is_only_text(serving: Site) -> None:
    hostile = '<script>alert(1)</script> "$host" ${x} \'; }\\ {{ 7*7 }} \n<b>你好</b> ' + "x" * 2000
    close(serving, hostile, 5, ("127.0.0.2",))
    serving.reload()
    _response, body = serving.get()
    assert "<script>" not in body and "<b>" not in body and "49" not in body
    assert "&lt;script&gt;" in body and "$host" in body and "{{ 7*7 }}" in body and "你好" in body


@pytest.mark.parametrize("minutes", [0, 7])
def test_a_stopped_app_answers_the_same_way(serving: Site, minutes: int) -> None:
    serving.at.stopped.write_text("{}")
    response, body = serving.get(method="POST", Accept_Language="zh")
    assert (response.status, response.getheader("Retry-After")) == (503, USUAL)
    assert "稍候片刻" in body
    assert serving.get("/healthz")[0].status == 200, "balancers ask the app itself"
    if minutes:
        close(serving, "moving", minutes, ("127.0.0.2",))
        serving.reload()
        assert serving.get()[0].getheader("Retry-After") == str(minutes * 60)
        serving.at.maintenance_mark.unlink()
        assert serving.get()[0].getheader("Retry-After") == USUAL, "it is still stopped"
    serving.at.stopped.unlink()
    assert serving.get()[0].status == 200


def test_a_release_of_an_earlier_version_has_one_page(serving: Site) -> None:
    (serving.at.release("1") / PAGES["zh"]).unlink()
    serving.at.stopped.write_text("{}")
    assert "Back in a moment" in serving.get(Accept_Language="zh")[1]
    (serving.at.release("1") / PAGES["en"]).unlink()
    assert serving.get()[0].status == 503
