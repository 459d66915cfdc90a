"""No secret leaves a host in a diagnosis: people send it on."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from urllib.parse import quote

import pytest

from cartwheel.host.diagnose import masks
from cartwheel.host.layout import Layout
from cartwheel.host.wire.diagnosis import Sign, Visits

PASSWORD = "pa$s w0rd/é"
ENV = {
    "SECRET_KEY": "s3cret-of-the-sessions",
    "DATABASE_URL": f"postgresql://shop:{quote(PASSWORD, safe='')}@db:5432/shop",
    "PLACE": "Berlin-Mitte",
    "SENTRY_DSN": "https://abcdef0123456789@sentry.example.org/42",
    "MAIL": "smtp://post:geheim-genug@mail:25",
}
SOURCES = {"PLACE": "settings", "SENTRY_DSN": "settings", "MAIL": "settings"}


@pytest.fixture
def at(tmp_path: Path) -> Layout:
    at = Layout("shop", tmp_path)
    release = at.release("1.0.aa")
    release.mkdir(parents=True)
    known = {name: {"source": SOURCES.get(name, "env:X"), "digest": "d"} for name in ENV}
    (release / "release.json").write_text(json.dumps({"release": "1.0.aa", "env": known}))
    lines = [f'{name}="{value}"' for name, value in ENV.items()]
    (release / "env").write_text("\n".join(line.replace("$", "\\$") for line in lines) + "\n")
    return at


@pytest.mark.parametrize(
    "written",
    [
        "the key s3cret-of-the-sessions is bad",
        f"login failed: {PASSWORD}",
        f"dsn postgresql://shop:{quote(PASSWORD, safe='')}@db",
        f"as JSON {PASSWORD!r}",
        f"header {base64.b64encode(PASSWORD.encode()).decode()}",
        "key abcdef0123456789@sentry",
        "login geheim-genug at mail",
    ],
)
def test_values_of_the_releases_in_every_form(at: Layout, written: str) -> None:
    shown = masks.of_app(at)(written)
    assert "***" in shown
    for secret in (*ENV.values(), PASSWORD, quote(PASSWORD, safe=""), "abcdef0123456789"):
        assert secret not in shown


@pytest.mark.parametrize("file", ["web.env", "worker.env", "job.tidy.env"])
def test_variables_of_single_processes_and_timers(at: Layout, file: str) -> None:
    own = {
        "PLACE": "Berlin-Mitte",
        "API_TOKEN": "tok-of-the-worker",
        "QUEUE": "amqp://shop:of-the-queue@mq:5672",
    }
    text = "".join(f'{name}="{value}"\n' for name, value in own.items())
    (at.release("1.0.aa") / file).write_text(text)
    (at.release("1.0.aa") / "damaged.env").write_text("damaged")
    mask = masks.of_app(at)
    assert mask("tok-of-the-worker") == mask("of-the-queue") == "***"
    assert mask("at Berlin-Mitte") == "at Berlin-Mitte"
    (at.release("1.0.aa") / "env").unlink()
    assert masks.of_app(at)("tok-of-the-worker") == "***"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("redis://:hunter22@cache:6379/0 refused", "redis://***@cache:6379/0 refused"),
        ("Authorization: Bearer abc.def-ghi", "Authorization: ***"),
        ("GET /?token=abc123&page=2 HTTP/1.1", "GET /?token=***&page=2 HTTP/1.1"),
        ('{"password": "open sesame", "user": "ann"}', '{"password": "***", "user": "ann"}'),
        ("curl -H 'X-Api-Key: 123456'", "curl -H 'X-Api-Key: ***'"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nnext",
            "***\nnext",
        ),
    ],
)
def test_what_looks_like_a_secret(at: Layout, written: str, shown: str) -> None:
    assert masks.of_app(at)(written) == shown


@pytest.mark.parametrize(
    "written",
    [
        "KeyError: 'orders' at shop/views.py:31 in total",
        "10.0.0.5:5432 refuses connections (DATABASE_URL)",
        "GET /orders/*: 214 of 3120 failed; the keyboard of Berlin-Mitte",
        "http://127.0.0.1:8000/token-ring/secretary",
        "2026-11-30T10:00:00Z worker timeout (pid:42)",
    ],
)
def test_what_is_none_stays(at: Layout, written: str) -> None:
    assert masks.of_app(at)(written) == written


def test_every_text_of_a_record(at: Layout) -> None:
    sign = Sign("exception", "token=abc", 1, 2.0, 3.0, ("password=x1", "well"))
    visits = Visits(1.0, 1, 0, 0.1, 0.2, {"200": 1}, (), (), ())
    shown = masks.masked((sign, visits, None, 3), masks.of_app(at))
    assert shown == (
        Sign("exception", "token=***", 1, 2.0, 3.0, ("password=***", "well")),
        visits,
        None,
        3,
    )


def test_a_host_without_releases(tmp_path: Path) -> None:
    assert masks.of_app(Layout("shop", tmp_path))("password=abc") == "password=***"
