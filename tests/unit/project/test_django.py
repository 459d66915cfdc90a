"""What `config.init` says about a Django project, and the file that it writes beside its settings.

The settings are as `django-admin startproject` and people write them.
"""

from __future__ import annotations

import json
import os
import pty
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cartwheel.build.wheel import metadata_lines, write_pure_wheel
from cartwheel.errors import UsageError
from cartwheel.project.begin import advice, answers_of, begin
from cartwheel.project.detect import detect, detect_wheel
from cartwheel.project.django import Site
from cartwheel.settings.loading import load
from tests.kit.project import CHECKOUT, Project

WSGI = """\
import os
from django.core.wsgi import get_wsgi_application
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{}")
application = get_wsgi_application()
"""
MANAGE = 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "{}")\n'
STARTED = """\
from pathlib import Path
BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = "django-insecure-one"
DEBUG = True
ALLOWED_HOSTS = []
INSTALLED_APPS = ["django.contrib.admin", "django.contrib.staticfiles"]
ROOT_URLCONF = "mysite.urls"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": BASE_DIR / "db.sqlite3",
    }
}
STATIC_URL = "static/"
"""
URLS = "from django.urls import path\nurlpatterns = [path('admin/', admin.site.urls)]\n"
# It reads the environment, and leaves nothing open.
DECOUPLED = """\
from decouple import Csv, config
SECRET_KEY = config("SECRET_KEY")
DEBUG = config("DEBUG", default=True, cast=bool)
ALLOWED_HOSTS = config("HOSTS", default="", cast=Csv())
INSTALLED_APPS = ["django.contrib.staticfiles"]
ROOT_URLCONF = "mysite.urls"
DATABASES = {"default": dj_database_url.parse(config("DATABASE_URL"))}
STATIC_URL = "/assets/"
STATIC_ROOT = config("STATIC_ROOT")
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
"""
COOKIES_BASE = """\
import environ
from pathlib import Path
BASE_DIR = Path(__file__).resolve().parent.parent.parent
env = environ.Env()
DEBUG = env.bool("DJANGO_DEBUG", False)
DATABASES = {"default": env.db("DATABASE_URL", default="postgres:///shop")}
ROOT_URLCONF = "config.urls"
INSTALLED_APPS = ["django.contrib.staticfiles", "django.contrib.admin"]
STATIC_ROOT = str(BASE_DIR / "staticfiles")
STATIC_URL = "/static/"
MEDIA_ROOT = str(BASE_DIR / "shop" / "media")
MEDIA_URL = "/media/"
"""
COOKIES_PRODUCTION = """\
from .base import *
from .base import env
SECRET_KEY = env("DJANGO_SECRET_KEY")
ALLOWED_HOSTS = env.list("DJANGO_ALLOWED_HOSTS", default=["example.com"])
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = env.bool("DJANGO_SECURE_SSL_REDIRECT", default=True)
SESSION_COOKIE_SECURE = True
ADMIN_URL = env("DJANGO_ADMIN_URL")
"""
COOKIES_LOCAL = """\
from .base import *
SECRET_KEY = env("DJANGO_SECRET_KEY", default="local")
ALLOWED_HOSTS = ["localhost"]
DEBUG = True
MAIL = env("MAILPIT_HOST")
"""


