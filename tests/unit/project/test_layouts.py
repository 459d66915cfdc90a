"""The layouts of Flask, Django and FastAPI that `config.init` finds, and its advice."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartwheel.build.wheel import metadata_lines, write_pure_wheel
from cartwheel.commands.init import look
from cartwheel.errors import UsageError
from cartwheel.project.begin import (
    advice,
    answers_of,
    begin,
    wrong_entry,
    wrong_hosts,
    wrong_name,
    wrong_server_names,
)
from cartwheel.project.detect import Found, detect
from cartwheel.settings.loading import load

FLASK = "from flask import Flask\napp = Flask(__name__)\n"
FACTORY = "from flask import Flask\n\ndef create_app(config=None):\n    return Flask('x')\n"
FASTAPI = "from fastapi import FastAPI\napp = FastAPI()\n"
WSGI = "from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n"
ASGI = "from django.core.asgi import get_asgi_application\napplication = get_asgi_application()\n"
DJANGO = {
    "manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'mysite.settings')\n",
    "requirements.txt": "django\n",
    "mysite/__init__.py": "",
    "mysite/settings.py": 'import os\nSECRET_KEY = os.environ["SECRET_KEY"]\nALLOWED_HOSTS = []\n',
    "mysite/urls.py": (
        '"""Add: path(\'\', views.home)."""\nurlpatterns = [path("admin/", admin.site.urls)]\n'
    ),
    "mysite/wsgi.py": WSGI,
    "mysite/asgi.py": ASGI,
}
MADE = "from shop import create_app\napp = create_app()\n"
CELERY = "from celery import Celery\napp = Celery('shop')\n"
PROJECT = '[build-system]\nrequires = ["setuptools"]\n[project]\nname = "My_Shop"\nversion = "1"\n'

