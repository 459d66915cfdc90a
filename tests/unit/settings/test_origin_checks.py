"""DJANGO_ORIGINS has to fit the site: each mistake with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartwheel.settings.loading import load
from tests.unit.settings.test_process_checks import MINIMAL, refused

NAMES = '[web]\nserver_names = ["a.example", "b.example"]\n'
TLS = '[tls]\ncertificate = "a.pem"\nkey = "a.key"\n'
BOTH = "http://a.example http://b.example"


def text(origins: str, rest: str = "") -> str:
    return f'{rest}[env]\nDJANGO_ORIGINS = "{origins}"\n'


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (
            text("http://a.example", NAMES),
            "4: env.DJANGO_ORIGINS: lacks b.example of web.server_names",
        ),
        (text("", NAMES), "4: env.DJANGO_ORIGINS: lacks a.example"),
        (text("a.example"), "2: env.DJANGO_ORIGINS: expected origins as a browser shows them"),
        (text("https://a.example/"), "got 'https://a.example/'"),
        (text(BOTH, NAMES + TLS), "write https instead of http in http://a.example"),
        (text("http://*", TLS), "write https instead of http in http://*"),
    ],
)
def test_what_does_not_fit(tmp_path: Path, settings: str, problem: str) -> None:
    assert problem in "\n".join(refused(tmp_path, settings))


@pytest.mark.parametrize(
    "settings",
    [
        text(BOTH, NAMES),
        text(BOTH, f"{NAMES}{TLS}redirect = false\n"),
        text(BOTH.replace("http:", "https:"), NAMES + TLS),
        text("https://a.example:8443 https://b.example http://[::1]:8000", NAMES),
        text("http://*", NAMES),
        text("http://*.a.example", '[web]\nserver_names = ["*.a.example"]\n'),
        NAMES,
    ],
)
def test_what_fits(tmp_path: Path, settings: str) -> None:
    (tmp_path / "cartwheel.toml").write_text(MINIMAL + settings)
    load(tmp_path, None, None)
