"""What the settings of the monitor's page refuse: each with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartwheel.project.monitor_app import ROLE, settings_for
from cartwheel.settings.loading import load
from tests.unit.settings.test_process_checks import MINIMAL, refused

PAGE = '[monitor]\npage = "monitor.example.org"\n'
CASES = {
    "no HTTPS": (PAGE, "2: monitor.page: the page has no HTTPS: set monitor.page_certificate"),
    "no key": (
        PAGE + 'page_certificate = "a.pem"',
        "3: monitor.page_certificate: monitor.page_key is missing: one is of no use without",
    ),
    "both": (
        PAGE + 'page_certificate = "a.pem"\npage_key = "a.key"\npage_acme = true',
        "5: monitor.page_acme: monitor.page_certificate is also set",
    ),
    "a name that no authority checks": (
        '[monitor]\npage = "monitor"\npage_acme = true',
        "2: monitor.page: monitor: the authority could not check it over HTTP",
    ),
    "no name": ("[monitor]\npage_acme = true", "2: monitor.page_acme: monitor.page is missing"),
    "metrics of no page": (
        '[monitor]\nmetrics = { env = "TOKEN" }',
        "2: monitor.metrics: monitor.page is missing: /metrics is a part of the page",
    ),
    "a folder up": (
        PAGE + 'page_host_certificate = "/etc/../a.pem"\npage_host_key = "/a.key"',
        "3: monitor.page_host_certificate: expected the absolute path of a file",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong(tmp_path: Path, case: str) -> None:
    text, says = CASES[case]
    found = refused(tmp_path, text)
    assert len(found) == 1 and found[0].startswith(says), found


def test_the_page_is_a_site_of_the_monitors_host(tmp_path: Path) -> None:
    text = 'page_certificate = "a.pem"\npage_key = "a.key"\n[tls]\ncertificate = "b.pem"\n'
    (tmp_path / "cartwheel.toml").write_text(MINIMAL + PAGE + text + 'key = "b.key"\nca = "r.pem"')
    own = settings_for(load(tmp_path, None, None), tmp_path)
    assert own.app.roles == (ROLE,) and own.web.server_names == ("monitor.example.org",)
    assert own.tls.certificate == "a.pem" and own.tls.ca == "r.pem"
    assert own.tls.key is not None and own.tls.key.file == "a.key"
    assert "/login" in own.web.paths


def test_without_a_name_there_is_no_page(tmp_path: Path) -> None:
    (tmp_path / "cartwheel.toml").write_text(MINIMAL)
    own = settings_for(load(tmp_path, None, None), tmp_path)
    assert own.app.roles != (ROLE,) and not own.tls.is_on