def project(folder: Path, files: dict[str, str]) -> Path:
    for name, text in {"requirements.txt": "django\n", **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def started(settings: str = STARTED, **more: str) -> dict[str, str]:
    """What `django-admin startproject mysite .` makes, with these settings."""
    named = "mysite.settings"
    return {
        "manage.py": MANAGE.format(named),
        "mysite/__init__.py": "",
        "mysite/settings.py": settings,
        "mysite/urls.py": URLS,
        "mysite/wsgi.py": WSGI.format(named),
        **more,
    }


def split(**settings: str) -> dict[str, str]:
    """`config/settings/`, as cookiecutter-django makes it."""
    return {
        "manage.py": MANAGE.format("config.settings.local"),
        "config/__init__.py": "",
        "config/settings/__init__.py": "",
        "config/urls.py": URLS,
        "config/wsgi.py": WSGI.format("config.settings.production"),
        **{f"config/settings/{name}.py": text for name, text in settings.items()},
    }


def site_of(folder: Path, files: dict[str, str]) -> Site:
    site = detect(project(folder, files)).django
    assert site is not None
    return site


def begun(folder: Path, *, written: bool = True, names: tuple[str, ...] = ()) -> dict[str, Any]:
    """The settings that are written for a project, and the notes."""
    found = detect(folder)
    answers = answers_of(
        found, source=".", name="shop", entry="", hosts=(), server_names=names, written=written
    )
    begin(folder, answers)
    settings = load(folder, None, None)
    return {
        "env": settings.env,
        "secrets": {name: one.file for name, one in settings.secrets.items()},
        "scheme": settings.health.scheme,
        "migrate": settings.deploy.migrate,
        "notes": list(advice(found, answers)),
        "text": (folder / "cartwheel.toml").read_text(),
    }


def test_the_example_is_what_is_written(tmp_path: Path) -> None:
    example = CHECKOUT / "examples/notes"
    written = ("cartwheel.toml", "notebook/deploy_settings.py")
    ignored = shutil.ignore_patterns("__pycache__", *(Path(name).name for name in written))
    folder = tmp_path / "notes"
    shutil.copytree(example, folder, ignore=ignored)
    answers = answers_of(
        detect(folder),
        source=".",
        name="",
        entry="",
        hosts=(),
        server_names=("notes.example.org",),
        written=True,
    )
    begin(folder, answers)
    for name in written:
        assert (folder / name).read_text() == (example / name).read_text(), name


def test_a_new_project_is_told_what_would_go_wrong(tmp_path: Path) -> None:
    site = site_of(tmp_path, started())
    assert site.said == "mysite.settings serves, mysite/wsgi.py:3 names it"
    assert [str(one).partition(", ")[0].split(" is ")[0] for one in site.problems] == [
        "mysite/settings.py:3: SECRET_KEY",
        "mysite/settings.py:4: DEBUG",
        "mysite/settings.py:5: ALLOWED_HOSTS names no host",
        "mysite/settings.py:14: STATIC_ROOT",
        "mysite/settings.py:8: db.sqlite3",
        "mysite/settings.py: SECURE_PROXY_SSL_HEADER",
    ]
    assert all(one.repaired for one in site.problems)
    assert site.file == "mysite/deploy_settings.py"


def loaded(folder: Path, module: str, **env: str) -> dict[str, Any]:
    """The values that the written settings have on a host."""
    code = (
        f"import json, {module} as s; names = [n for n in dir(s) if n.isupper()];"
        "print(json.dumps({n: getattr(s, n) for n in names}, default=str))"
    )
    given = {"DJANGO_SECRET_KEY": "k", "CARTWHEEL_SHARED": "/srv/shop/shared", **env}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "STATIC_ROOT": "/srv/shop/static", **given},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    values: dict[str, Any] = json.loads(done.stdout)
    return values


