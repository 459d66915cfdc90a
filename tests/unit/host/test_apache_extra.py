"""Lines of the user's own for Apache: what is refused, with the number of the line."""

from __future__ import annotations

import pytest

from cartwheel.host.web.apache_extra import problems


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only a comment </Macro> \\x",
        'Header set X-A "a </b> ${x}"\nExpiresActive On',
        '<If "%{HTTP_USER_AGENT} =~ /bot{2}/">\n  Require all denied\n</If>',
        '<Location "/files/">\n  Require ip 10.0.0.0/8\n  SetHandler none\n</Location>',
        "<Location /old>\n  Redirect 301 https://example.com/\n</Location>",
        "<IfModule mod_expires.c>\n  ExpiresActive On\n</IfModule>",
        "<Location />\n  Header set A b\n</Location>",
        '<FilesMatch "\\.php$">\n  Require all denied\n</FilesMatch>',
        "RewriteRule ^/old/(.*)$ /new/$1 [R=301,L]",
        "RewriteRule ^/robots.txt$ /srv/robots.txt [L]",
        "RewriteRule ^ - [E=mine:1]",
        "RewriteCond %{QUERY_STRING} x\nRewriteCond %{HTTPS} on\nRewriteRule ^ - [F]",
        "RewriteCond %{HTTPS} on\nRewriteRule ^ - [C]\nRewriteRule ^ - [G]",
        "RewriteRule ^/api/(.*) http://127.0.0.1:9000/$1 [P,L]",
        "RequestHeader set X-Mine 1",
        "SetEnvIf User-Agent x y=1",
    ],
)
def test_the_users_own_is_the_users(text: str) -> None:
    assert list(problems(text)) == []


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("\n\nProxyPass / http://x/", 3, "ProxyPass: the site's rules decide before it"),
        ("REDIRECT / /x", 1, "REDIRECT: the site's rules decide before it"),
        ("Alias /x /srv/x", 1, "Alias: the site's rules decide before it"),
        ("SetHandler none", 1, "SetHandler: it would answer every request"),
        ("RewriteEngine Off", 1, "RewriteEngine: the site's rules need it"),
        ("RewriteRule ^ - [F]", 1, "RewriteRule: it would answer every request"),
        ("RewriteRule ^/ https://x/ [R,L]", 1, "RewriteRule: it would answer every request"),
        ('RewriteRule "^/(.*)$" "/x" [L]', 1, "RewriteRule: it would answer every request"),
        ("RewriteRule .* - [END]", 1, "RewriteRule: it would answer every request"),
        ("RewriteRule ^/a /b", 1, "RewriteRule: it would change nothing"),
        ("RewriteRule ^/a - [S=2]", 1, "RewriteRule: it could skip rules of the site"),
        ("RewriteRule ^/a /b [L,next=3]", 1, "RewriteRule: it would begin with"),
        ("RewriteRule ^/a - [E=cartwheel_probe:1]", 1, "RewriteRule: [E=cartwheel_probe:1] is"),
        ("RewriteCond %{HTTPS} on", 1, "RewriteCond: no RewriteRule follows"),
        ("RewriteRule ^/a - [C]", 1, "RewriteRule: [C] would chain it"),
        ("Header set A b\nListen 81", 2, "Listen: use web.listen and tls.listen"),
        ("<VirtualHost *:80>\n</VirtualHost>", 1, "VirtualHost: use web.listen"),
        ("Include /etc/x.conf", 1, "Include: write the lines themselves here"),
        ("<Location /x>\n IncludeOptional y\n</Location>", 2, "IncludeOptional: write the lines"),
        ("Use Mine", 1, "Use: write the lines themselves here"),
        ("CustomLog /x common", 1, "CustomLog: Cartwheel judges a release by"),
        ("ErrorLog /x", 1, "ErrorLog: Cartwheel judges a release by"),
        ("ServerAlias x", 1, "ServerAlias: use web.server_names"),
        ("DocumentRoot /srv", 1, "DocumentRoot: use [web.static]"),
        ("SSLEngine Off", 1, "SSLEngine: use [tls]"),
        ("Protocols http/1.1", 1, "Protocols: [tls] turns HTTP/2 on"),
        ("Define X", 1, "Define: it belongs outside of a site"),
        ("LoadModule x y", 1, "LoadModule: it belongs outside of a site"),
        (
            "<Location /x>\nSetInputFilter X\n</Location>",
            2,
            "SetInputFilter: the site's own filters",
        ),
        ("FilterChain X", 1, "FilterChain: the site's own filters hold uploads"),
        ("LimitRequestBody 5", 1, "LimitRequestBody: it does not hold for what is passed on"),
        ("<Location /x>\nLimitRequestBody 5\n</Location>", 2, "LimitRequestBody: it does not hold"),
        ("Timeout 5", 1, "Timeout: use web.body_timeout_seconds"),
        ("ProxyRequests On", 1, "ProxyRequests: everybody could use"),
        ("RemoteIPHeader X", 1, "RemoteIPHeader: use web.trusted_proxies"),
        ('<Location "/">\n Require all denied\n</Location>', 2, "Require: use [web.paths]"),
        ("<LocationMatch ^/>\n AuthType Basic\n</LocationMatch>", 2, "AuthType: use [web.paths]"),
        (
            "<IfModule a>\n<Location />\n<Limit GET>\n Require all denied\n</Limit>\n"
            "</Location>\n</IfModule>",
            4,
            "Require: use [web.paths]",
        ),
        ("<IfModule a>\n ServerName x\n</IfModule>", 2, "ServerName: use web.server_names"),
        ('<Proxy "*">\n</Proxy>', 1, "Proxy: it would hold for the site's own way"),
        ("<Location /.cartwheel/>\n</Location>", 1, "Location: /.cartwheel/ is Cartwheel's own"),
        (
            "<Location /.well-known/acme-challenge/>\n</Location>",
            1,
            "Location: /.well-known/acme-challenge/ is Cartwheel's own",
        ),
        ("Header unset X-Cartwheel-Probe", 1, "Header: X-Cartwheel-Probe is Cartwheel's own"),
        ("RequestHeader set X-Forwarded-For x", 1, "RequestHeader: it would change nothing"),
        ("SetEnv proxy-nokeepalive 1", 1, "SetEnv: it would change nothing"),
        ("</Macro>", 1, "</Macro> closes nothing here"),
        ("<Location /x>\n</Macro>\n</Location>", 2, "</Macro> does not close <location> of line 1"),
        ("\n<Location /x>\n", 2, "location: its section is not closed"),
        ("Header set A \\\n b", 1, "a `\\` at its end"),
        ("# a comment \\\nProxyPass / http://x/", 1, "a `\\` at its end"),
    ],
)
def test_what_would_end_a_promise_is_refused(text: str, line: int, said: str) -> None:
    found = list(problems(text))
    assert [number for number, _what in found] == [line]
    assert found[0][1].startswith(said)
