"""What is made of a web server's complaints."""

from __future__ import annotations

from typing import Any

import pytest

from cartwheel.diagnosis import certificate, web_errors
from cartwheel.diagnosis.cause import Cause
from cartwheel.host.diagnose.found import Found
from cartwheel.host.wire.diagnosis import Minute, Sign, Visits
from tests.unit.diagnosis.web_case import NOW, judged

SOCKET = "unix:/srv/shop/current/http.sock"
OTHER = "unix:/srv/shop/fallback/http.sock"


def sign(kind: str, about: str = "", count: int = 5, *lines: str) -> Sign:
    return Sign(f"web-{kind}", about, count, NOW - 60, NOW - 5, lines or (f"a line of {kind}",))


def visits(count: int) -> Visits:
    minute = Minute(NOW - 60, count, 0, 0.1, client="192.0.2.1", by_client=count)
    return Visits(1.0, count, 0, 0.1, 0.1, {"200": count}, (), (), (minute,))


def causes(*signs: Sign, requests: int = 1000, **differs: Any) -> list[Cause]:
    found = Found(signs=signs, visits=visits(requests))
    return judged(found, (web_errors.causes, certificate.causes), **differs)


@pytest.mark.parametrize(
    ("kind", "about", "title", "todo"),
    [
        ("permission", SOCKET, "may not open the app's socket /srv/shop/current", "fab restart"),
        ("no-socket", SOCKET, "/srv/shop/current/http.sock is missing", "fab status"),
        ("refused", SOCKET, "nobody listens at the app's socket /srv/shop/cu", "fab logs"),
        ("queue", SOCKET, "the queue of the app's socket is full", "gunicorn.workers"),
        ("timeout", "/report", "too long for the app's answer to /report", "timeout_seconds"),
        ("timeout", "", "too long for the app's answer, 5", "timeout_seconds"),
        ("cut", "/report", "before its answer was complete to /report", "fab logs"),
        ("header", "/login", "the app's answer is too large for nginx to /login", "cookies"),
        ("invalid", "", "no valid HTTP, 5", "headers"),
        ("no-upstream", "", "no upstream left", "fab status"),
        ("connections", "768", "(768 worker_connections)", "raise worker_connections"),
        ("connections", "", "(MaxRequestWorkers)", "raise MaxRequestWorkers"),
        ("files", "", "too many open files", "systemctl edit nginx.service"),
        ("memory", "", "gets no memory", "fab ps"),
        ("disk", "/var/log/a.log", "cannot write /var/log/a.log", "fab prune"),
        ("file", "/srv/shop/a.css", "may not use /srv/shop/a.css", "namei -l /srv/shop/a.css"),
        ("crash", "signal 11", "ended by signal 11", "bug"),
        ("body", "/upload", "refuses 5 requests to /upload because", "client_max_body_size"),
        ("413", "/upload", "refuses 5 requests to /upload because", "client_max_body_size"),
    ],
)
def test_a_kind(kind: str, about: str, title: str, todo: str) -> None:
    [found] = causes(sign(kind, about))
    assert found.slug == f"web-errors-{kind.replace('413', 'body')}"
    assert title in found.title
    assert todo in found.todo
    assert "{" not in found.title + found.todo
    assert (found.began, found.last) == (NOW - 60, NOW - 5)
    assert found.evidence


def test_a_request_counts_once_for_all_upstreams() -> None:
    closed = "/run/x (mode 0700, of root) cannot be entered by www-data"
    [found] = causes(sign("no-socket", SOCKET, 7), sign("no-socket", OTHER, 7))
    assert "7 times" in found.title
    [found] = causes(sign("permission", SOCKET, 7, "said", closed), sign("permission", OTHER, 7))
    assert found.evidence == (closed, "said")


def test_what_is_about_paths_adds_up() -> None:
    [found] = causes(sign("timeout", "/a", 4), sign("timeout", "/b", 3))
    assert "to /a, 7 times" in found.title


@pytest.mark.parametrize(
    ("signs", "requests"),
    [
        ((), 1000),
        ((sign("no-socket", SOCKET, 2),), 1000),  # a reboot
        ((sign("timeout", "/report", 5),), 10_000),  # one page that is always slow
        ((sign("cut", "", 5),), 10_000),
        ((sign("413", "/upload", 2),), 1000),
        ((sign("rate", "/login", 400),), 1000),  # nginx says so; the access log counts
        ((sign("429", "/login", 15),), 100),
        ((sign("429", "/login", 50),), 1000),  # a bot that is held off
        # What was refused, and is well now.
        ((sign("configuration", 'unknown directive "bogus" in /etc/x:1'),), 1000),
        ((sign("certificate", 'cannot load certificate "/etc/x.pem"'),), 1000),
    ],
)
def test_what_a_healthy_host_has_too(signs: tuple[Sign, ...], requests: int) -> None:
    assert causes(*signs, requests=requests) == []


def test_a_limit_that_stops_visitors() -> None:
    [found] = causes(sign("429", "/login", 300))
    assert found.slug == "web-errors-rate"
    assert "web.rate_limit" in found.title
    assert "192.0.2.1 made 1,000 of 1,000 requests" in found.evidence[-1]


BROKEN = {"web_server": {"complaint": "unknown directive in /etc/x:1"}}
DOWN = {"web_server": {"active": "failed"}}


@pytest.mark.parametrize(
    ("kind", "about", "differs", "slug"),
    [
        ("configuration", 'unknown directive "bogus" in /etc/x:1', BROKEN, "web-errors-config"),
        ("configuration", 'host not found in upstream "x" in /etc/x:1', DOWN, "web-errors-config"),
        ("configuration", 'conflicting server name "a" on 0.0.0.0:80', {}, "web-errors-config"),
        ("configuration", "bind() to 0.0.0.0:80 failed (98: Address al", {}, "web-errors-config"),
        ("certificate", 'cannot load certificate "/etc/x.pem"', BROKEN, "certificate"),
    ],
)
def test_its_configuration(kind: str, about: str, differs: dict[str, Any], slug: str) -> None:
    [found] = causes(sign(kind, about), **differs)
    assert found.slug.startswith(slug)
    assert about in found.title
    assert "`fab nginx.reload -H h1`" in found.todo


def test_a_certificate_that_is_not_renewed() -> None:
    state = {
        "path": "/etc/x.pem",
        "port": 443,
        "is_ours": False,
        "certificate": "",
        "served": "",
        "problem": "",
        "time": NOW,
        "directory": "https://ca.example/directory",
        "failed": "",
        "end": "app",
    }
    assert causes(tls=state) == []
    [found] = causes(tls={**state, "failed": "the CA refuses shop.example"})
    assert found.slug == "certificate"
    assert "the CA refuses shop.example" in found.title
    assert "fab tls.renew" in found.todo


@pytest.mark.parametrize("kind", ["no-socket", "refused"])
def test_a_socket_that_was_removed_is_why_the_app_does_not_listen(kind: str) -> None:
    deaf = {"problem": "it does not listen", "healthy": False, "age_seconds": 900.0}
    [found] = causes(sign(kind, SOCKET, 7), serving=deaf)
    assert "the app runs" in found.title and "fab restart" in found.todo
    assert "app-ill" in found.explains
    for differs in (
        {"active": "inactive"},
        {"problem": "/ answers 500"},
        {"age_seconds": 3.0},  # that was before it started
    ):
        [found] = causes(sign(kind, SOCKET, 7), serving={**deaf, **differs})
        assert "app-ill" not in found.explains