def test_the_written_file_says_what_a_host_needs(tmp_path: Path) -> None:
    model = "from django.db import models\nfile = models.FileField()\n"
    project(tmp_path, started(**{"notes/models.py": model}))
    said = begun(tmp_path, names=("shop.example.org", "www.shop.example.org"))
    assert said["env"] == {
        "DJANGO_SETTINGS_MODULE": "mysite.deploy_settings",
        "DJANGO_ORIGINS": "http://shop.example.org http://www.shop.example.org",
    }
    values = loaded(tmp_path, "mysite.deploy_settings", **said["env"])
    assert values["ALLOWED_HOSTS"] == ["shop.example.org", "www.shop.example.org"]
    assert (
        values["CSRF_TRUSTED_ORIGINS"] == values["ORIGINS"] == said["env"]["DJANGO_ORIGINS"].split()
    )
    assert (values["SECRET_KEY"], values["DEBUG"]) == ("k", False)
    assert values["STATIC_ROOT"] == "/srv/shop/static"
    assert values["DATABASES"]["default"] == {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": "/srv/shop/shared/db.sqlite3",
    }
    assert (values["MEDIA_ROOT"], values["MEDIA_URL"]) == ("/srv/shop/shared/media", "/media/")
    assert values["SECURE_PROXY_SSL_HEADER"] == ["HTTP_X_FORWARDED_PROTO", "https"]
    assert (values["SESSION_COOKIE_SECURE"], values["CSRF_COOKIE_SECURE"]) == (False, False)
    origins = "https://shop.example.org:8443"
    tls = loaded(tmp_path, "mysite.deploy_settings", DJANGO_ORIGINS=origins, DJANGO_DEBUG="1")
    assert tls["ALLOWED_HOSTS"] == ["shop.example.org"]
    assert tls["CSRF_TRUSTED_ORIGINS"] == [origins]
    assert (tls["SESSION_COOKIE_SECURE"], tls["CSRF_COOKIE_SECURE"]) == (True, True)
    assert tls["DEBUG"] is True
    assert said["migrate"] == 'cd "$CARTWHEEL_CODE" && python manage.py migrate --noinput'
    collect = '[web.static]\n"/static/" = { command = "python manage.py collectstatic --noinput" }'
    assert collect in said["text"]
    assert '[web.media]\n"/media/" = "media"\n' in said["text"]
    assert not [one for one in said["notes"] if "mysite" in one]


def test_without_a_name_the_site_answers_to_all(tmp_path: Path) -> None:
    project(tmp_path, started())
    said = begun(tmp_path)
    assert said["env"]["DJANGO_ORIGINS"] == "http://*"
    assert "*: any name" in said["text"]
    assert loaded(tmp_path, "mysite.deploy_settings", **said["env"])["ALLOWED_HOSTS"] == ["*"]


def test_a_name_may_stand_for_many(tmp_path: Path) -> None:
    project(tmp_path, started())
    said = begun(tmp_path, names=("*.example.org",))
    values = loaded(tmp_path, "mysite.deploy_settings", **said["env"])
    assert (values["ALLOWED_HOSTS"], values["CSRF_TRUSTED_ORIGINS"]) == (
        [".example.org"],
        ["http://*.example.org"],
    )


def test_the_secret_key_is_made_outside_of_the_sources(tmp_path: Path, home: Path) -> None:
    project(tmp_path, started())
    said = begun(tmp_path)
    assert said["secrets"] == {"DJANGO_SECRET_KEY": "~/.config/shop/django-secret-key"}
    key = home / ".config/shop/django-secret-key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    text = key.read_text()
    assert len(text.strip()) >= 50
    (tmp_path / "cartwheel.toml").unlink()
    begun(tmp_path)
    assert key.read_text() == text, "one that is there stays"


def test_a_key_that_cannot_be_written_leaves_nothing(tmp_path: Path, home: Path) -> None:
    project(tmp_path, started())
    (home / ".config").write_text("in the way")
    with pytest.raises(UsageError, match=r"the secret key cannot be written: .*/django-secret-key"):
        begun(tmp_path)
    assert not (tmp_path / "cartwheel.toml").exists()
    assert not (tmp_path / "mysite/deploy_settings.py").exists()


def test_settings_that_read_the_environment_stay_alone(tmp_path: Path) -> None:
    site = site_of(tmp_path, started(DECOUPLED))
    assert (site.problems, site.needs.any) == ((), False)
    said = begun(tmp_path, names=("a.example", "b.example"))
    assert said["env"] == {
        "DJANGO_SETTINGS_MODULE": "mysite.settings",
        "HOSTS": "a.example,b.example",
        "DEBUG": "False",
    }
    assert said["secrets"] == {"SECRET_KEY": "~/.config/shop/secret-key"}
    assert '# DATABASE_URL = { file = "~/.config/shop/database-url" }' in said["text"]
    assert '"/assets/" = { command' in said["text"]
    assert said["notes"][0].startswith("the sources read DATABASE_URL: set what they need")
    assert not (tmp_path / "mysite/deploy_settings.py").exists()


