"""Real-life nginx configurations, read without nginx."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartwheel.host.web import nginx_config
from cartwheel.host.wire.facts import Server

DEBIAN = """
user www-data;
worker_processes auto;
pid /run/nginx.pid;
error_log /var/log/nginx/error.log;
include modules-enabled/*.conf;

events {
\tworker_connections 768;
\t# multi_accept on;
}

http {
\tsendfile on;
\ttypes_hash_max_size 2048;
\t# server_tokens off;
\tinclude mime.types;
\tdefault_type application/octet-stream;
\tssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3; # Dropping SSLv3, ref: POODLE
\taccess_log /var/log/nginx/access.log;
\tinclude conf.d/*.conf;
\tinclude sites-enabled/*;
}

#mail {
#\tserver {
#\t\tlisten     localhost:110;
#\t}
#}
"""

DEBIAN_DEFAULT = """
##
# You should look at the following URL's in order to grasp a solid understanding
##
server {
\tlisten 80 default_server;
\tlisten [::]:80 default_server;

\t# listen 443 ssl default_server;
\troot /var/www/html;
\tindex index.html index.htm index.nginx-debian.html;
\tserver_name _;

\tlocation / {
\t\ttry_files $uri $uri/ =404;
\t}
\t#location ~ \\.php$ {
\t#\tfastcgi_pass unix:/run/php/php7.4-fpm.sock;
\t#}
}
"""


def read(folder: Path, text: str) -> list[Server]:
    (folder / "nginx.conf").write_text(text)
    return nginx_config.servers(folder / "nginx.conf")


def http(folder: Path, text: str) -> list[Server]:
    return read(folder, "events {}\nhttp {\n" + text + "\n}\n")


def named(servers: list[Server]) -> list[tuple[str, ...]]:
    return [server.names for server in servers]


def test_debians_own(tmp_path: Path) -> None:
    for name in ("sites-available", "sites-enabled", "conf.d"):
        (tmp_path / name).mkdir()
    (tmp_path / "mime.types").write_text("types { text/html html htm; }")
    (tmp_path / "sites-available" / "default").write_text(DEBIAN_DEFAULT)
    (tmp_path / "sites-enabled" / "default").symlink_to("../sites-available/default")
    (tmp_path / "sites-enabled" / ".hidden").write_text("server { server_name hidden; }")
    (tmp_path / "conf.d" / "off.conf.disabled").write_text("server { server_name off; }")
    found = read(tmp_path, DEBIAN)
    default = str(tmp_path / "sites-enabled" / "default")
    assert found == [Server(default, (80, 80), ("_",), (80, 80))]
    assert nginx_config.user(tmp_path / "nginx.conf") == "www-data"


def test_no_nginx(tmp_path: Path) -> None:
    assert nginx_config.servers(tmp_path / "none.conf") == []
    assert nginx_config.user(tmp_path / "none.conf") == "www-data"


def test_the_user_is_the_main_parts(tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text("# user root;\nuser  'http'  http;\nevents {}")
    assert nginx_config.user(path) == "http"
    path.write_text("http { map $a $b { user nobody; } }")
    assert nginx_config.user(path) == "www-data"


@pytest.mark.parametrize(
    ("listen", "ports", "default"),
    [
        ("80", (80,), ()),
        ("*:8080", (8080,), ()),
        ("8080 ssl http2", (8080,), ()),
        ("127.0.0.1", (80,), ()),
        ("127.0.0.1:81 default_server", (81,), (81,)),
        ("localhost", (80,), ()),
        ("localhost:8000 reuseport", (8000,), ()),
        ("[::]:443 ssl default_server ipv6only=on", (443,), (443,)),
        ("[::1]", (80,), ()),
        ("80 default", (80,), (80,)),
        ("8000-8002", (8000, 8001, 8002), ()),
        ("127.0.0.1:8000-8001 default_server", (8000, 8001), (8000, 8001)),
        ("unix:/run/other.sock", (), ()),
        ("unix:/run/x:80 default_server", (), ()),
    ],
)
def test_listen(
    tmp_path: Path, listen: str, ports: tuple[int, ...], default: tuple[int, ...]
) -> None:
    (server,) = http(tmp_path, f"server {{ listen {listen}; }}")
    assert server.ports == ports
    assert server.default_ports == default


def test_a_server_that_listens_nowhere_listens_on_80(tmp_path: Path) -> None:
    (server,) = http(tmp_path, "server { server_name a; }")
    assert (server.ports, server.default_ports) == ((80,), ())


def test_default_for_one_port_is_not_default_for_all(tmp_path: Path) -> None:
    (server,) = http(tmp_path, "server { listen 80; listen 443 ssl default_server; }")
    assert (server.ports, server.default_ports) == ((80, 443), (443,))


def test_names(tmp_path: Path) -> None:
    (server,) = http(
        tmp_path,
        r"""server {
            server_name example.com www.EXAMPLE.com # the old one
                "quoted.example" '*.example.org';
            server_name ~^(?<user>.+)\.example\.net$ "~^a{2,3}\.net$" "" _;
        }""",
    )
    assert server.names == (
        "example.com",
        "www.example.com",
        "quoted.example",
        "*.example.org",
        r"~^(?<user>.+)\.example\.net$",
        r"~^a{2,3}\.net$",
        "",
        "_",
    )


def test_only_the_servers_of_http_count(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        """
        stream { upstream b { server 10.0.0.1:53; } server { listen 80; proxy_pass b; } }
        mail { server { listen 110; server_name mail; } }
        http {
            upstream a { server 127.0.0.1:8000; server unix:/run/x backup; }
            server { server_name web; location / { proxy_pass http://a; } }
        }
        """,
    )
    assert named(found) == [("web",)]


def test_nested_blocks_belong_to_their_server(tmp_path: Path) -> None:
    found = http(
        tmp_path,
        """
        server {
            listen 80;
            location / { if ($host = "x") { return 301 https://x$request_uri; } }
            location ~ \\.php$ { fastcgi_param listen 99; }
            server_name late;
        }
        map $http_upgrade $connection { default upgrade; '' close; server_name no; }
        server { server_name second; }
        """,
    )
    assert named(found) == [("late",), ("second",)]
    assert found[0].ports == (80,)


@pytest.mark.parametrize(
    "trap",
    [
        # marks inside quotes, as JSON log formats have them
        """log_format json escape=json '{' '"a": "$b",' '}';""",
        """log_format json escape=json
              '{'
                '"time": "$time_iso8601", '
                '"agent": "it\\'s; a { "'
              '}';""",
        """add_header A "}"; add_header B "{"; add_header C ";";""",
        """add_header A '{';""",
        """add_header A "}";""",
        """server { add_header A "}"; server_name x; }""",
        """init_by_lua_block { -- } and it's }
              local x = 1 }""",
        """init_by_lua_block { local a, b = '{', "{" }""",
        """server { server_name x; return 200 "}"; }""",
        "# a comment with { braces and an 'apostrophe\n",
        "#",
        r"map $uri $x { ~^/a[\}\{]+ 1; ~*/it's/ 2; default 0; }",
        "map $uri $x { \"~^/[0-9]{2}/\" 1; default ''; }",
        "server { server_name x; location ~ ^/u#frag { return 204; } }",
        "server { server_name x; rewrite ^/(.*)$ /${lang}/$1 last; set $a ${b}c; }",
        """server { server_name x; if ($http_cookie ~* "id=([^;]+)(?:;|$)") { set $id $1; } }""",
        """server { server_name x; if ($args ~ 'a}b') { return 400; } }""",
        'server { server_name x; location ~ ^/a"b { return 204; } }',
        (
            "server { server_name x;"
            " location ~ ^/a'b { return 204; } location ~ ^/c'd { return 204; } }"
        ),
        """server { server_name x; content_by_lua_block {
              -- don't stumble } over { this
              local t = { a = "}", b = '{', c = [[ } ' ]] }
              --[[ nor } this ' ]]
              if t.a then ngx.say("it's") end
           } }""",
        """init_by_lua_block { local x = "'" } """,
        """init_by_lua_block {
              -- ' one apostrophe
           }""",
        "server { server_name x; location / { js_content main.hello; } }",
        "types { text/html html; }",
        'split_clients $remote_addr $v { 0.5% .one; * ""; }',
        "geo $x { default 0; 127.0.0.1/32 2; }",
        "\r\nserver\r\n{\r\n\tserver_name x;\r\n}\r\n",
        "server{server_name x;location/{return 204;}}",
    ],
)
def test_traps_do_not_hide_the_server_after_them(tmp_path: Path, trap: str) -> None:
    found = http(tmp_path, trap + "\nserver { listen 8080; server_name after; }")
    assert named(found)[-1] == ("after",)
    assert found[-1].ports == (8080,)
    assert named(found)[:-1] == ([("x",)] if "server_name x" in trap else [])