# files, then app.source, app.entry, gunicorn.kind, health.path
LAYOUTS = {
    "flask, one file": (
        {"app.py": FLASK, "requirements.txt": "flask"},
        (".", "app:app", "wsgi", "/"),
    ),
    "flask, a factory in src/": (
        {"pyproject.toml": PROJECT, "src/my_shop/__init__.py": FACTORY},
        (".", "my_shop:create_app()", "wsgi", "/"),
    ),
    "flask, the factory called in wsgi.py": (
        {
            "requirements.txt": "flask",
            "shop/__init__.py": FACTORY,
            "wsgi.py": "from shop import create_app\n\napp = create_app('production')\n",
        },
        (".", "wsgi:app", "wsgi", "/"),
    ),
    "flask, an import in wsgi.py": (
        {
            "requirements.txt": "flask",
            "shop/core.py": FLASK,
            "shop/__init__.py": "",
            "wsgi.py": "from shop.core import app as application\n",
        },
        (".", "shop.core:app", "wsgi", "/"),
    ),
    "django, manage.py": (
        DJANGO,
        (".", "mysite.wsgi:application", "wsgi", "/admin/login/"),
    ),
    "django in a subfolder": (
        {f"backend/{name}": text for name, text in DJANGO.items()} | {"README.md": ""},
        ("backend", "mysite.wsgi:application", "wsgi", "/admin/login/"),
    ),
    "fastapi, app/main.py": (
        {"app/__init__.py": "", "app/main.py": FASTAPI, "requirements.txt": "fastapi"},
        (".", "app.main:app", "asgi", "/openapi.json"),
    ),
    "fastapi with a front page": (
        {"main.py": FASTAPI + '\n@app.get("/")\ndef home(): ...\n', "requirements.txt": "fastapi"},
        (".", "main:app", "asgi", "/"),
    ),
    "fastapi with a health check in a router": (
        {
            "main.py": FASTAPI,
            "routers/status.py": 'router = APIRouter()\n@router.get("/health")\ndef f(): ...\n',
            "requirements.txt": "fastapi",
        },
        (".", "main:app", "asgi", "/health"),
    ),
    "an application of its own kind": (
        {
            "requirements.txt": "",
            "isso/__init__.py": "class Isso: ...\n",
            "isso/run.py": "from isso import Isso\napplication = Isso()\n",
        },
        (".", "isso.run:application", "wsgi", "/"),
    ),
    "dash": (
        {"app.py": "app = Dash(__name__)\nserver = app.server\n", "requirements.txt": "dash"},
        (".", "app:server", "wsgi", "/"),
    ),
    "an application, and Celery's in the more usual module": (
        {
            "requirements.txt": "falcon",
            "app.py": CELERY,
            "shop/web.py": "import falcon\napplication = falcon.App()\n",
        },
        (".", "shop.web:application", "wsgi", "/"),
    ),
    "flask's documented layout with celery": (
        {
            "requirements.txt": "flask",
            "shop/__init__.py": FACTORY,
            "make_celery.py": MADE.replace("app =", "flask_app ="),
            "celery_worker.py": MADE,
            "seed.py": MADE,
            "import_users.py": MADE,
            "test_shop.py": MADE,
            "scripts/serve_mock.py": FLASK,
        },
        (".", "shop:create_app()", "wsgi", "/"),
    ),
    "falcon, asgi": (
        {"requirements.txt": "falcon", "app.py": "from falcon import asgi\napp = asgi.App()\n"},
        (".", "app:app", "asgi", "/"),
    ),
    "bottle, its default application": (
        {"requirements.txt": "bottle", "app.py": "import bottle\napp = bottle.default_app()\n"},
        (".", "app:app", "wsgi", "/"),
    ),
    "sanic": (
        {"requirements.txt": "sanic", "server.py": "from sanic import Sanic\napp = Sanic('x')\n"},
        (".", "server:app", "asgi", "/"),
    ),
    "fastapi with websockets": (
        {"main.py": FASTAPI + "\n@app.websocket('/ws')\nasync def f(ws): ...\n", "Pipfile": ""},
        (".", "main:app", "uvicorn", "/openapi.json"),
    ),
    "litestar": (
        {"requirements.txt": "", "app.py": "from litestar import Litestar\napp = Litestar([])\n"},
        (".", "app:app", "asgi", "/"),
    ),
    "an application in a middleware": (
        {
            "requirements.txt": "",
            "main.py": FASTAPI + "from starlette.middleware.cors import CORSMiddleware\n"
            "app = CORSMiddleware(app)\n",
        },
        (".", "main:app", "asgi", "/"),
    ),
    "flask for an asgi server": (
        {
            "requirements.txt": "flask",
            "core.py": "from flask import Flask\n_app = Flask(__name__)\n",
            "main.py": "from asgiref.wsgi import WsgiToAsgi\nfrom core import _app\n"
            "app = WsgiToAsgi(_app)\n",
        },
        (".", "main:app", "asgi", "/"),
    ),
    "django with channels": (
        {
            **DJANGO,
            "mysite/asgi.py": "from django.core.asgi import get_asgi_application\n"
            "from channels.routing import ProtocolTypeRouter\n"
            "application = ProtocolTypeRouter({'http': get_asgi_application()})\n",
        },
        (".", "mysite.asgi:application", "asgi", "/admin/login/"),
    ),
    "fastapi, where src is the package": (
        {
            "requirements/base.txt": "fastapi",
            "src/main.py": "from src.config import X\n" + FASTAPI,
            "src/config.py": "X = 1\n",
        },
        (".", "src.main:app", "asgi", "/openapi.json"),
    ),
    "fastapi, modules of app/ that import each other without its name": (
        {
            "requirements.txt": "fastapi",
            "app/main.py": "from database import engine\n" + FASTAPI,
            "app/database.py": "engine = 1\n",
        },
        (".", "main:app", "asgi", "/openapi.json"),
    ),
    "fastapi, the health check below a prefix": (
        {
            "requirements.txt": "fastapi",
            "app/main.py": "from app.health import router\n"
            + FASTAPI
            + "app.include_router(router, prefix='/api')\n",
            "app/health.py": "router = APIRouter()\n@router.get('/health')\ndef f(): ...\n",
        },
        (".", "app.main:app", "asgi", "/openapi.json"),
    ),
    "fastapi, the description at another place": (
        {
            "requirements.txt": "",
            "main.py": FASTAPI.replace("FastAPI()", "FastAPI(openapi_url='/api/openapi.json')"),
        },
        (".", "main:app", "asgi", "/api/openapi.json"),
    ),
    "fastapi, the description at a place that only a run can tell": (
        {"requirements.txt": "", "main.py": FASTAPI.replace("()", "(openapi_url=f'{X}/o.json')")},
        (".", "main:app", "asgi", "/docs"),
    ),
    "what the Procfile names": (
        {
            "requirements.txt": "flask",
            "admin/app.py": FLASK,
            "shop/site.py": FLASK.replace("app =", "site ="),
            "Procfile": "worker: celery -A shop.tasks worker\nweb: gunicorn shop.site:site\n",
        },
        (".", "shop.site:site", "wsgi", "/"),
    ),
    "what the Dockerfile names": (
        {
            "requirements.txt": "flask\nfastapi\n",
            "admin/app.py": FLASK,
            "api/service.py": FASTAPI,
            "Dockerfile": 'FROM python:3.12\nCMD ["uvicorn", "api.service:app", "--port", "80"]\n',
        },
        (".", "api.service:app", "asgi", "/openapi.json"),
    ),
    "requirements of tools at the top, the application below": (
        {
            "pyproject.toml": "[tool.ruff]\n",
            "api/pyproject.toml": PROJECT,
            "api/src/my_shop/main.py": FASTAPI,
        },
        ("api", "my_shop.main:app", "asgi", "/openapi.json"),
    ),
}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def nobody() -> str:
    raise AssertionError("nobody needs to be asked")