def test_settings_in_parts_get_only_what_they_lack(tmp_path: Path) -> None:
    """As cookiecutter-django makes them."""
    parts = {"base": COOKIES_BASE, "production": COOKIES_PRODUCTION, "local": COOKIES_LOCAL}
    site = site_of(tmp_path, split(**parts))
    assert site.said == (
        "config.settings.production serves, config/wsgi.py:3 names it;"
        " manage.py:2 names config.settings.local"
    )
    assert site.file == "config/settings/deploy_settings.py"
    assert [str(one).partition(" ")[0] for one in site.problems] == [
        "config/settings/base.py:9:",
        "config/settings/base.py:11:",
    ]
    assert "DEBUG" not in site.text
    assert "ORIGINS" not in site.text
    assert "from config.settings.production import *" in site.text
    said = begun(tmp_path, names=("shop.example.org",))
    assert said["env"] == {
        "DJANGO_SETTINGS_MODULE": "config.settings.deploy_settings",
        "DJANGO_ALLOWED_HOSTS": "shop.example.org",
    }
    assert said["scheme"] == "https"
    assert list(said["secrets"]) == ["DJANGO_SECRET_KEY"]
    assert "the sources read DJANGO_ADMIN_URL: " in said["notes"][0], "not MAILPIT_HOST"
    assert (
        "Django redirects to HTTPS (SECURE_SSL_REDIRECT), so the site needs [tls]" in said["notes"]
    )


SPLIT_BASE = STARTED.replace("mysite.urls", "config.urls")


@pytest.mark.parametrize(
    ("files", "serves"),
    [
        (started(), "mysite.settings"),
        (
            {
                **split(base=SPLIT_BASE, prod="from .base import *\nDEBUG = False\n"),
                "config/wsgi.py": WSGI.format("config.settings.base"),
            },
            "config.settings.prod",
        ),
        (
            {
                **split(__init__=SPLIT_BASE, production="from config.settings import *\n"),
                "config/wsgi.py": WSGI.format("config.settings"),
            },
            "config.settings.production",
        ),
        (
            started(**{"mysite/settings_prod.py": "from .settings import *\n"}),
            "mysite.settings_prod",
        ),
        (started(**{"mysite/prod.py": "MAIL = 1\n"}), "mysite.settings"),
        (started(**{"mysite/wsgi.py": WSGI.format("elsewhere.settings")}), "mysite.settings"),
        (
            started(**{"mysite/deploy_settings.py": "from .settings import *\n"}),
            "mysite.deploy_settings",
        ),
    ],
)
def test_the_settings_that_serve(tmp_path: Path, files: dict[str, str], serves: str) -> None:
    assert site_of(tmp_path, files).settings == serves


def test_a_second_run_takes_the_file_that_is_there(tmp_path: Path) -> None:
    project(tmp_path, started())
    first = begun(tmp_path, names=("a.example",))
    mine = tmp_path / "mysite/deploy_settings.py"
    mine.write_text(mine.read_text() + "MY_OWN = 1\n")
    (tmp_path / "cartwheel.toml").unlink()
    second = begun(tmp_path, names=("a.example",))
    assert second["env"] == first["env"]
    assert second["text"] == first["text"]
    assert "MY_OWN" in mine.read_text()


def lines_with(*changes: tuple[str, str]) -> str:
    text = STARTED
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


SQLITE = 'BASE_DIR / "db.sqlite3"'
URL = 'DATABASES["default"] = dj_database_url.config('
FALLBACK = '"NAME": os.environ.get("DB", "sqlite.db"),'


