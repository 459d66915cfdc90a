"""Paths of requests, grouped."""

from __future__ import annotations

import pytest

from cartwheel.host.diagnose.paths import grouped


@pytest.mark.parametrize(
    ("path", "group"),
    [
        ("/", "/"),
        ("", "/"),
        ("/a?b=/1", "/a"),
        ("/api/v2/orders/4711/items", "/api/v2/orders/*/items"),
        ("/u/3f2b8c1e-9d4a-4f6b-8a1c-2e5d7f9b0a1f", "/u/*"),
        ("/x/deadbeef01", "/x/*"),
        ("/facade/feedface", "/facade/feedface"),
        ("/items/12-blue-shoe", "/items/*"),
        ("/i/12.html", "/i/*.html"),
        ("/files/report-2024.pdf", "/files/report-*.pdf"),
        ("/watch/dQw4w9WgXcQ", "/watch/*"),
        ("/reset/MQ/bxyz12-1a2b3c4d5e6f7a8b9c0d1e2f", "/reset/MQ/*"),
        ("/user/joe@example.org", "/user/*"),
        ("/user/joe%40example.org", "/user/*"),
        ("/blog/how-to-make-a-cake", "/blog/*"),
        ("/static/app.3f2b8c1e9d4a.css", "/static/app.*.css"),
        ("/admin/jsi18n/", "/admin/jsi18n/"),
        ("/b64/aGVsbG8gd29ybGQgaGVsbG8gd29ybGQx", "/b64/*"),
        ("/oauth2/callback", "/oauth2/callback"),
        ("/%E4%BD%A0", "/*"),
        ("/" + "a/" * 500, "/" + "a/" * 59 + "a"),
    ],
)
def test_a_group(path: str, group: str) -> None:
    assert grouped(path) == group
