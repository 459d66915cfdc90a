"""The file that all sites of a host share, in a real Apache."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartwheel.host.web import apache_config, apache_shared
from cartwheel.host.web.apache_config import MODULES, Configuration
from tests.kit.apache import Apache

FINE = "Syntax OK\n"


def host(folder: Path, model: str = "event") -> Apache:
    """With the shared file in its place."""
    apache = Apache(folder, model)
    apache.site("zz-cartwheel", f"Define APACHE_RUN_DIR {folder}\n" + shared(folder))
    return apache


def shared(folder: Path) -> str:
    return apache_shared.text(sites=folder / "cartwheel")


def names(config: Configuration) -> list[tuple[str, ...]]:
    return [one.names for one in apache_config.servers(config)]


@pytest.mark.parametrize("model", ["event", "worker", "prefork"])
def test_it_loads_what_is_missing(tmp_path: Path, model: str) -> None:
    apache = host(tmp_path, model)
    assert apache.test() == FINE
    missing = set(apache_shared._MODULES) - apache.ask().modules
    assert missing == ({"http2"} if model == "prefork" else set())
    assert [one.words[0] for one in apache.ask().named("sslsessioncache")] == ["SSLSessionCache"]


def test_what_the_host_loads_itself_stays(tmp_path: Path) -> None:
    """Also where `a2enmod` comes later: no module is loaded twice, and no setting is replaced."""
    apache = host(tmp_path)
    names = [name for name in apache_shared._MODULES if name not in ("authz_core", "macro")]
    apache.site("0", "\n".join(f"LoadModule {one}_module {MODULES}/mod_{one}.so" for one in names))
    assert apache.test() == FINE
    assert list(apache.ask().named("sslsessioncache")) == []


def test_it_reads_the_sites(tmp_path: Path) -> None:
    apache = host(tmp_path)
    apache.main.write_text(
        apache.main.read_text().replace("IncludeOptional cartwheel/*.conf\n", "")
    )
    site = "<VirtualHost *:80>\nServerName {0}\n</VirtualHost>\n"
    apache.site("cartwheel-a", site.format("ours"), folder="cartwheel")
    apache.site("other", site.format("theirs"))
    apache.site("not-a-site", site.format("no"), folder="cartwheel")
    assert names(apache.ask()) == [("theirs",), ("ours",)]


def test_a_site_for_all_names_comes_last(tmp_path: Path) -> None:
    apache = host(tmp_path)
    site = "<VirtualHost *:80>\nServerName {0}\n{1}\n</VirtualHost>\n"
    every = site.format("a", "ServerAlias *")
    chosen = f"<Macro Every>\n{every}</Macro>\nDefine CARTWHEEL_DEFAULT Every\n"
    file = apache.site("cartwheel-a", chosen, folder="cartwheel")
    apache.site("cartwheel-b", site.format("b", ""), folder="cartwheel")
    apache.main.write_text(
        apache.main.read_text().replace("IncludeOptional cartwheel/*.conf\n", "")
    )
    first, last = apache_config.servers(apache.ask())
    assert first.names == ("b",)
    assert (last.file, last.default_ports) == (str(file), (80,))
    assert apache.test() == FINE