def test_includes(tmp_path: Path) -> None:
    """Relative to the main file, by wildcard in order, inside blocks too, quoted, absolute."""
    (tmp_path / "sites").mkdir()
    (tmp_path / "snippets").mkdir()
    (tmp_path / "sites" / "b.conf").write_text("server { include snippets/names; listen 82; }")
    (tmp_path / "sites" / "a.conf").write_text("server { server_name a; }")
    (tmp_path / "snippets" / "names").write_text("server_name b;\nserver_name c;")
    (tmp_path / "other").write_text("server { server_name d; }")
    found = http(
        tmp_path,
        f"""include 'sites/*.conf'; include "{tmp_path}/other"; include missing/*.conf;
        include gone; include mime.types; server {{ server_name own; }}""",
    )
    assert named(found) == [("a",), ("b", "c"), ("d",), ("own",)]
    assert [Path(server.file).name for server in found] == [
        "a.conf",
        "b.conf",
        "other",
        "nginx.conf",
    ]
    assert found[1].ports == (82,)


def test_files_that_include_themselves_end(tmp_path: Path) -> None:
    assert http(tmp_path, "include nginx.conf; server { server_name a; }")
    assert read(tmp_path, "include loop;") == []
    (tmp_path / "loop").write_text("include loop; include loop;")
    assert read(tmp_path, "include loop;") == []