def found_in(folder: Path) -> tuple[str, Found]:
    return look(folder, "", "", lambda _event: None, nobody)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_is_found_and_its_settings_are_valid(tmp_path: Path, layout: str) -> None:
    files, (source, entry, kind, path) = LAYOUTS[layout]
    place, found = found_in(write(tmp_path / "my-shop", files))
    assert (place, found.likeliest) == (source, entry)
    answers = answers_of(found, source=place, name="", entry="", hosts=(), server_names=())
    begin(tmp_path / "my-shop", answers)
    settings = load(tmp_path / "my-shop", None, None)
    assert (settings.app.source, settings.app.entry) == (source, entry)
    assert (settings.gunicorn.serves, settings.health.path) == (kind, path)
    has_lifespan = found.entries[0].framework in ("FastAPI", "Litestar")
    assert settings.gunicorn.lifespan == ("on" if has_lifespan else "auto")


@pytest.mark.parametrize(
    ("requirements", "added"),
    [("fastapi\nuvicorn\n", ("websockets",)), ("fastapi[standard]>=0.110\n", ())]
    + [(f"fastapi\n{one}\n", ()) for one in ("websockets==15", "wsproto", "uvicorn[standard]")],
)
def test_websockets_need_a_package(
    tmp_path: Path, requirements: str, added: tuple[str, ...]
) -> None:
    text = FASTAPI + "\n@app.websocket('/ws')\nasync def f(ws): ...\n"
    found = detect(write(tmp_path, {"main.py": text, "requirements.txt": requirements}))
    answers = answers_of(found, source=".", name="x", entry="", hosts=(), server_names=())
    begin(tmp_path, answers)
    settings = load(tmp_path, None, None)
    assert (settings.app.requirements, settings.gunicorn.kind) == (added, "uvicorn")


@pytest.mark.parametrize(
    "text",
    [
        CELERY,
        "import typer\napp = typer.Typer()\n",
        "from aiohttp import web\napp = web.Application()\n",
        "from telegram.ext import Application\napplication = Application.builder().build()\n",
    ],
)
def test_what_is_no_web_application(tmp_path: Path, text: str) -> None:
    assert detect(write(tmp_path, {"app.py": text})).entries == ()


def test_other_applications_are_told(tmp_path: Path) -> None:
    files = {
        "requirements.txt": "",
        "admin/app.py": FLASK,
        "admin/wsgi.py": "from admin.app import app\n",
        "api/main.py": FASTAPI,
    }
    place, found = found_in(write(tmp_path, files))
    answers = answers_of(found, source=place, name="", entry="", hosts=(), server_names=())
    assert answers.entry == "admin.app:app"
    assert next(advice(found, answers)) == (
        "other applications in the sources: api/main.py (FastAPI);"
        " app.source and app.entry choose the one to deploy"
    )


def test_an_application_in_a_wheel(tmp_path: Path) -> None:
    """httpbin's package imports everything of its module with the application."""
    inside = {
        "httpbin/__init__.py": "from .core import *\n",
        "httpbin/core.py": "import os\n" + FLASK,
        "httpbin/tests/app.py": FLASK,
    }
    files = {name: (text.encode(), False) for name, text in inside.items()}
    wheel = write_pure_wheel(tmp_path, "httpbin-1.0", metadata_lines("httpbin", "1.0"), files)
    place, found = look(tmp_path, wheel.name, "", lambda _event: None, nobody)
    assert (place, found.name) == (wheel.name, "httpbin")
    assert [one.entry for one in found.entries] == ["httpbin.core:app"]
    assert wrong_entry(found, "httpbin:app") == ""
    assert "has no application; there is app" in wrong_entry(found, "httpbin.core:application")


