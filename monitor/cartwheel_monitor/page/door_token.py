"""The door of `fab dashboard`: loopback, and the random token of the printed address.

Other users of the machine do not know the token; the page of a foreign site that rebinds its name
to 127.0.0.1 asks with a foreign Host, and gets nothing. The cookie is Lax: with Strict a browser
would not send it where the printed address was a link in a file or on another page.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from urllib.parse import urlsplit

from flask import Flask, Response, make_response, redirect, render_template, request, url_for

from cartwheel_monitor.language import _

PARAMETER = "token"
_NAMES = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class TokenDoor:
    """`token`: long and random."""

    token: str

    def set_up(self, app: Flask) -> None:
        """Nothing more is needed."""

    def guard(self) -> Response | None:
        if urlsplit(f"//{request.host}").hostname not in _NAMES:
            return _refused(_("This page is only for this machine."))
        given = request.args.get(PARAMETER)
        if given is not None and request.method == "GET":
            if not self._fits(given):
                return _refused(_("The address is of another dashboard. Use the one just printed."))
            answer = make_response(redirect(url_for("fleet.show")))
            answer.set_cookie(_cookie(), self.token, httponly=True, samesite="Lax")
            return answer
        if self._fits(request.cookies.get(_cookie(), "")):
            return None
        return _refused(_("Use the whole address that `fab dashboard` has printed."))

    def who(self) -> str:
        return ""

    def _fits(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.token.encode())


def _cookie() -> str:
    """Cookies are shared by all ports of a host: each dashboard has a name of its own."""
    port = request.host.rpartition(":")[2]
    return f"dashboard-{port}" if port.isdigit() else "dashboard"


def _refused(text: str) -> Response:
    return make_response(render_template("failed.html", code=403, text=text), 403)
