"""Loading: what overrides what, and every mistake at once with its place."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cartwheel.errors import Exit, UsageError
from cartwheel.settings.loading import apps, environments, load, load_all
from cartwheel.settings.toml_tables import Secret, Settings
from cartwheel.settings.validation import known_keys, table_of

MINIMAL = '[app]\nname = "shop"\nsource = "."\n'


def write(project: Path, **files: str) -> Path:
    """`deploy`, `apps_NAME` and `environments_NAME` as files below config/."""
    for name, text in files.items():
        path = project / "config" / (name.replace("_", "/", 1) + ".toml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return project


def mistakes(project: Path, app: str | None = None, env: str | None = None) -> list[str]:
    with pytest.raises(UsageError) as caught:
        load(project, app, env)
    assert caught.value.slug == "settings"
    assert caught.value.exit_code == Exit.USAGE
    lines = caught.value.detail.splitlines()
    more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    assert caught.value.message == lines[0] + more
    return lines


def test_the_settings_need_no_more_than_a_name_and_a_source(tmp_path: Path) -> None:
    settings = load(write(tmp_path, deploy=MINIMAL), None, None)
    assert (settings.app.name, settings.slug) == ("shop", "shop")
    assert settings.deploy.keep_releases == 5


def test_an_environment_overrides_key_by_key(tmp_path: Path) -> None:
    write(
        tmp_path,
        deploy=(
            f'{MINIMAL}[gunicorn]\nthreads = 2\npreload = true\n[web]\nserver_names = ["a", "b"]'
        ),
        environments_staging=(
            'hosts = ["web1"]\n[gunicorn]\nthreads = 4\n[web]\nserver_names = ["c"]'
        ),
    )
    settings = load(tmp_path, None, "staging")
    assert settings.slug == "shop.staging"
    assert settings.hosts == ("web1",)
    assert (settings.gunicorn.threads, settings.gunicorn.preload) == (4, True)
    assert settings.web.server_names == ("c",)
    assert load(tmp_path, None, None).gunicorn.threads == 2


@pytest.mark.parametrize(
    ("deploy", "environment", "check"),
    [
        (
            '[secrets]\nKEY = {file = "k"}',
            '[secrets]\nKEY = {command = "c"}',
            lambda s: (s.secrets["KEY"].file, s.secrets["KEY"].command) == (None, "c"),
        ),
        (
            '[env]\nKEY = "plain"',
            '[secrets]\nKEY = {file = "k"}',
            lambda s: "KEY" not in s.env and s.secrets["KEY"].file == "k",
        ),
        (
            '[secrets]\nKEY = {file = "k"}',
            '[env]\nKEY = "plain"',
            lambda s: s.env == {"KEY": "plain"} and not s.secrets,
        ),
        (
            '[index]\npreset = "tuna"',
            '[index]\nurl = "https://pypi.example.org/simple"',
            lambda s: s.index.preset is None and s.index.url is not None,
        ),
    ],
)
def test_a_later_choice_replaces_the_earlier_one_whole(
    tmp_path: Path, deploy: str, environment: str, check: object
) -> None:
    write(tmp_path, deploy=MINIMAL + deploy, environments_live=environment)
    assert callable(check)
    assert check(load(tmp_path, None, "live"))


@pytest.mark.parametrize(
    "key", [key for key, field in known_keys() if table_of(field.annotation) is Secret], ids=str
)
def test_every_secret_is_replaced_whole(tmp_path: Path, key: tuple[str, str]) -> None:
    table, name = key
    write(
        tmp_path,
        deploy=f'{MINIMAL}[{table}]\n{name} = {{ file = "a" }}\n',
        environments_live=f'[{table}]\n{name} = {{ env = "B" }}\nnone = 1\n',
    )
    assert "exactly one" not in " ".join(mistakes(tmp_path, None, "live"))


def test_every_messenger_is_replaced_whole(tmp_path: Path) -> None:
    write(
        tmp_path,
        deploy=f'{MINIMAL}[notify.to]\nops = {{ file = "a" }}\nboss = {{ file = "b" }}\n',
        environments_live='[notify.to]\nops = { env = "B" }\n',
    )
    found = load(tmp_path, None, "live").notify.to
    assert (found["ops"].env, found["ops"].file, found["boss"].file) == ("B", None, "b")


def test_apps_of_their_own_share_deploy_toml(tmp_path: Path) -> None:
    write(
        tmp_path,
        deploy='[deploy]\nkeep_releases = 9\n[app]\npython = "3.12"',
        apps_shop='[app]\nsource = "shop"',
        apps_blog='[app]\nsource = "blog"\n[deploy]\nkeep_releases = 3',
    )
    assert apps(tmp_path) == ["blog", "shop"]
    shop, blog = load(tmp_path, "shop", None), load(tmp_path, "blog", None)
    assert (shop.app.name, shop.app.source, shop.app.python) == ("shop", "shop", "3.12")
    assert (shop.deploy.keep_releases, blog.deploy.keep_releases) == (9, 3)


def test_the_only_app_needs_no_choice(tmp_path: Path) -> None:
    write(tmp_path, apps_shop='[app]\nsource = "."')
    assert load(tmp_path, None, None).app.name == "shop"


def test_an_app_inherits_nothing_of_the_app_in_deploy_toml(tmp_path: Path) -> None:
    write(tmp_path, deploy=MINIMAL, apps_blog='[app]\nentry = "blog:app"')
    assert apps(tmp_path) == ["blog", "shop"]
    assert load(tmp_path, "shop", None).app.source == "."
    assert mistakes(tmp_path, "blog")[0].startswith(
        "config/apps/blog.toml:1:2: app.source: is missing"
    )


def test_several_apps_and_none_chosen_are_named(tmp_path: Path) -> None:
    write(tmp_path, apps_shop="", apps_blog="")
    with pytest.raises(UsageError, match=r"several apps \(blog, shop\); choose one"):
        load(tmp_path, None, None)


def test_no_settings(tmp_path: Path) -> None:
    """A folder above may have them."""
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    with pytest.raises(UsageError, match=r"there is no cartwheel\.toml in") as caught:
        load(below, None, None)
    assert "cartwheel config.init" in caught.value.hint
    write(tmp_path, deploy=MINIMAL)
    with pytest.raises(UsageError) as caught:
        load(below, None, None)
    assert caught.value.hint == f"There is one in {tmp_path}: run it there."


@pytest.mark.parametrize(
    ("app", "env", "message", "hint"),
    [
        ("shp", None, "there is no app named 'shp'", "Did you mean shop?"),
        (
            None,
            "prodution",
            "there is no environment named 'prodution'",
            "Did you mean production?",
        ),
        (None, "x", "there is no environment named 'x'", "Known: production."),
        (None, "../deploy", "there is no environment named '../deploy'", "Known: production."),
    ],
)
def test_unknown_names_on_the_command_line(
    tmp_path: Path, app: str | None, env: str | None, message: str, hint: str
) -> None:
    write(tmp_path, deploy=MINIMAL, environments_production="")
    assert environments(tmp_path) == ["production"]
    with pytest.raises(UsageError) as caught:
        load(tmp_path, app, env)
    assert (caught.value.slug, caught.value.message, caught.value.hint) == ("usage", message, hint)


def test_a_project_without_settings(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no cartwheel\.toml in"):
        load(tmp_path, None, None)


# One line each, in the table that the comment before it names; what is said of it.
WRONG = [
    ("gunicorn", "thread = 2", "gunicorn.thread: unknown key; did you mean gunicorn.threads?"),
    ("gunicorn", "drain_seconds = 2", "unknown key; did you mean deploy.drain_seconds?"),
    ("gunicorn", 'threads = "2"', "gunicorn.threads: expected a whole number, got '2'"),
    ("gunicorn", "threads = 0", "gunicorn.threads: expected at least 1, got 0"),
    ("gunicorn", "threads = true", "gunicorn.threads: expected a whole number, got true"),
    ("gunicorn", "preload = 1", "gunicorn.preload: expected true or false, got 1"),
    ("gunicorn", "workers = 0", "expected a number of at least 1, or a formula over `cpus`"),
    ("gunicorn", 'workers = "cpu * 2"', "a formula may not contain `cpu`"),
    ("gunicorn", 'workers = "8 / (cpus - 4)"', "divides by zero for 4 cpus"),
    ("gunicorn", 'log_level = "loud"', "gunicorn.log_level: expected one of 'debug', 'info'"),
    ("deploy", "keep_releases = 1", "deploy.keep_releases: expected at least 2, got 1"),
    ("deploy", "drain_seconds = 0", "deploy.drain_seconds: expected a number above 0, got 0"),
    ("deploy", "drain_seconds = nan", "deploy.drain_seconds: expected "),
    ("deploy", "confirm_seconds = 1e9", "deploy.confirm_seconds: expected at most 86400"),
    ("deploy", "probation_seconds = 60", "must be less than deploy.confirm_seconds"),
    ("health", 'path = "healthz"', "health.path: expected a URL path: it starts with `/`"),
    ("health", 'path = "/healthz#x"', "health.path: expected the path of a URL"),
    ("health", "span_seconds = 30", "must be less than health.deadline_seconds"),
    ("web", 'static_url = "/static/"', "web.static_dir is missing"),
    ("web", 'static_dir = "shop/static"', "web.static_url is missing"),
    (
        "web",
        'server_names = ["a.example", "A.example"]',
        "server_names[1]: expected a host name in lower",
    ),
    ("web", 'server_names = ["a", "a"]', "web.server_names[1]: a is listed twice"),
    ("web", 'server_names = ["a; }"]', "web.server_names[0]: expected a host name"),
    ("web", 'server_names = "a"', "web.server_names: expected a list, got 'a'"),
    ("web", 'redirect_names = ["www.a"]', "web.server_names is missing: where to redirect to"),
    (
        "web",
        'redirect_names = ["b"]\nserver_names = ["*.a"]',
        "the first of web.server_names, *.a, is no name to redirect to",
    ),
    (
        "web",
        'redirect_names = ["a"]\nserver_names = ["a"]',
        "web.redirect_names[0]: a is one of web.server_names too",
    ),
    ("web", 'prefix = "/shop/"', "expected a path like /shop, without `/` at its end"),
    ("web", 'prefix = "/../x"', "expected a path like /shop, without `/` at its end"),
    ("web", 'prefix = "/.cartwheel"', "expected a path like /shop, without `/` at its end"),
    ("web", 'rate_limit = "20"', "a number of requests in a second or a minute, like `20/s`"),
    ("web", 'rate_limit = "0/s"', "a number of requests in a second or a minute, like `20/s`"),
    ("web", 'rate_limit = "9/s"\nserver = "apache"', "apache cannot limit rates: leave it out"),
    ("web", 'paths."/a" = {rate_limit = "9/s"}\nserver = "apache"', "apache cannot limit rates"),
    ("web", 'server = "caddy"', "web.server: expected one of 'nginx' or 'apache'"),
    ("web", "header_timeout_seconds = 0", "web.header_timeout_seconds: expected at least 1, got 0"),
    ("web", 'error_pages = "/srv/x"', "expected a folder inside the installed package"),
    ("web", 'error_pages = "a/../b"', "expected a folder inside the installed package"),
    ("web", 'extra = """\n\nreturn 301 /;"""', "web.extra: line 2: return: it would answer every"),
    ("web", 'extra = "}"', "web.extra: line 1: a `}` too many"),
    ("web", 'paths."admin" = {public = true}', "web.paths.admin: expected a path like /admin/"),
    ("web", 'paths."/a//b" = {public = true}', "expected a path like /admin/"),
    ("web", 'paths."/a/../b" = {public = true}', "expected a path like /admin/"),
    ("web", 'paths."/a%20b" = {public = true}', "expected a path like /admin/"),
    ("web", 'paths."/a\'b" = {public = true}', "expected a path like /admin/"),
    ("web", 'paths."/a/" = {}', 'web.paths."/a/": has no rule'),
    ("web", 'paths."/.cartwheel/x" = {public = true}', "is Cartwheel's own: no rule holds there"),
    (
        "web",
        'paths."/.well-known/acme-challenge" = {public = true}',
        "is Cartwheel's own: no rule holds there",
    ),
    (
        "web",
        'paths = {"/a/" = {public = true}, "/A" = {public = true}}',
        'web.paths."/A": is the same as /a/',
    ),
    ("web", 'paths."/a" = {allow = ["lan"]}', 'web.paths."/a".allow[0]: expected an address or a'),
    ("web", 'paths."/a" = {deny = ["10.0.0.1/8"]}', "deny[0]: expected an address or a network"),
    (
        "web",
        'paths."/a" = {allow = ["::1"], deny = ["0::1/128"]}',
        'web.paths."/a".deny[0]: 0::1/128 is listed twice (in allow)',
    ),
    (
        "web",
        'paths."/a" = {public = true, allow = ["::1"]}',
        'web.paths."/a".allow: `public` is true too',
    ),
    ("web", 'paths."/a" = {users = "ann:x"}', 'web.paths."/a".users: expected a table, got'),
    ("web", 'paths."/a" = {usres = 1}', 'web.paths."/a".usres: unknown key; did you mean'),
    ("web", "listen = 443", "web.listen: 443 is the port of HTTPS, and plain HTTP is served here"),
    ("web", "listen = 70000", "web.listen: expected at most 65535, got 70000"),
    ("web", 'client_max_body_size = "10 MB"', "expected a size like `10m`, got '10 MB'"),
    ("index", 'preset = "tsingua"', "unknown preset 'tsingua'; did you mean tsinghua?"),
    ("index", 'url = "pypi.example.org"', "index.url: expected a URL like https://"),
    ("index", 'url = "https://me:hunter2@pypi.example.org/"', "index.url: holds credentials"),
    ("index", 'password = {file = "p"}', "index.password: index.username is missing"),
    ("artifacts", 'url = "files.example.org"', "artifacts.url: expected a URL like https://"),
    ("artifacts", 'url = "https://a:hunter2@x/"', "holds credentials; use artifacts.username"),
    ("artifacts", 'url = "https://x/?a=1"', "artifacts.url: expected a URL without `?`"),
    ("artifacts", 'upload_url = "https://x/"', "artifacts.url is missing: hosts fetch from there"),
    ("artifacts", 'password = {file = "p"}', "artifacts.username is missing"),
    ("artifacts", 'read_password = {file = "p"}', "artifacts.read_username is missing"),
    ("artifacts", 'kind = "ftp"', "artifacts.kind: expected one of 'folder' or 'index', got 'ftp'"),
    ("fleet", "uploads_at_once = 0", "fleet.uploads_at_once: expected at least 1, got 0"),
    ("fleet", "upload_bytes_per_second = 0", "a number of at least 1, or a size like `20M`, got 0"),
    ("fleet", 'upload_bytes_per_second = "20 MB"', "or a size like `20M`, got '20 MB'"),
    ("env", "PORT = 8000", "env.PORT: expected a string in quotes, got a whole number"),
    ("env", '"NOT-OK" = "x"', "env.NOT-OK: expected a name of letters, digits and `_`"),
    ("env", 'GUNICORN_CMD_ARGS = "-b :1"', "is reserved: use the [gunicorn] table"),
    ("env", 'CARTWHEEL_SLOT = "x"', "is reserved: Cartwheel sets CARTWHEEL_*"),
    ("secrets", 'KEY = "hunter2"', "secrets.KEY: expected a table, got a string"),
    ("secrets", 'KEY = {file = "a", env = "b"}', "needs exactly one of file, command or env"),
    (
        "secrets",
        'KEY = {fiel = "a"}',
        "secrets.KEY.fiel: unknown key; did you mean secrets.KEY.file?",
    ),
    ("host", 'base = "srv"', "host.base: expected an absolute path, got 'srv'"),
    ("host", 'base = "/a b"', "host.base: expected a path of letters, digits"),
    ("host", f'base = "/{"x" * 60}"', "host.base: too long by 19: a socket's path has at most 107"),
    ("hardening", 'memory_max = "lots"', "expected a size like `512M`, got 'lots'"),
    (
        "hardening",
        'read_write_paths = ["/a", "b"]',
        "read_write_paths[1]: expected an absolute path",
    ),
    ("ssh", 'host_keys = "off"', "expected one of 'strict' or 'accept-new', got 'off'"),
    ("wbe", "listen = 1", "wbe: unknown key; did you mean web?"),
]


@pytest.mark.parametrize(("table", "line", "said"), WRONG, ids=[line for _, line, _ in WRONG])
def test_one_mistake_is_said_once_with_its_line(
    tmp_path: Path, table: str, line: str, said: str
) -> None:
    write(tmp_path, deploy=f"# a comment\n{MINIMAL}\n[{table}]\n# another\n{line}\n")
    [found] = mistakes(tmp_path)
    number = 6 if table == "wbe" else 8
    assert found.startswith(f"config/deploy.toml:{number}:")
    assert said in found
    assert "hunter2" not in found


@pytest.mark.parametrize("path", ["/data", "../data", "a/../../b", "~/data", ""])
def test_what_is_included_is_in_the_source(tmp_path: Path, path: str) -> None:
    write(tmp_path, deploy=f"{MINIMAL}\ninclude = ['ok', '{path}']\n")
    [found] = mistakes(tmp_path)
    assert "app.include[1]: expected a path relative to app.source" in found


def test_an_index_needs_an_address_to_publish_to(tmp_path: Path) -> None:
    store = '[artifacts]\nkind = "index"\nurl = "https://pypi.example.org/simple"\n'
    write(tmp_path, deploy=MINIMAL + store)
    [found] = mistakes(tmp_path)
    assert found.endswith(
        "artifacts.url: artifacts.upload_url is missing: files are uploaded there"
    )
    write(tmp_path, deploy=f'{MINIMAL}{store}upload_url = "https://pypi.example.org/legacy/"')
    assert load(tmp_path, None, None).artifacts.kind == "index"


@pytest.mark.parametrize(
    ("given", "rate"),
    [("4096", 4096), ('"4096"', 4096), ('"3K"', 3072), ('"20M"', 20 << 20), ('"1G"', 1 << 30)],
)
def test_a_rate_is_a_number_or_a_size(tmp_path: Path, given: str, rate: int) -> None:
    write(tmp_path, deploy=f"{MINIMAL}[fleet]\nupload_bytes_per_second = {given}")
    assert load(tmp_path, None, None).fleet.upload_rate == rate


def test_all_mistakes_of_all_files_come_at_once(tmp_path: Path) -> None:
    write(
        tmp_path,
        deploy="".join(
            f"[{table}]\n{line}\n"
            for table, line in {table: line for table, line, _ in reversed(WRONG)}.items()
        ),
        environments_live='hosts = ["a", "b", "root@a", "c:x"]\nenvironment = "live"\n',
    )
    found = mistakes(tmp_path, None, "live")
    tables = {table for table, _, _ in WRONG}
    said = [line for line in found if line.startswith("config/deploy.toml")]
    assert said[0] == ("config/deploy.toml: app: is missing: a table [app] with name and source")
    assert len(said) == 1 + len(tables)
    assert [line for line in found if "environments/live.toml" in line] == [
        "config/environments/live.toml:1:20: hosts[2]: root@a is listed twice (as a)",
        "config/environments/live.toml:1:30: hosts[3]: expected [USER@]HOST[:PORT], got 'c:x'",
        "config/environments/live.toml:2:1: environment: cannot be set here; use `--env NAME`",
    ]


def test_a_mistake_is_where_the_value_that_won_stands(tmp_path: Path) -> None:
    write(
        tmp_path,
        deploy=f"{MINIMAL}[gunicorn]\nthreads = 1\n",
        environments_live="\n\n[gunicorn]\nthreads = 0\n",
    )
    assert mistakes(tmp_path, None, "live") == [
        "config/environments/live.toml:4:1: gunicorn.threads: expected at least 1, got 0"
    ]


def test_the_same_variable_twice_in_one_file(tmp_path: Path) -> None:
    write(tmp_path, deploy=f'{MINIMAL}[env]\nKEY = "x"\n[secrets]\nKEY = {{env = "K"}}')
    assert mistakes(tmp_path) == [
        "config/deploy.toml:7:1: secrets.KEY: is also in [env]; keep one of env.KEY and secrets.KEY"
    ]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Shop", "expected lower-case letters and digits"),
        ("shop--x", "expected lower-case letters and digits"),
        ("shöp", "expected lower-case letters and digits"),
        ("s" * 25, "expected at most 24 characters"),
        ("www-data", "'www-data' is a user or group of the system"),
        ("video", "'video' is a user or group of the system"),
        ("crontab", "'crontab' is a user or group of the system"),
        ("shop.web", "expected lower-case letters and digits"),
    ],
)
def test_names_of_apps(tmp_path: Path, name: str, said: str) -> None:
    write(tmp_path, deploy=f'[app]\nname = "{name}"\nsource = "."')
    [found] = mistakes(tmp_path)
    assert found.startswith("config/deploy.toml:2:1: app.name: ")
    assert said in found


def test_an_environment_called_like_a_slot(tmp_path: Path) -> None:
    write(tmp_path, deploy='[app]\nname = "shop"\nsource = "."', environments_web="")
    [found] = mistakes(tmp_path, None, "web")
    assert "'web' is reserved: it is a part of unit names" in found


def test_a_slug_too_long_for_a_socket(tmp_path: Path) -> None:
    write(
        tmp_path,
        deploy=f'[app]\nname = "{"s" * 24}"\nsource = "."',
        environments_productionproduction="",
    )
    [found] = mistakes(tmp_path, None, "productionproduction")
    assert "app.name: too long by 10: a socket's path has at most 107 bytes" in found


BROKEN = [
    (b"[app\nname = 1", "config/deploy.toml:1:5: not TOML: Expected ']'"),
    (b'[app]\nname = "shop', "config/deploy.toml:2: not TOML: Unterminated string at the end"),
    (b"a = 1\na = 2\n", "config/deploy.toml:2:6: not TOML: Cannot overwrite a value"),
    (b"[app]\nname = '\xff'", "config/deploy.toml:2: is not UTF-8 text"),
]


@pytest.mark.parametrize(("text", "said"), BROKEN)
def test_broken_toml_has_a_line(tmp_path: Path, text: bytes, said: str) -> None:
    write(tmp_path, deploy="", environments_live="[web]\nlisten = 0\n")
    (tmp_path / "config/deploy.toml").write_bytes(text)
    found = mistakes(tmp_path, None, "live")
    assert found[0].startswith(said)
    # What the broken file may hold is not called missing; other files are still checked.
    assert found[1:] == [
        "config/environments/live.toml:2:1: web.listen: expected at least 1, got 0"
    ]


def test_windows_line_ends_and_a_byte_order_mark(tmp_path: Path) -> None:
    write(tmp_path, deploy="")
    text = f"{MINIMAL}[web]\nlisten = 0\n".replace("\n", "\r\n")
    (tmp_path / "config/deploy.toml").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert mistakes(tmp_path)[0].startswith("config/deploy.toml:5:1: web.listen:")


def test_settings_cannot_be_changed_afterwards() -> None:
    settings = Settings.model_validate({"app": {"name": "a", "source": "."}})
    with pytest.raises(ValueError, match="frozen"):
        settings.app.name = "b"


def test_importing_the_package_does_not_import_pydantic() -> None:
    code = "import sys, cartwheel.settings; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[balancer]\nkind = "haproxy"', "balancer.haproxy_backend: is missing: balancer.kind is"),
        ('[balancer]\nkind = "command"', "balancer.command: is missing"),
        ('[balancer]\nkind = "http"', "balancer.url: is missing"),
        ('[balancer]\nkind = "f5"', "balancer.kind: expected"),
        ('[balancer]\nurl = "lb.example"', "balancer.url: expected a URL like https://"),
        ('[balancer]\nurl = "https://lb/{hots}"', "balancer.url: there is no {hots}; known:"),
        ('[balancer]\nheaders = { A = "{secret}" }', "balancer.headers.A: balancer.secret is"),
        ('[balancer]\nurl = "https://lb/{secret}"', "balancer.url: there is no {secret}"),
        ('[web]\ntrusted_proxies = ["lb1"]', "web.trusted_proxies[0]: expected an address or"),
        ('[web]\ntrusted_proxies = ["10.0.0.1/8"]', "web.trusted_proxies[0]: expected an address"),
        ('[inventory.hosts.a]\ninner_address = "u@x"', "inner_address: expected HOST[:PORT]"),
        ('[inventory.hosts.a]\nbalancer_name = "a b"', "balancer_name: expected a name of letters"),
    ],
)
def test_mistakes_about_a_balancer(tmp_path: Path, text: str, said: str) -> None:
    lines = mistakes(write(tmp_path, deploy=f"{MINIMAL}{text}\n"))
    assert len(lines) == 1
    assert said in lines[0]


TWO_APPS = {
    "apps_shop": '[app]\nsource = "."\n[web]\nserver_names = ["a.example", "shop.example"]\n',
    "apps_admin": '[app]\nsource = "."\n[web]\nserver_names = ["shop.example"]\n',
}
SHARED = '[web]\nserver_names = [\n  "shop.example",\n]\n'
NEVER_TOGETHER = (
    {"deploy": 'hosts = ["web1"]', "apps_admin": 'hosts = ["web2"]\n' + TWO_APPS["apps_admin"]},
    {"apps_admin": TWO_APPS["apps_admin"] + "listen = 8080\n"},
    {
        "deploy": '[inventory.hosts.web1]\n[inventory.hosts.adm1]\nroles = ["admin"]\n',
        "apps_admin": TWO_APPS["apps_admin"].replace("[web]", 'roles = ["admin"]\n[web]'),
    },
)


def test_two_applications_on_one_name(tmp_path: Path) -> None:
    write(tmp_path, **TWO_APPS)
    [said] = mistakes(tmp_path, "shop")
    assert said == (
        "config/apps/shop.toml:4:30: web.server_names[1]: shop.example is also a server name of"
        " the app admin (config/apps/admin.toml:4:1)"
    )


@pytest.mark.parametrize("files", NEVER_TOGETHER)
def test_two_applications_that_never_meet(tmp_path: Path, files: dict[str, str]) -> None:
    """On other hosts, on another port."""
    write(tmp_path, **{**TWO_APPS, **files})
    assert load(tmp_path, "shop", None).web.server_names[1] == "shop.example"


def test_a_name_in_a_file_that_all_applications_share_is_claimed_by_none(tmp_path: Path) -> None:
    """An environment may be about one of them only."""
    bare = dict.fromkeys(TWO_APPS, '[app]\nsource = "."\n')
    write(tmp_path, **bare, environments_live=SHARED)
    assert load(tmp_path, "shop", "live").web.server_names == ("shop.example",)


def test_two_applications_on_the_default_site(tmp_path: Path) -> None:
    write(tmp_path, apps_shop='[app]\nsource = "."', apps_admin='[app]\nsource = "."')
    load(tmp_path, "shop", None)  # who knows on which hosts they will be
    write(tmp_path, deploy='hosts = ["web1"]')
    [said] = mistakes(tmp_path, "shop")
    assert (
        "web.server_names: is missing, but the host's default site already belongs to the app"
        in said
    )


@pytest.mark.parametrize(
    ("hosts", "said"),
    [
        ('[inventory.hosts.a]\nroles = ["web"]\n', "did you mean web?"),
        ('[inventory.hosts.a]\nroles = ["other"]\n', "known: other"),
        ("hosts = []\n", ""),
        ('[inventory]\nssh_config = ["shop-*"]\n[inventory.hosts.a]\n', ""),
        ('[inventory.hosts.a]\nroles = ["wbe"]\n', ""),
    ],
)
def test_a_role_without_hosts(tmp_path: Path, hosts: str, said: str) -> None:
    """Where the settings alone say which hosts there are."""
    write(tmp_path, deploy=f'{MINIMAL}roles = ["wbe"]\n', environments_live=hosts)
    if not said:
        assert load(tmp_path, None, "live").app.roles == ("wbe",)
        return
    [found] = mistakes(tmp_path, env="live")
    assert found == f"config/deploy.toml:4:10: app.roles[0]: no host has the role wbe; {said}"


def test_all_apps_in_all_environments(tmp_path: Path) -> None:
    write(
        tmp_path, **TWO_APPS, environments_live="hots = []", environments_test="[web]\nlisten = 0"
    )
    with pytest.raises(UsageError) as caught:
        load_all(tmp_path)
    places = [line.split(": ")[0] for line in caught.value.detail.splitlines()]
    assert places == [
        "config/apps/admin.toml:4:17",
        "config/apps/shop.toml:4:30",
        "config/environments/live.toml:1:1",
        "config/environments/test.toml:2:1",
    ]
    write(tmp_path, apps_admin='[app]\nsource = "."', environments_live="", environments_test="")
    slugs = ["admin.live", "admin.test", "shop.live", "shop.test"]
    assert [placed.settings.slug for placed in load_all(tmp_path)] == slugs