@pytest.mark.parametrize(
    ("settings", "requirements", "wanted", "absent"),
    [
        (STARTED, "dj-database-url\n", [URL, "import dj_database_url"], ["MEDIA_ROOT"]),
        (lines_with((SQLITE, '"/var/lib/shop/db"')), "", ["STATIC_ROOT"], ["DATABASES"]),
        (lines_with((SQLITE, '":memory:"')), "", ["STATIC_ROOT"], ["DATABASES"]),
        (
            lines_with((SQLITE, 'os.path.join(BASE_DIR, "data", "my.db")')),
            "",
            ['["NAME"] = SHARED / "my.db"'],
            [],
        ),
        (
            STARTED + 'import dj_database_url\nDATABASES = {"default": dj_database_url.config('
            'default=f"sqlite:///{BASE_DIR}/x")}\n',
            "dj-database-url\n",
            ['["ENGINE"] and "DATABASE_URL" not in os.environ:'],
            ["import dj_database_url"],
        ),
        (
            STARTED + 'DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql",'
            ' "PASSWORD": "x"}}\n',
            "",
            ['os.environ[f"DATABASE_{key}"]'],
            ["SHARED"],
        ),
        (
            STARTED + 'if os.environ.get("DB") == "postgres":\n    DATABASES = {"default": {}}\n',
            "dj-database-url\n",
            ['if "sqlite3" in DATABASES["default"]["ENGINE"]:\n    DATABASES["default"]["NAME"]'],
            ["dj_database_url"],
        ),
        (
            STARTED + 'default = {"ENGINE": "django.db.backends.sqlite3",'
            ' "NAME": BASE_DIR / "x.db"}\n'
            'DATABASES = {"default": default}\n',
            "",
            ['DATABASES["default"]["NAME"] = SHARED / "x.db"'],
            [],
        ),
        (
            STARTED
            + 'DATA = Path(os.environ.get("DATA", BASE_DIR))\nMEDIA_ROOT = DATA / "media"\n',
            "",
            ["STATIC_ROOT"],
            ["MEDIA"],
        ),
        (lines_with(("[]", '["shop.example.org"]')), "", ["DEBUG"], ["ORIGINS"]),
        (lines_with(("[]", '["localhost", "127.0.0.1"]')), "", ["ORIGINS"], []),
        (STARTED + "CSRF_TRUSTED_ORIGINS = ['https://x']\n", "", ["ORIGINS"], ["CSRF_T"]),
        (STARTED + "SESSION_COOKIE_SECURE = True\n", "", ["ORIGINS"], ["COOKIE"]),
        (STARTED + 'STATIC_ROOT = "/var/www/static"\n', "", ["STATIC_ROOT"], []),
        (STARTED + 'MEDIA_ROOT = BASE_DIR / "media"\n', "", ['"media"', "MEDIA_URL"], []),
        (STARTED + 'MEDIA_ROOT = "/mnt/media"\n', "", ["STATIC_ROOT"], ["MEDIA"]),
        (
            STARTED + 'STORAGES = {"default": {"BACKEND": "storages.backends.s3.S3Storage"}}\n',
            "",
            ["DEBUG"],
            ["STATIC_ROOT =", "MEDIA"],
        ),
        (lines_with(("static/", "https://cdn.example/")), "", ["DEBUG"], ["STATIC_ROOT ="]),
    ],
)
def test_only_what_is_missing_is_in_the_file(
    tmp_path: Path, settings: str, requirements: str, wanted: list[str], absent: list[str]
) -> None:
    files = {**started(settings), "requirements.txt": f"django\n{requirements}"}
    text = site_of(tmp_path, files).text
    compile(text, "deploy_settings.py", "exec")
    code = text.partition("import os\n")[2]
    assert [one for one in wanted if one not in code] == []
    assert [one for one in absent if one in code] == []