def test_a_folder_without_an_application_asks_for_one(tmp_path: Path) -> None:
    write(tmp_path / "shop", {"app.py": FLASK})
    asked = look(tmp_path, "shop", "", lambda _event: None, nobody)
    assert asked[1].likeliest == "app:app"
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UsageError, match="no WSGI or ASGI application was found in") as caught:
        look(empty, "", "", lambda _event: None, lambda: "")
    assert "--source NAME==VERSION" in (caught.value.hint or "")


def test_what_a_person_still_has_to_do(tmp_path: Path) -> None:
    write(tmp_path, DJANGO)
    usual = "import os\nos.environ['TEMP'], os.environ['PYTHONSTARTUP'], os.environ['HOME']\n"
    (tmp_path / "mysite" / "system.py").write_text(usual)
    found = detect(tmp_path)
    given = answers_of(found, source=".", name="shop", entry="", hosts=(), server_names=("a.test",))
    proxy, hosts = advice(found, given)
    assert proxy.startswith("mysite/settings.py: SECURE_PROXY_SSL_HEADER is missing")
    assert (found.variables, given.key) == (("SECRET_KEY",), "SECRET_KEY")
    assert hosts.startswith("mysite/settings.py:3: ALLOWED_HOSTS lacks a.test: add it, or Django")
    (tmp_path / "mysite/settings.py").write_text('ALLOWED_HOSTS = [".test"]\n')
    found = detect(tmp_path)
    assert list(advice(found, given)) == [proxy]
    bare = detect(write(tmp_path / "bare", {"app.py": FLASK}))
    [health] = advice(
        bare, answers_of(bare, source=".", name="x", entry="", hosts=(), server_names=())
    )
    assert "/ must answer 200: health.path names another path" in health


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("Shop", "'Shop' is no name: lower-case letters"),
        ("www-data", "is a user or group of the system"),
        ("taken", "there is already an application taken"),
        ("shop", ""),
    ],
)
def test_names_that_are_refused_at_once(tmp_path: Path, wrong: str, message: str) -> None:
    write(tmp_path, {"cartwheel.toml": '[app]\nname = "taken"\nsource = "."\n'})
    found = wrong_name(tmp_path, wrong)
    assert (message in found) if message else not found


def test_hosts_and_server_names_that_are_refused_at_once() -> None:
    assert wrong_hosts(("root@a:22", "b")) == ""
    assert "expected [USER@]HOST[:PORT], got 'c:x'" in wrong_hosts(("a", "c:x"))
    assert wrong_server_names(("a.example", "b")) == ""
    assert "in lower case" in wrong_server_names(("A.example",))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("app:app", ""),
        ("app:make('prod')", ""),
        ("flask.app:Flask", ""),  # somebody else's package
        ("app:aap", "app.py has no aap; there is app"),
        ("app.views:app", "has no module app.views; there is app:app"),
        ("app:make", "make is a factory: write app:make(config)"),
        ("app.py", "not a file"),
    ],
)
def test_entries_that_are_refused_at_once(tmp_path: Path, entry: str, message: str) -> None:
    text = FLASK + "\ndef make(config):\n    return Flask('x')\n"
    found = wrong_entry(detect(write(tmp_path, {"app.py": text})), entry)
    assert (message in found) if message else not found


@pytest.mark.parametrize(
    ("files", "command"),
    [
        (DJANGO, "python manage.py migrate --noinput"),
        ({"app.py": f"from flask_migrate import Migrate\n{FLASK}"}, "flask --app app db upgrade"),
        (
            {"shop/web.py": f"import flask_migrate\n{FACTORY.replace('create_app', 'make')}"},
            "flask --app shop.web:make db upgrade",
        ),
        ({"app.py": FLASK}, ""),
    ],
)
def test_the_migration_that_is_proposed(
    tmp_path: Path, files: dict[str, str], command: str
) -> None:
    wanted = f'cd "$CARTWHEEL_CODE" && {command}' if command else ""
    assert detect(write(tmp_path, files)).migrate == wanted
