"""The kind of web server: Apache."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartwheel.host.web.apache import Apache as Kind
from cartwheel.host.web.server import TlsSite
from tests.kit.apache import Apache

KIND = Kind()


@pytest.mark.parametrize(
    "value", ["/srv/a b", "=/health?x=1", 'say "x"', "C:\\x\\", "it's", "*.example", "#no", "größe"]
)
def test_a_word_is_one_word(tmp_path: Path, value: str) -> None:
    apache = Apache(tmp_path)
    apache.site("a", f"ServerAdmin {KIND.word(value)}")
    (found,) = apache.ask().named("serveradmin")
    assert found.words[1:] == (value,)


@pytest.mark.parametrize("value", ["", "a\nb", "a\tb", "${x}"])
def test_what_no_quotes_can_hold_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="not allowed in Apache's configuration"):
        KIND.word(value)


def test_its_version() -> None:
    assert KIND.version_in("Server version: Apache/2.4.56 (Debian)\nServer built: x") == "2.4.56"
    assert KIND.version_in("") is None


def test_how_a_site_is_served_over_tls() -> None:
    text = "<VirtualHost *:8443>\n    SSLCertificateFile /srv/x/tls/live/fullchain.pem\n"
    assert KIND.tls_of(text) == TlsSite(8443, Path("/srv/x/tls/live/fullchain.pem"))
    assert KIND.tls_of("") is None


def test_a_name_that_another_file_has(tmp_path: Path) -> None:
    apache = Apache(tmp_path)
    site = "<VirtualHost *:80>\nServerName {0}\n</VirtualHost>\n"
    apache.site("a", site.format("A.example") + site.format("twice") * 2)
    apache.site("b", site.format("a.example") + site.format("elsewhere").replace("80", "81"))
    apache.site("c", site.format("elsewhere"))
    said = apache.dump()
    assert KIND.taken_name(said, ["b.example", "twice", "elsewhere"]) is None
    assert KIND.taken_name(said, ["b.example", "A.example"]) == "A.example"
