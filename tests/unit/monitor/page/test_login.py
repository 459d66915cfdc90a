"""The door of a page on a host: sessions, forged requests, guesses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from cartwheel.commands.monitor_users import hashed
from cartwheel_monitor.page import site, tries
from cartwheel_monitor.page.door_login import LoginDoor
from tests.kit.monitored import Filled
from tests.unit.monitor.page.kit import filled

__all__ = ["filled"]

PASSWORD = "correct horse battery"
HTTPS = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"}
ORIGIN = {**HTTPS, "Referer": "https://monitor.example.org/login"}
BASE = "https://monitor.example.org"


@pytest.fixture
def visitor(filled: Filled) -> FlaskClient:
    """A browser before its login; there is one user."""
    _user(filled, "ann", PASSWORD)
    return _browser(filled)


def _browser(filled: Filled) -> FlaskClient:
    door = LoginDoor(filled.places.users, filled.places.page)
    return site.create(filled.places, door).test_client()


def _user(filled: Filled, name: str, password: str) -> Path:
    filled.places.users.mkdir(exist_ok=True)
    path = filled.places.users / f"{name}.json"
    path.write_text(json.dumps({"name": name, "hash": hashed(password)}))
    return path


def _token(visitor: FlaskClient, path: str = "/login") -> str:
    text = visitor.get(path, base_url=BASE, headers=HTTPS).get_data(as_text=True)
    found = re.search(r'name="csrf_token" value="([^"]+)"', text)
    assert found is not None
    return found[1]


def _log_in(
    visitor: FlaskClient, name: str = "ann", password: str = PASSWORD, there: str = ""
) -> int:
    form = {"name": name, "password": password, "csrf_token": _token(visitor)}
    address = f"/login?next={there}"
    answer = visitor.post(address, base_url=BASE, headers=ORIGIN, data=form)
    if answer.status_code == 302:
        assert answer.headers["Location"] == (there if there.startswith("/app") else "/")
    return answer.status_code


def _status(visitor: FlaskClient, path: str = "/") -> int:
    return visitor.get(path, base_url=BASE, headers=HTTPS).status_code


def test_without_a_login_there_is_only_the_form(visitor: FlaskClient) -> None:
    answer = visitor.get("/?a=b", base_url=BASE, headers=HTTPS)
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/login?next=/?a%3Db"
    assert _status(visitor, "/login") == 200
    assert _status(visitor, "/healthz") == 200


def test_a_login_and_its_end(visitor: FlaskClient) -> None:
    assert _log_in(visitor) == 302
    text = visitor.get("/", base_url=BASE, headers=HTTPS).get_data(as_text=True)
    assert "log out ann" in text
    cookie = visitor.get_cookie("__Host-session", domain="monitor.example.org")
    assert cookie is not None and cookie.secure and cookie.http_only
    form = {"csrf_token": _token(visitor, "/")}
    visitor.post("/logout", base_url=BASE, headers=ORIGIN, data=form)
    assert _status(visitor) == 302


@pytest.mark.parametrize("there", ["https://evil.example", "//evil.example", "/\\evil.example"])
def test_a_login_never_leads_to_another_site(visitor: FlaskClient, there: str) -> None:
    assert _log_in(visitor, there=there) == 302


def test_a_login_leads_to_where_the_link_was(visitor: FlaskClient) -> None:
    assert _log_in(visitor, there="/apps/shop/") == 302


@pytest.mark.parametrize(
    ("name", "password"), [("ann", "wrong"), ("bob", PASSWORD), ("../ann", PASSWORD), ("", "")]
)
def test_a_wrong_name_or_password(visitor: FlaskClient, name: str, password: str) -> None:
    assert _log_in(visitor, name, password) == 401
    assert _status(visitor) == 302


def test_guessing_ends_soon_and_locks_nobody_else_out(
    visitor: FlaskClient, filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tries, "MOST", 3)
    assert [_log_in(visitor, "ann", "wrong") for _ in range(4)] == [401, 401, 401, 429]
    assert _log_in(visitor) == 429, "not even with the right password"
    other = _browser(filled)
    form = {"name": "ann", "password": PASSWORD, "csrf_token": _token(other)}
    elsewhere = {**ORIGIN, "X-Forwarded-For": "192.0.2.8"}
    assert other.post("/login", base_url=BASE, headers=elsewhere, data=form).status_code == 302


@pytest.mark.parametrize("path", ["/login", "/logout"])
def test_a_forged_request_is_refused(visitor: FlaskClient, path: str) -> None:
    assert _log_in(visitor) == 302
    form = {"name": "ann", "password": PASSWORD}
    assert visitor.post(path, base_url=BASE, headers=ORIGIN, data=form).status_code == 400
    form["csrf_token"] = _token(visitor, "/")
    foreign = {**HTTPS, "Referer": "https://evil.example/"}
    assert visitor.post(path, base_url=BASE, headers=foreign, data=form).status_code == 400
    assert _status(visitor) == 200


def test_a_session_ends_with_its_user_and_with_another_password(
    visitor: FlaskClient, filled: Filled
) -> None:
    assert _log_in(visitor) == 302 and _status(visitor) == 200
    path = _user(filled, "ann", "another long password")
    assert _status(visitor) == 302
    assert _log_in(visitor, password="another long password") == 302 and _status(visitor) == 200
    path.unlink()
    assert _status(visitor) == 302


def test_a_session_is_of_this_page_alone(visitor: FlaskClient, filled: Filled) -> None:
    assert _log_in(visitor) == 302
    assert oct((filled.places.page / "secret").stat().st_mode) == "0o100600"
    (filled.places.page / "secret").unlink()
    cookie = visitor.get_cookie("__Host-session", domain="monitor.example.org")
    other = _browser(filled)
    assert cookie is not None
    other.set_cookie("__Host-session", cookie.value, domain="monitor.example.org")
    assert _status(other) == 302


def test_every_answer_is_protected(visitor: FlaskClient) -> None:
    for path in ("/", "/login", "/nothing", "/static/page.css"):
        headers = visitor.get(path, base_url=BASE, headers=HTTPS).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"], path
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "unsafe" not in headers["Content-Security-Policy"]


def test_a_full_disk_keeps_nobody_out(visitor: FlaskClient, filled: Filled) -> None:
    (filled.places.page / "tries.sqlite").write_bytes(b"torn " * 400)
    assert _log_in(visitor, "ann", "wrong") == 401
    assert _log_in(visitor) == 302