@pytest.mark.parametrize(
    ("line", "off"),
    [
        ('os.environ.get("DEBUG", "True") == "True"', "False"),
        ('os.getenv("DEBUG") != "no"', "no"),
        ('int(os.environ.get("DEBUG", 1))', "0"),
        ('bool(os.environ.get("DEBUG", True))', ""),
        ('os.environ.get("DEBUG") == "1"', None),
        ('os.environ.get("DEBUG", "") == "1"', None),
    ],
)
def test_what_switches_debug_off(tmp_path: Path, line: str, off: str | None) -> None:
    site = site_of(tmp_path, started(lines_with(("DEBUG = True", f"import os\nDEBUG = {line}"))))
    assert (site.names.debug_off, site.needs.debug) == (off, False)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ('os.environ.get("HOSTS", "").split(",")', "a.example,b.example"),
        ('os.environ["HOSTS"].split()', "a.example b.example"),
        ('os.environ.get("HOSTS", "").split(" ")', "a.example b.example"),
        ('[h.strip() for h in os.getenv("HOSTS", "").split(";")]', "a.example;b.example"),
    ],
)
def test_the_hosts_as_the_settings_read_them(tmp_path: Path, line: str, value: str) -> None:
    text = lines_with(("ALLOWED_HOSTS = []", f"import os\nALLOWED_HOSTS = {line}"))
    project(tmp_path, started(text))
    assert begun(tmp_path, names=("a.example", "b.example"))["env"]["HOSTS"] == value


def test_what_the_file_cannot_repair_is_a_note(tmp_path: Path) -> None:
    text = (
        STARTED + "if DEBUG:\n    INSTALLED_APPS += ['debug_toolbar']\nJWT = {'key': SECRET_KEY}\n"
    )
    forced = WSGI.replace("os.environ.setdefault(", "os.environ[").replace(", ", "] = ")
    files = started(
        text, **{"mysite/wsgi.py": forced.format("mysite.settings").replace('s")', 's"')}
    )
    project(tmp_path, files)
    notes = begun(tmp_path)["notes"]
    assert any(
        one.startswith("mysite/wsgi.py:3: this sets DJANGO_SETTINGS_MODULE whatever")
        for one in notes
    )
    assert "mysite/settings.py:15: this uses DEBUG as the sources have it" in "\n".join(notes)
    assert "mysite/settings.py:17: this uses SECRET_KEY as" in "\n".join(notes)


@pytest.mark.parametrize(
    "lines",
    [
        'if "KEY" in os.environ:\n    SECRET_KEY = os.environ["KEY"]\nelse:\n    SECRET_KEY = "x"',
        'SECRET_KEY = os.environ.get("KEY", "dev")',
        'SECRET_KEY = "dev"\nif not DEBUG:\n    SECRET_KEY = os.environ["KEY"]',
        'KEY = os.environ.get("KEY") or "dev"\nSECRET_KEY = KEY',
    ],
)
def test_a_key_that_may_come_from_the_environment(tmp_path: Path, lines: str) -> None:
    text = lines_with(('SECRET_KEY = "django-insecure-one"', f"import os\n{lines}"))
    site = site_of(tmp_path, started(text))
    assert (site.names.secret_key, site.needs.secret_key) == ("KEY", False)


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ('STATIC_URL = f"/{PREFIX}/static/"', ":15: STATIC_URL is known only in a run"),
        ('STORAGES = {"default": {"BACKEND": "storages.backends.s3.S3Storage"}}', "name a store"),
    ],
)
def test_why_no_mapping_is_proposed(tmp_path: Path, line: str, note: str) -> None:
    project(tmp_path, started(f"{STARTED}{line}\n"))
    said = begun(tmp_path)
    assert any(note in one for one in said["notes"])
    assert "web.static" not in said["text"]


def test_a_function_of_their_own_reads_the_environment(tmp_path: Path) -> None:
    own = "import os\ndef need(name):\n    return os.environ[name]\n"
    own += 'def flag(name, default):\n    return os.getenv(name, default) == "yes"\n'
    text = lines_with(
        ('"django-insecure-one"', 'need("SHOP_KEY")'), ("DEBUG = True", 'DEBUG = flag("D", "yes")')
    )
    text = f"from mysite.own import need, flag\nMAIL = need('MAIL')\n{text}"
    site = site_of(tmp_path, started(text, **{"mysite/own.py": own}))
    assert (site.names.secret_key, site.names.debug, site.names.debug_off) == (
        "SHOP_KEY",
        "D",
        "False",
    )
    assert set(detect(tmp_path).variables) == {"SHOP_KEY", "MAIL"}


