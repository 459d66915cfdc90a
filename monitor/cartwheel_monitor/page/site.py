"""The Flask application: its views, and what holds for all of them."""

from __future__ import annotations

import hashlib
import time
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from flask import Flask, Response, current_app, g, redirect, render_template, request, url_for
from werkzeug.exceptions import HTTPException

from cartwheel_monitor import language
from cartwheel_monitor.language import _, _n
from cartwheel_monitor.page import bars, views, words
from cartwheel_monitor.page.reading.projects import NotWatchedError
from cartwheel_monitor.places import Places

THEMES = ("auto", "light", "dark")
_YEAR_SECONDS = 365 * 86400
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Door(Protocol):
    """Who may come in. `guard` is called before each request, and answers in its place to refuse
    it; `set_up` adds what the door needs."""

    def set_up(self, app: Flask) -> None: ...

    def guard(self) -> Response | None: ...

    def who(self) -> str:
        """The name of the person, "" for the only one."""


def create(places: Places, door: Door) -> Flask:
    """The page over the monitor's files."""
    app = Flask("cartwheel_monitor.page", root_path=str(Path(__file__).parent))
    app.config["PLACES"], app.config["DOOR"] = places, door
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = _YEAR_SECONDS  # their addresses name their content
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True, "finalize": _sendable}
    app.before_request(_prepare)
    door.set_up(app)
    for blueprint in views.every():
        app.register_blueprint(blueprint)
    app.after_request(_protect)
    app.context_processor(_for_templates)
    app.register_error_handler(HTTPException, _failed)
    app.register_error_handler(NotWatchedError, _not_watched)
    return app


def _sendable(value: object) -> object:
    """What a host says may have halves of characters, which no answer can have."""
    is_plain = type(value) is not str or value.isascii()
    return value if is_plain else str(value).encode("utf-8", "replace").decode()


def places() -> Places:
    """Where the monitor's files are, of this request."""
    found: Places = current_app.config["PLACES"]
    return found


def door() -> Door:
    found: Door = current_app.config["DOOR"]
    return found


def _prepare() -> Response | None:
    g.now = time.time()
    language.use(request.cookies.get("language") or _preferred())
    if request.endpoint in ("static", "about.alive", "metrics.show"):
        return None
    return door().guard()


def _preferred() -> str:
    """The first of the browser's languages that there is, in whatever country."""
    wanted = [tag for tag, quality in request.accept_languages if quality > 0]
    names = [tag.partition("-")[0].lower() for tag in wanted]
    return next((one for one in names if one in language.LANGUAGES), "")


def _protect(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if request.endpoint != "static":
        response.headers["Cache-Control"] = "no-store"
        response.vary.update(("Cookie", "Accept-Language"))
    return response


def _for_templates() -> dict[str, object]:
    theme = request.cookies.get("theme", "auto")
    return {
        "_": _,
        "_n": _n,
        "words": words,
        "bars": bars,
        "now": g.now,
        "asset": asset,
        "menu": views.menu(),
        "app_menu": views.app_menu(),
        "who": door().who(),
        "chosen_language": language.chosen(),
        "languages": language.LANGUAGES,
        "themes": {"auto": _("automatic"), "light": _("light"), "dark": _("dark")},
        "theme": theme if theme in THEMES else "auto",
    }


def asset(name: str) -> str:
    """The address of a static file; it is another one when its content is."""
    return url_for("static", filename=name, v=_digest(name))


@lru_cache(maxsize=None)
def _digest(name: str) -> str:
    data = (Path(__file__).parent / "static" / name).read_bytes()
    return hashlib.sha256(data).hexdigest()[:12]


def back() -> Response:
    """Back to the view that a link was on; never to another site."""
    there = request.args.get("next", "")
    safe = there.startswith("/") and not there.startswith(("//", "/\\"))
    return redirect(there if safe else url_for("fleet.show"))  # type: ignore[return-value]  # werkzeug's


def _failed(error: HTTPException) -> tuple[str, int] | HTTPException:
    code = error.code or 500
    texts = {
        400: _("The request is not valid. Go back, load the page again, and try once more."),
        403: _("You may not see this."),
        404: _("There is no such page."),
        429: _("Too many tries. Wait some minutes."),
    }
    text = texts.get(code)
    if text is None:
        return error
    return render_template("failed.html", code=code, text=text), code


def _not_watched(error: NotWatchedError) -> tuple[str, int]:
    text = _("{name} is not watched here.").format(name=error)
    return render_template("failed.html", code=404, text=text), 404
