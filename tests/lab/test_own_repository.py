"""An application's own repository: `cartwheel config.init` in it, and then it deploys.

Layouts as people have them, with nothing but what `config.init` writes.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cartwheel.errors import Exit
from cartwheel_lab import LabHost
from tests.kit.host import get
from tests.kit.project import CHECKOUT, Project

# A flat layout: setuptools refuses it where `config` lies beside the package.
PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "{name}"
version = "1.0"
requires-python = ">=3.10"
dependencies = ["{needs}"]
"""
API = """
from contextlib import asynccontextmanager
from fastapi import FastAPI

@asynccontextmanager
async def lifespan(_app):
    yield

api = FastAPI(lifespan=lifespan)

@api.get("{path}")
async def answer():
    return {{"version": "1.0"}}
"""
FLASK = """
from flask import Flask

def create_app(config="dev"):
    app = Flask(__name__)

    @app.route("/")
    def index():
        return {"version": "1.0"}

    return app
"""
MANAGE = """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
if __name__ == "__main__":
    from django.core.management import execute_from_command_line
    execute_from_command_line(sys.argv)
"""
DJANGO_SETTINGS = """
SECRET_KEY = "for a test"
ALLOWED_HOSTS = []
ROOT_URLCONF = "mysite.urls"
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
WSGI_APPLICATION = "mysite.wsgi.application"
"""
DJANGO_URLS = """
from django.http import JsonResponse
from django.urls import path

urlpatterns = [path("", lambda request: JsonResponse({"version": "1.0"}))]
"""
DJANGO_WSGI = """
import os
from django.core.wsgi import get_wsgi_application
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
application = get_wsgi_application()
"""

# files, options of config.init, the path that answers
LAYOUTS: dict[str, tuple[dict[str, str], tuple[str, ...], str]] = {
    "fastapi-project": (
        {
            "pyproject.toml": PYPROJECT.format(name="shop_api", needs="fastapi"),
            "shop_api/__init__.py": "",
            "shop_api/main.py": API.format(path="/healthz"),
        },
        (),
        "/healthz",
    ),
    "flask-file": (
        {"app.py": f"{FLASK}\napp = create_app()\n", "requirements.txt": "flask\n"},
        (),
        "/",
    ),
    "flask-factory": (
        {
            "pyproject.toml": PYPROJECT.format(name="my-shop", needs="flask"),
            "src/my_shop/__init__.py": FLASK,
        },
        (),
        "/",
    ),
    "fastapi-folder": (
        {
            "app/__init__.py": "",
            "app/main.py": API.format(path="/items"),
            "requirements.txt": "fastapi\n",
        },
        (),
        "/items",
    ),
    "package-of-the-index": ({}, ("--source", "httpbin==0.10.2"), "/uuid"),
}


# Flask-Migrate's folder is beside the package, and Alembic's has the name of its own package.
MIGRATED = """
import os
from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///" + os.environ["HOME"] + "/shop.db"
db = SQLAlchemy(app)
Migrate(app, db)

@app.route("/")
def index():
    names = db.session.execute(db.text("select name from sqlite_master order by name"))
    return {"tables": [name for (name,) in names]}
"""
FLASK_ENV = """
from alembic import context
from flask import current_app

with current_app.extensions["migrate"].db.engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
ALEMBIC_ENV = """
import os
from alembic import context
from sqlalchemy import create_engine

with create_engine("sqlite:///" + os.environ["HOME"] + "/shop.db").connect() as connection:
    context.configure(connection=connection, version_table="second_version")
    with context.begin_transaction():
        context.run_migrations()
"""
VERSION = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "1", None

def upgrade():
    op.create_table("{table}", sa.Column("id", sa.Integer, primary_key=True))
"""


def new(tmp_path: Path, files: dict[str, str]) -> Project:
    elsewhere = {"PYTHONPATH": str(CHECKOUT), "XDG_STATE_HOME": str(tmp_path / "state")}
    project = Project(tmp_path / "shop", elsewhere)
    project.folder.mkdir()
    for name, text in files.items():
        project.write(name, text)
    return project


