"""The door of a page on a host: a name and a password, behind HTTPS.

A session is a signed cookie with the user's name and the stamp of the password: it ends when the
user goes, and when the password is another one. Requests that change something carry a token
against forgery (Flask-WTF), the form of the login too.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from flask import (
    Blueprint,
    Flask,
    Response,
    g,
    make_response,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask_wtf.csrf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix

from cartwheel_monitor.language import _
from cartwheel_monitor.page import site, users
from cartwheel_monitor.page.tries import Tries

_LIFETIME = timedelta(days=7)
_SECRET_BYTES = 32
_MOST_CHARACTERS = 1024


@dataclass(frozen=True)
class LoginDoor:
    """`users`: the folder with the users; `own`: a folder of the page's own."""

    users: Path
    own: Path

    def set_up(self, app: Flask) -> None:
        app.config.update(
            SECRET_KEY=_secret(self.own / "secret"),
            SESSION_COOKIE_NAME="__Host-session",
            SESSION_COOKIE_SECURE=True,
            SESSION_COOKIE_HTTPONLY=True,
            SESSION_COOKIE_SAMESITE="Lax",
            PERMANENT_SESSION_LIFETIME=_LIFETIME,
            WTF_CSRF_TIME_LIMIT=None,  # a token lives as long as its session
            MAX_CONTENT_LENGTH=64 << 10,
        )
        # Cartwheel's site in front sets both headers, and nobody else reaches the socket.
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1)  # type: ignore[method-assign]  # Flask's own way
        CSRFProtect(app)  # type: ignore[no-untyped-call]  # it has no types
        app.register_blueprint(self._views())

    def guard(self) -> Response | None:
        if request.endpoint == "login.log_in":
            return None
        name, stamp = session.get("name"), session.get("stamp")
        user = users.find(self.users, name) if isinstance(name, str) else None
        if user is not None and user.stamp == stamp:
            g.user = user.name
            return None
        there = request.full_path.rstrip("?") if request.method == "GET" else "/"
        return make_response(redirect(url_for("login.log_in", next=there)))

    def who(self) -> str:
        return str(g.get("user", ""))

    def _views(self) -> Blueprint:
        views = Blueprint("login", __name__)
        tries = Tries(self.own / "tries.sqlite")

        @views.route("/login", methods=["GET", "POST"])
        def log_in() -> Response:
            if request.method == "GET":
                return _form()
            name = request.form.get("name", "")[:_MOST_CHARACTERS]
            password = request.form.get("password", "")[:_MOST_CHARACTERS]
            address = request.remote_addr or ""
            # Not the name alone: others could lock somebody out.
            keys = (f"{address} {name}", address)
            if tries.are_too_many(*keys, now=g.now):
                return _form(_("Too many tries. Wait some minutes."), 429)
            user = users.log_in(self.users, name, password)
            if user is None:
                tries.failed(*keys, now=g.now)
                return _form(_("No such user, or another password."), 401)
            tries.forget(*keys)
            session.clear()
            session.permanent = True
            session["name"], session["stamp"] = user.name, user.stamp
            return site.back()

        @views.post("/logout")
        def log_out() -> Response:
            session.clear()
            return make_response(redirect(url_for("login.log_in")))

        return views


def _form(problem: str = "", code: int = 200) -> Response:
    return make_response(render_template("login.html", problem=problem), code)


def _secret(path: Path) -> bytes:
    """The key that signs sessions, made once; several processes may start at once."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = path.with_name(f"{path.name}.{os.getpid()}")
    if not path.exists():
        fd = os.open(str(made), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(secrets.token_bytes(_SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(str(made), str(path))
        except FileExistsError:
            pass
        finally:
            made.unlink()
    return path.read_bytes()
