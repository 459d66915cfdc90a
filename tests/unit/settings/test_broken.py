"""Settings that are broken, made from good ones and as people really write them: each is told
offline, at its line, without a traceback (how fast: bench/mistakes)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cartwheel.errors import UsageError
from cartwheel.settings.loading import load
from tests.unit.settings.test_schema import examples

KEY = re.compile(r"^(\w+) = (.+)$")
GOOD = examples()


def _good_lines() -> Iterator[tuple[int, str, str]]:
    """(index, key, value) of each line that sets something."""
    for index, line in enumerate(GOOD.splitlines()):
        if found := KEY.match(line):
            yield index, found[1], found[2]


def _other_kind(value: str) -> str:
    """A value of another type."""
    return "0.5" if value[0] in '"[{' else '"text"'


# What a slip of the hand makes of `key = value`.
SLIPS: dict[str, Callable[[str, str], str]] = {
    "a letter twice": lambda key, value: f"{key[0]}{key} = {value}",
    "dashes": lambda key, value: f"{key.replace('_', '-')}-x = {value}",
    "another type": lambda key, value: f"{key} = {_other_kind(value)}",
    "no equals sign": lambda key, value: f"{key} {value}",
    "a colon": lambda key, value: f"{key}: {value}",
    "no end of the text": lambda key, value: f'{key} = "x',
    "a bare word": lambda key, value: f"{key} = yes",
    "twice": lambda key, value: f"{key} = {value}\n{key} = {value}",
    "two on one line": lambda key, value: f"{key} = {value} {key}2 = {value}",
}


def _generated() -> Iterator[tuple[str, int]]:
    """(text, line that is wrong): each slip at every third line, another third each time."""
    good = GOOD.splitlines()
    for number, slip in enumerate(SLIPS.values()):
        for index, key, value in list(_good_lines())[number % 3 :: 3]:
            made = slip(key, value)
            text = "\n".join([*good[:index], made, *good[index + 1 :]])
            yield text, index + 1 + made.count("\n")


def told(tmp_path: Path, text: str) -> list[str]:
    (tmp_path / "config").mkdir(exist_ok=True)
    (tmp_path / "config/deploy.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        load(tmp_path, None, None)
    assert caught.value.slug == "settings"
    return caught.value.detail.splitlines()


def test_the_good_ones_differ_from_these_by_the_slip_alone(tmp_path: Path) -> None:
    """What of the examples does not fit together is known."""
    found = told(tmp_path, GOOD)
    for known in (
        "a hook needs exactly one of before and after",
        "a file needs exactly one of template and secret",
        "there is no group eu-west",
        "index.preset: index.url is also set",
        " tls.host_certificate: tls.certificate is also set",
        "monitor.page_host_certificate: monitor.page_certificate is also set",
        "tls.at: Cartwheel ends HTTPS only in a balancer of kind nginx",
        "tls.mail: is for a certificate authority",
    ):
        [line] = [one for one in found if known in one]
        found.remove(line)
    assert found == []


def test_every_slip_is_told_at_its_line(tmp_path: Path) -> None:
    made = list(_generated())
    assert len(made) > 150
    wrong = []
    for text, line in made:
        said = told(tmp_path, text)
        if not any(one.startswith(f"config/deploy.toml:{line}:") for one in said):
            wrong.append((line, text.splitlines()[line - 1], said))
    assert not wrong


APP = '[app]\nname = "shop"\nsource = "."\n'
# What people really write, from other tools' habits: the line, and what is said of it.
WRITTEN = [
    (APP + "port = 8000\n", 4, "app.port: unknown key; did you mean ssh.port?"),
    (APP + 'server_name = "a.example"\n', 4, "app.server_name: unknown key"),
    (APP + '[web]\nserver_name = "a.example"\n', 5, "did you mean web.server_names?"),
    (APP + '[web]\nserver_names = "a.example"\n', 5, "expected a list, got 'a.example'"),
    (APP + '[web]\nserver_names = ["https://a.example"]\n', 5, "expected a host name"),
    (APP + '[web]\nserver_names = ["a.example "]\n', 5, "expected a host name"),
    (APP + "[gunicorn]\nworkers = {}\n", 5, "gunicorn.workers: expected"),
    (APP + '[web]\nlisten = "80"\n', 5, "expected a whole number, got '80'"),
    (APP + "[web]\nlisten = 0x1F90F\n", 5, "expected at most 65535"),
    (APP + '[web]\nclient_max_body_size = "10MB"\n', 5, "expected a size like `10m`"),
    (APP + "[web]\nclient_max_body_size = 10\n", 5, "expected a string in quotes"),
    (APP + "[gunicorn]\nworkers = auto\n", 5, "not TOML: Invalid value"),
    (
        APP + '[gunicorn]\nworkers = "auto"\n',
        5,
        "gunicorn.workers: a formula may not contain `auto`",
    ),
    (APP + '[gunicorn]\nworkers = "2 * $(nproc) + 1"\n', 5, "is not arithmetic"),
    (APP + '[gunicorn]\nbind = "0.0.0.0:8000"\n', 5, "gunicorn.bind: unknown key"),
    (APP + "[gunicorn]\ntimeout = 60\n", 5, "did you mean gunicorn.timeout_seconds?"),
    (APP + '[gunicorn]\nworker_class = "uvicorn worker"\n', 5, "expected a worker class"),
    (APP + "[gunicorn]\npreload_app = true\n", 5, "did you mean gunicorn.preload?"),
    (APP + "[deploy]\nkeep = 3\n", 5, "deploy.keep: unknown key"),
    (APP + "[deploy]\nkeep_releases = 0\n", 5, "expected at least 2, got 0"),
    (APP + '[deploy]\ndrain_seconds = "30s"\n', 5, "expected a number, got '30s'"),
    (APP + "[deploy]\ndrain_seconds = 0\n", 5, "expected a number above 0"),
    (APP + "[deploy]\nmigrate = true\n", 5, "expected a string in quotes, got true"),
    (APP + '[deploy]\ninstaller = "poetry"\n', 5, "expected one of 'pip' or 'uv'"),
    (APP + '[health]\npath = "health"\n', 5, "it starts with `/`"),
    (APP + '[health]\nurl = "/health"\n', 5, "health.url: unknown key"),
    (APP + '[health]\nstatus = "200"\n', 5, "expected a whole number, got '200'"),
    (APP + '[health]\npath = "https://a.example/health"\n', 5, "it starts with `/`"),
    (APP + "[ssh]\nuser = root\n", 5, "not TOML: Invalid value"),
    (APP + '[ssh]\nkey = "~/.ssh/id"\n', 5, "ssh.key: unknown key"),
    (APP + "[ssh]\nport = 99999\n", 5, "expected at most 65535, got 99999"),
    (APP + '[ssh]\nhost_keys = "no"\n', 5, "expected one of 'strict' or 'accept-new'"),
    (APP + '[ssh]\npassword = "hunter2"\n', 5, "ssh.password: expected a table, got a string"),
    (APP + '[ssh]\nidentity = ["a", "b"]\n', 5, "expected a string in quotes, got a list"),
    (APP + "[env]\nDEBUG = true\n", 5, "env.DEBUG: expected a string in quotes"),
    (APP + '[env]\n"MY-VAR" = "1"\n', 5, "expected a name of letters, digits and `_`"),
    (APP + '[env]\nexport A = "1"\n', 5, "not TOML: Expected '=' after a key"),
    (APP + "[env]\nA=1\nA=2\n", 6, "not TOML: Cannot overwrite a value"),
    (APP + '[secrets]\nKEY = "hunter2"\n', 5, "secrets.KEY: expected a table, got a string"),
    (APP + '[secrets]\nKEY = "${KEY}"\n', 5, "secrets.KEY: expected a table, got a string"),
    (APP + '[secrets]\nKEY = { vault = "a" }\n', 5, "secrets.KEY.vault: unknown key"),
    (APP + "[secrets]\nKEY = {}\n", 5, "needs exactly one of file, command or env"),
    (
        APP + '[secrets]\nKEY = { file = "a",\n env = "b" }\n',
        5,
        "not TOML: Invalid initial character",
    ),
    (APP + '[env]\nK = "a"\n[secrets]\nK = { env = "K" }\n', 7, "is also in [env]"),
    (APP + "[app]\n", 4, "not TOML: [app] is defined twice"),
    (APP + "[web\n", 4, "not TOML: Expected ']'"),
    (APP + "[[web]]\nlisten = 80\n", 4, "web: expected a table, got a list"),
    (APP + "web = 80\n[web]\nlisten = 80\n", 4, "app.web: unknown key"),
    ("hosts = web1\n" + APP, 1, "not TOML: Invalid value"),
    ('hosts = "web1"\n' + APP, 1, "hosts: expected a list, got 'web1'"),
    ('hosts = ["web1" "web2"]\n' + APP, 1, "not TOML: Unclosed array"),
    ('hosts = ["web1,web2"]\n' + APP, 1, "hosts[0]: expected [USER@]HOST[:PORT]"),
    ('hosts = ["ssh://web1"]\n' + APP, 1, "hosts[0]: expected [USER@]HOST[:PORT]"),
    ('hosts = ["web1", "WEB1:22"]\n' + APP, 1, "WEB1:22 is listed twice (as web1)"),
    ('host = "web1"\n' + APP, 1, "host: expected a table, got 'web1'"),
    ('[inventory.hosts]\nweb1 = "192.0.2.1"\n' + APP, 2, "expected a table, got '192.0.2.1'"),
    ('[inventory.hosts.web1]\nip = "192.0.2.1"\n' + APP, 2, "inventory.hosts.web1.ip: unknown key"),
    ('[inventory.hosts.web1]\ngroups = ["eu"]\n' + APP, 2, "there is no group eu"),
    ('[inventory.hosts.web1]\nroles = "web"\n' + APP, 2, "expected a list, got 'web'"),
    ('[inventory.hosts.web1]\nroles = ["db"]\n' + APP, 3, "no host has the role web"),
    ('[inventory.groups."eu west"]\nhosts = ["a"]\n' + APP, 1, "groups.eu west: expected a name"),
    ('[inventory.groups.eu]\nchildren = ["west"]\n' + APP, 2, "there is no group west"),
    ('[app]\nname = "Shop"\nsource = "."\n', 2, "app.name: expected lower-case letters"),
    ('[app]\nname = "my_shop"\nsource = "."\n', 2, "app.name: expected lower-case letters"),
    ('[app]\nname = "www-data"\nsource = "."\n', 2, "is a user or group of the system"),
    ('[app]\nname = "shop"\n', 1, "app.source: is missing"),
    ('[app]\nname = ""\nsource = "."\n', 2, "app.name: expected lower-case letters"),
    ('[app]\nname = "shop"\nsource = ""\n', 3, "app.source: expected at least 1 character"),
    (APP + 'entry = "app.py"\n', 4, "not a file: `app:app`"),
    (APP + 'entry = "shop/app:app"\n', 4, "not a file: `shop.app:app`"),
    (APP + 'entry = "app:create_app(config)"\n', 4, "must be literals"),
    (APP + 'entry = "app:create_app("\n', 4, "expected an attribute or a call"),
    (APP + 'entry = "app:app[0]"\n', 4, "expected an attribute or a call"),
    (APP + 'entry = "my-shop:app"\n', 4, "expected module:attribute"),
    (APP + '[gunicorn]\nkind = "uwsgi"\n', 5, "expected one of 'wsgi', 'asgi' or 'uvicorn'"),
    (
        APP + '[gunicorn]\nkind = "asgi"\nworker_class = "gthread"\n',
        6,
        "gthread serves wsgi, but gunicorn.kind is asgi",
    ),
    (
        APP + '[gunicorn]\nworker_class = "uvicorn.workers.UvicornWorker"\nkind = "wsgi"\n',
        5,
        "serves uvicorn, but gunicorn.kind is wsgi",
    ),
    (APP + '[hardening]\nfolders = ["/etc/shop"]\n', 5, "is no place for a folder of the app"),
    (APP + '[hardening]\nfolders = ["/srv/shop/releases"]\n', 5, "is no place for a folder"),
    (APP + '[hardening]\nfolders = ["/data"]\n', 5, "use one like /var/lib/NAME"),
    (APP + '[hardening]\nunit = ["Nice 5"]\n', 5, "expected a line of a unit"),
    (APP + '[hardening]\nunit = ["User=root"]\n', 5, "User is Cartwheel's own"),
    (APP + '[hardening]\nallow = ["raw"]\n', 5, "'netlink' or 'raw-sockets'"),
    (APP + '[gunicorn]\nlifespan = "on"\n', 5, 'set gunicorn.kind to "asgi" or "uvicorn"'),
    (APP + "python = 3.11\n", 4, "app.python: expected a string in quotes, got 3.11"),
    (APP + 'python = "python3.11"\n', 4, "a version of Python like 3.11, or an absolute path"),
    (APP + 'requirements = "requirements.txt"\n', 4, "expected a list, got 'requirements.txt'"),
    (APP + '[index]\nurl = "pypi.example.org/simple"\n', 5, "expected a URL like https://"),
    (APP + '[index]\nurl = "https://a:hunter2@pypi.example.org"\n', 5, "holds credentials"),
    (APP + '[balancer]\nkind = "haproxy"\n', 4, "balancer.haproxy_backend: is missing"),
    (APP + '[balancer]\nkind = "elb"\n', 5, "balancer.kind: expected one of"),
    (
        APP + '[fleet]\nbatch = "25"\n',
        5,
        "fleet.batch: expected a number, or a percentage",
    ),
    (
        APP + "[fleet]\ncanary = -1\n",
        5,
        "fleet.canary: expected a number of hosts, or a percentage",
    ),
    (APP + '[hooks.tell]\nafter = "run"\n', 4, "hooks.tell.command: is missing"),
    (APP + '[hooks.tell]\ncommand = "true"\n', 4, "needs exactly one of before and after"),
    (APP + '[hooks.tell]\non = "run"\ncommand = "x"\nafter = "run"\n', 5, "unknown key"),
    (APP + '[hooks.tell]\nafter = "deploy"\ncommand = "x"\n', 5, "expected one of 'run'"),
    (APP + '[hooks.tell]\nafter = "migrate"\ncommand = "x"\n', 5, "deploy.migrate is missing"),
    (APP + '[hooks.tell_me]\nafter = "run"\ncommand = "x"\n', 4, "hooks.tell_me: expected lower"),
    (
        APP + '[hooks.tell]\nafter = "build"\nwhere = "hosts"\ncommand = "x"\n',
        6,
        "run only on your machine (here)",
    ),
    (
        APP + '[hooks.tell]\nafter = "prepare"\ncommand = "x"\nkinds = ["rollback"]\n',
        7,
        "a rollback has no phase prepare",
    ),
    (APP + '[hooks]\nafter_deploy = "x"\n', 5, "expected a table, got 'x'"),
    (APP + '[hardening]\nmemory_max = "512MB"\n', 5, "expected a size like `512M`"),
]


@pytest.mark.parametrize(("text", "line", "says"), WRITTEN, ids=[says for _, _, says in WRITTEN])
def test_what_people_write(tmp_path: Path, text: str, line: int, says: str) -> None:
    said = told(tmp_path, text)
    assert any(says in one for one in said)
    assert said[0].startswith(f"config/deploy.toml:{line}:"), said
    assert "hunter2" not in "\n".join(said)
    assert len(said) == 1, said