@pytest.mark.parametrize(
    "text",
    ["}", "}}}}", "server {", 'server { server_name "a', "{{{", "\0\xff", ";;;", "include ;"],
)
def test_what_is_no_configuration_does_no_harm(tmp_path: Path, text: str) -> None:
    read(tmp_path, text)
    http(tmp_path, text)


def test_other_encodings(tmp_path: Path) -> None:
    (tmp_path / "nginx.conf").write_bytes(b"http { # caf\xe9 '\nserver { server_name a; } }")
    assert named(nginx_config.servers(tmp_path / "nginx.conf")) == [("a",)]


def test_which_folders_of_sites_nginx_reads(tmp_path: Path) -> None:
    main = tmp_path / "nginx.conf"
    site = tmp_path / "conf.d" / "cartwheel-shop.conf"
    assert nginx_config.includes(site, main), "nginx was built with another path"
    for text, reads in (
        ("http { include conf.d/*.conf; }", True),
        (f"http {{ include {tmp_path}/conf.d/*; }}", True),
        ("http { # include conf.d/*.conf;\n}", False),
        ("include conf.d/*.conf; http { }", False),
        ("http { include sites-enabled/*; }", False),
        ("http { include more.conf; }", True),
        ("http { server { include conf.d/*.conf; } }", False),
    ):
        (tmp_path / "more.conf").write_text("include conf.d/*.conf;")
        main.write_text(text)
        assert nginx_config.includes(site, main) is reads, text


def test_modules_that_are_loaded(tmp_path: Path) -> None:
    main = tmp_path / "nginx.conf"
    main.write_text(DEBIAN)
    assert not nginx_config.loads("ngx_http_brotli_static_module", main)
    (tmp_path / "modules-enabled").mkdir()
    one = tmp_path / "modules-enabled/50-mod-http-brotli-static.conf"
    one.write_text("#load_module modules/ngx_http_brotli_static_module.so;\n")
    assert not nginx_config.loads("ngx_http_brotli_static_module", main)
    one.write_text("load_module modules/ngx_http_brotli_static_module.so;\n")
    assert nginx_config.loads("ngx_http_brotli_static_module", main)
