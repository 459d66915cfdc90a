"""Lines of the user's own for nginx: what is refused, with the number of the line."""

from __future__ import annotations

import pytest

from cartwheel.host.web.nginx_extra import problems


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only a comment }",
        "add_header X-A 'a; }';\nexpires 1h;",
        'if ($http_user_agent ~ "bot{2}") {\n  return 403;\n}',
        "location = /robots.txt { return 200 ok; }\nlocation /files/ { alias /srv/files/; }",
        "location = / { return 302 /start; }",
        "location ~ \\.php$ { deny all; }",
        "rewrite ^/old/(.*)$ /new/$1 permanent;",
        'set $a "x\\"y";',
    ],
)
def test_the_users_own_is_the_users(text: str) -> None:
    assert list(problems(text)) == []


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("\n\nreturn 301 /x;", 3, "return: it would answer every request"),
        ("location / {\n}", 1, "location: it would answer every request"),
        ("\nlocation ^~ / { }", 2, "location: it would answer every request"),
        ("location ~ ^/ { }", 1, "location: it would answer every request"),
        ("location ~* .* { }", 1, "location: it would answer every request"),
        ('location "/" { }', 1, "location: it would answer every request"),
        ("location @cartwheel_streams { }", 1, "location: @cartwheel_streams is Cartwheel's own"),
        ("location ^~ /.cartwheel/ { }", 1, "location: /.cartwheel/ is Cartwheel's own"),
        (
            "location /.well-known/acme-challenge/ { }",
            1,
            "location: /.well-known/acme-challenge/ is",
        ),
        ("add_header A b;\nlisten 81;", 2, "listen: use web.listen and tls.listen"),
        ("access_log off;", 1, "access_log: Cartwheel judges a release by"),
        ("client_max_body_size 1g;", 1, "client_max_body_size: use web.client_max_body_size"),
        ("auth_basic x;", 1, "auth_basic: use [web.paths]"),
        ("proxy_set_header A b;", 1, "proxy_set_header: it would change nothing"),
        ("map $a $b { }", 1, "map: it belongs to http { }"),
        ("include /etc/nginx/x.conf;", 1, "include: write the lines themselves here"),
        ("location /x/ {\n  include y;\n}", 2, "include: write the lines themselves here"),
        ("}\nserver {", 1, "a `}` too many"),
        ("location /x/ {\n", 1, "location: its `{` is not closed"),
        ("add_header A b", 1, "add_header: the `;` at its end is missing"),
        ("location /x/ { expires 1h }", 1, "expires: the `;` at its end is missing"),
        ("\nadd_header A 'b;\n", 2, "a ' that nothing ends"),
    ],
)
def test_what_would_end_a_promise_is_refused(text: str, line: int, said: str) -> None:
    found = list(problems(text))
    assert [number for number, _what in found] == [line]
    assert found[0][1].startswith(said)