@pytest.mark.nightly
@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_config_init_writes_deploys(module_host: LabHost, tmp_path: Path, layout: str) -> None:
    """Nobody is asked anything, and nothing is edited."""
    files, options, path = LAYOUTS[layout]
    project = new(tmp_path, files)
    done = project.cartwheel("config.init", *options, "--server-name", "shop-api.test")
    assert "setup -H HOST && " in done.out
    project.fab("setup", "-H", module_host.name)
    project.fab("deploy", "-H", module_host.name)
    assert json.loads(get(module_host, path, "shop-api.test"))
    project.fab("uninstall", "--yes", "-H", module_host.name)


@pytest.mark.nightly
def test_django_says_what_it_needs(module_host: LabHost, tmp_path: Path) -> None:
    """Its own settings decide for which hosts it answers."""
    django = {
        "manage.py": MANAGE,
        "requirements.txt": "django\n",
        "mysite/__init__.py": "",
        "mysite/settings.py": DJANGO_SETTINGS,
        "mysite/urls.py": DJANGO_URLS,
        "mysite/wsgi.py": DJANGO_WSGI,
    }
    project = new(tmp_path, django)
    done = project.cartwheel("config.init", "--no-deploy-settings", "--server-name", "shop.test")
    assert "mysite/settings.py:3: ALLOWED_HOSTS lacks shop.test" in done.out
    project.fab("setup", "-H", module_host.name)
    refused = project.fab("deploy", "-H", module_host.name, code=int(Exit.FAILED))
    assert "not healthy: / answered 400 instead of 200: Bad Request" in refused.err
    assert "rejects the Host header shop.test: allow it (Django: ALLOWED_HOSTS)" in refused.err
    assert "old release" not in refused.text
    allowed = DJANGO_SETTINGS.replace("[]", '["shop.test"]')
    project.write("mysite/settings.py", allowed)
    done = project.fab("deploy", "-H", module_host.name)
    assert json.loads(get(module_host, "/", "shop.test")) == {"version": "1.0"}
    check = 'cd "$CARTWHEEL_CODE" && python manage.py check'
    assert "no issues" in project.fab("run", "-H", module_host.name, "--command", check).out
    project.fab("uninstall", "--yes", "-H", module_host.name)


@pytest.mark.nightly
def test_migrations_as_their_own_documents_write_them(module_host: LabHost, tmp_path: Path) -> None:
    needs = 'flask", "flask-sqlalchemy", "flask-migrate'
    pyproject = PYPROJECT.format(name="shop", needs=needs)
    files = {
        "pyproject.toml": f'{pyproject}[tool.setuptools]\npackages = ["shop"]\n',
        "shop/__init__.py": MIGRATED,
        "migrations/alembic.ini": "[alembic]\n",
        "migrations/env.py": FLASK_ENV,
        "migrations/script.py.mako": "",
        "migrations/versions/1_first.py": VERSION.format(table="first"),
        "alembic.ini": "[alembic]\nscript_location = %(here)s/alembic\n",
        "alembic/env.py": ALEMBIC_ENV,
        "alembic/versions/1_second.py": VERSION.format(table="second"),
    }
    project = new(tmp_path, files)
    project.cartwheel("config.init", "--server-name", "shop.test")
    text = (project.folder / "cartwheel.toml").read_text()
    command = 'cd "$CARTWHEEL_CODE" && flask --app shop db upgrade'
    proposed = f"# migrate = {json.dumps(command)}"
    assert proposed in text
    both = json.dumps(f"{command} && alembic upgrade head")
    text = text.replace(proposed, f"migrate = {both}")
    include = 'include = ["migrations/", "alembic/", "alembic.ini"]'
    project.write("cartwheel.toml", text.replace("[app]\n", f"[app]\n{include}\n"))
    project.fab("setup", "-H", module_host.name)
    project.fab("deploy", "-H", module_host.name)
    tables = json.loads(get(module_host, "/", "shop.test"))["tables"]
    assert {"first", "second"} <= set(tables)
    project.fab("uninstall", "--yes", "-H", module_host.name)