def test_debug_that_only_a_run_decides_is_a_note(tmp_path: Path) -> None:
    project(tmp_path, started(lines_with(("DEBUG = True", 'DEBUG = "RENDER" not in os.environ'))))
    notes = "\n".join(begun(tmp_path)["notes"])
    assert "mysite/settings.py:4: make sure that DEBUG is False on a host" in notes


def test_whoever_says_no_keeps_their_settings(tmp_path: Path) -> None:
    project(tmp_path, started())
    said = begun(tmp_path, written=False, names=("a.example",))
    assert said["env"] == {"DJANGO_SETTINGS_MODULE": "mysite.settings"}
    assert (said["secrets"], said["migrate"]) == ({}, None)
    assert "web.static" not in said["text"]
    assert any("ALLOWED_HOSTS lacks a.example" in one for one in said["notes"])
    assert not (tmp_path / "mysite/deploy_settings.py").exists()


def test_a_package_has_no_manage_py_on_a_host(tmp_path: Path) -> None:
    built = '[build-system]\nrequires = ["setuptools"]\n[project]\nname = "shop"\nversion = "1"\n'
    files = {f"src/{name}": text for name, text in started().items() if name != "manage.py"}
    manage = {"manage.py": MANAGE.format("mysite.settings"), "pyproject.toml": built}
    project(tmp_path, {**files, **manage})
    said = begun(tmp_path)
    assert said["migrate"] == "django-admin migrate --noinput"
    assert '{ command = "django-admin collectstatic --noinput" }' in said["text"]
    assert (tmp_path / "src/mysite/deploy_settings.py").is_file()


def test_nothing_is_added_to_a_wheel(tmp_path: Path) -> None:
    files = {name: (text.encode(), False) for name, text in started().items()}
    wheel = write_pure_wheel(tmp_path, "shop-1.0", metadata_lines("shop", "1.0"), files)
    found = detect_wheel(wheel, "shop", "")
    answers = answers_of(
        found, source=wheel.name, name="", entry="", hosts=(), server_names=(), written=True
    )
    assert (dict(answers.sources), answers.key, dict(answers.static)) == ({}, "", {})
    assert any(": DEBUG is True: " in one for one in advice(found, answers))


@pytest.mark.parametrize(("answer", "written"), [("", True), ("yes", True), ("no", False)])
def test_a_person_sees_the_file_and_is_asked(tmp_path: Path, answer: str, written: bool) -> None:
    project(tmp_path, started())
    ours, theirs = pty.openpty()
    try:
        os.write(ours, f"maybe\n{answer}\n".encode())
        env = {"PYTHONPATH": str(CHECKOUT), "HOME": os.environ["HOME"]}
        names = ("--name", "shop", "--server-name", "a.example", "-H", "web1")
        given = (*names, "--entry", "mysite.wsgi:application")
        done = Project(tmp_path, env).cartwheel("config.init", *given, keyboard=theirs)
    finally:
        os.close(ours)
        os.close(theirs)
    asked = "Write mysite/deploy_settings.py? (yes or no) [yes]: "
    assert done.err == f"{asked}yes or no?\n{asked}"
    assert "  mysite/settings.py:4: DEBUG is True" in done.out
    assert '    SECRET_KEY = os.environ["DJANGO_SECRET_KEY"]\n' in done.out
    assert ("wrote mysite/deploy_settings.py" in done.out) is written
    made = "made ~/.config/shop/django-secret-key, a secret key that is not in the sources"
    assert (made in done.out) is written
    assert (tmp_path / "mysite/deploy_settings.py").is_file() is written
