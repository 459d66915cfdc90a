"""Real-life configurations of Apache, read by a real Apache."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartwheel.host.web import apache_config
from cartwheel.host.web.apache_config import Configuration, on_disk
from cartwheel.host.wire.facts import Server
from tests.kit.apache import Apache
from tests.kit.tiers import only_root


@pytest.fixture
def apache(tmp_path: Path) -> Apache:
    return Apache(tmp_path)


def servers(config: Configuration) -> list[Server]:
    return apache_config.servers(config)


def test_debians_own_site_is_the_default(apache: Apache) -> None:
    file = apache.site("000-default", "<VirtualHost *:80>\n DocumentRoot /var/www\n</VirtualHost>")
    assert servers(apache.ask()) == [Server(str(file), (80,), (), (80,))]


def test_names_and_ports(apache: Apache) -> None:
    file = apache.site(
        "a",
        """
        Listen 8080
        <VirtualHost *:80 [::1]:8080>
            ServerName https://WWW.Example.com:443
            ServerAlias a.example *.B.example
            ServerAlias 'c.example'
        </VirtualHost>
        <VirtualHost _default_:*>
        </VirtualHost>
        <VirtualHost 127.0.0.1>
            ServerName second
        </VirtualHost>
        """,
    )
    first = ("www.example.com", "a.example", "*.b.example", "c.example")
    assert servers(apache.ask()) == [
        Server(str(file), (80, 8080), first, ()),
        Server(str(file), (80, 8080), (), (80, 8080)),
        Server(str(file), (80, 8080), ("second",), ()),
    ]


def test_only_the_first_without_a_name_is_the_default(apache: Apache) -> None:
    nameless = "<VirtualHost *:80>\n</VirtualHost>\n"
    apache.site("a", "<VirtualHost *:80>\nServerName a\n</VirtualHost>\n" + nameless)
    assert [one.default_ports for one in servers(apache.ask())] == [(), ()]
    apache.site("a", nameless + nameless)
    assert [one.default_ports for one in servers(apache.ask())] == [(80,), ()]


def test_who_takes_all_names_is_the_default(apache: Apache) -> None:
    file = apache.site(
        "b", "<VirtualHost *:80>\nServerName x\nServerAlias y *\n</VirtualHost>", folder="cartwheel"
    )
    assert servers(apache.ask()) == [Server(str(file), (80,), (), (80,))]


def test_the_name_of_a_site_for_a_pattern_is_none(apache: Apache) -> None:
    site = "<VirtualHost *:80>\nServerName shop.cartwheel.invalid\nServerAlias *.x\n</VirtualHost>"
    apache.site("b", site, folder="cartwheel")
    assert [one.names for one in servers(apache.ask())] == [("*.x",)]


def test_conditions_variables_and_macros_are_resolved(apache: Apache) -> None:
    file = apache.site(
        "a",
        """
        Define name shop
        <IfModule no_such_module>
            <VirtualHost *:80>
            </VirtualHost>
        </IfModule>
        <IfDefine name>
            <Macro Site $port>
                # Apache does not count comments,

                ServerName ${name}.example
                Timeout \\
                    5
                Timeout 6
            </Macro>
        </IfDefine>
        <VirtualHost *:80>
            Use Site 80
        </VirtualHost>
        """,
    )
    config = apache.ask()
    assert servers(config) == [Server(str(file), (80,), ("shop.example",), ())]
    assert [one.place(on_disk) for one in config.named("servername") if one.site is not None] == [
        f"{file}:11"
    ]
    assert [one.place(on_disk) for one in config.named("timeout")] == [f"{file}:12", f"{file}:14"]


def test_a_site_over_tls_belongs_to_its_file(apache: Apache, tmp_path: Path) -> None:
    """The file of TLS, which the site includes, has the same names by the same macro."""
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls/site.conf").write_text(
        "Listen 8443\n<VirtualHost *:8443>\nUse Cartwheel_shop\n</VirtualHost>\n"
    )
    file = apache.site(
        "cartwheel-shop",
        f"""
        <Macro Cartwheel_shop>
            ServerName shop.example
        </Macro>
        IncludeOptional {tmp_path}/tls/site*.conf
        Listen 8080
        <VirtualHost *:8080>
            Use Cartwheel_shop
        </VirtualHost>
        """,
        folder="cartwheel",
    )
    config = apache.ask()
    assert servers(config) == [
        Server(str(file), (8443,), ("shop.example",), ()),
        Server(str(file), (8080,), ("shop.example",), ()),
    ]
    assert apache_config.listens(config) == [80]


@only_root("mounts")
def test_what_our_sites_repeat_hides_nothing_of_others(apache: Apache) -> None:
    """The next deploy learns that it must leave it out."""
    ours = apache.site("cartwheel-shop", "Listen 8080", folder="cartwheel")
    theirs = apache.site("a", "Listen 8080\nServerLimit 7")
    assert not apache.ask().directives, "it is broken"
    config = apache_config.ask(apache.command, ours.parent)
    assert apache_config.listens(config) == [80, 8080]
    assert apache_config.server_limit(config) == 7
    theirs.write_text("Nonsense\n")
    assert not apache_config.ask(apache.command, ours.parent).directives
    assert ours.read_text() == "Listen 8080\n"


def test_a_section_in_a_site_is_no_site(apache: Apache) -> None:
    apache.site(
        "a",
        """
        <VirtualHost *:80>
            <Location "/x y">
                Require all denied
            </Location>
            ServerName 'a'
        </VirtualHost>
        ServerAdmin "x \\"y\\" \\\\z"
        """,
    )
    config = apache.ask()
    require = next(config.named("require"))
    assert require.inside == (("VirtualHost", "*:80"), ("Location", "/x y"))
    assert require.words == ("Require", "all", "denied")
    assert require.site == 0
    admin = next(config.named("serveradmin"))
    assert (admin.words[1], admin.site) == ('x "y" \\z', None)
    assert [one.names for one in servers(config)] == [("a",)]


def test_broken_and_missing(apache: Apache, tmp_path: Path) -> None:
    apache.site("a", "<VirtualHost *:80>\nNoSuch x\n</VirtualHost>")
    assert servers(apache.ask()) == []
    assert apache_config.ask(["no-such-program"]) == Configuration()


def test_the_user(apache: Apache, tmp_path: Path) -> None:
    envvars = tmp_path / "envvars"
    assert apache_config.user(apache.ask(), envvars) == "www-data"
    envvars.write_text("unset HOME\nexport APACHE_RUN_USER=web-1\n")
    assert apache_config.user(Configuration(), envvars) == "web-1"
    apache.site("a", "User nobody")
    assert apache_config.user(apache.ask(), envvars) == "nobody"


@pytest.mark.parametrize(
    ("lines", "at_once"),
    [
        ("", 400),
        ("MaxRequestWorkers 150", 150),
        ("ThreadsPerChild 10", 160),
        ("ThreadLimit 100\nThreadsPerChild 100\nMaxClients 500", 500),
        ("ServerLimit 2\nThreadsPerChild 5\nMaxRequestWorkers 100", 10),
    ],
)
def test_how_much_it_serves_at_once(apache: Apache, lines: str, at_once: int) -> None:
    apache.site("a", lines)
    config = apache.ask()
    assert apache_config.model(config) == "event"
    assert apache_config.at_once(config) == at_once


def test_prefork(tmp_path: Path) -> None:
    config = Apache(tmp_path, model="prefork").ask()
    assert apache_config.model(config) == "prefork"
    assert (apache_config.at_once(config), apache_config.server_limit(config)) == (256, 256)
    assert apache_config.at_once(Configuration()) == 0


def test_which_files_it_reads(apache: Apache, tmp_path: Path) -> None:
    def reads(name: str) -> bool:
        return apache_config.includes(tmp_path / name, apache.ask(), apache.main)

    assert reads("sites/zz-cartwheel.conf")
    assert not reads("other/zz-cartwheel.conf")
    (tmp_path / "other").mkdir()
    apache.site("a", 'Include "other/*.conf"\n# IncludeOptional third/*')
    (tmp_path / "other/x.conf").touch()
    assert reads("other/zz-cartwheel.conf")
    assert not reads("third/x")
    assert apache_config.includes(tmp_path / "sites/x.conf", Configuration(), apache.main)
    assert not apache_config.includes(tmp_path / "y/x.conf", Configuration(), apache.main)
    assert apache_config.includes(Path("/x"), Configuration(), tmp_path / "none")
