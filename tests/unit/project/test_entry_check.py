"""A mistake in app.entry is reported before anything is uploaded."""

from __future__ import annotations

import pytest

from cartwheel.project.entry_check import entry_problem
from cartwheel.project.modules import Modules
from cartwheel.settings.entry import parse
from cartwheel.settings.toml_tables import ServerKind

SHOP = """
import os
from flask import Flask
from . import views
app = Flask(__name__)
app.config["X"] = 1

def create_app(config="dev", *, debug=False):
    return Flask("x")

def make(config):
    application = Flask("x")
    return application

def helper():
    return 1

def hello(environ, answer):
    return []

@decorated
def wrapped():
    return Flask("x")

if os.environ.get("X"):
    other = app
else:
    other = wrap(app)
try:
    from speedups import fast
except ImportError:
    fast = None
with open(os.devnull) as devnull, lock:
    inside = 1
for each in ():
    pass
first, (second, *rest) = 1, (2, 3)
if (walrus := 1):
    pass
def later():
    global filled
    filled = Flask("x")
"""
API = "from fastapi import FastAPI\napi = FastAPI()\nasync def plain(scope, receive, send): ...\n"
FILES = {
    "shop/__init__.py": SHOP,
    "shop/views.py": "from .models import *\nfrom shop import app as site\n",
    "shop/models.py": "Base = object\n",
    "shop/star.py": "from sqlalchemy import *\n",
    "shop/dynamic.py": "globals().update(app=1)\n",
    "shop/lazy.py": "def __getattr__(name): ...\n",
    "shop/broken.py": "def (\n",
    "shop/dj.py": "from django.core.asgi import get_asgi_application as g\napplication = g()\n",
    "shop/asgi.py": "application = get_asgi_application()\n",
    "shop/both.py": "app = FastAPI()\napp = SomeMiddleware(app)\n",
    "shop/made.py": "from shop import create_app\napp = create_app()\n",
    "api.py": API,
    "space/deep.py": "app = Flask('x')\n",
}
MODULES = Modules.of(FILES, FILES.__getitem__)


@pytest.mark.parametrize(
    "entry",
    [
        "shop:app",
        "shop:create_app()",
        'shop:create_app("prod")',
        'shop:create_app(config="prod", debug=True)',
        "shop:make('x')",
        "shop:hello",  # any two arguments are WSGI's
        "shop:wrapped",
        "shop:other",
        "shop:fast",
        "shop:devnull",
        "shop:each",
        "shop:rest",
        "shop:walrus",
        "shop:filled",
        "shop:views",  # a module
        "shop:app.wsgi_app",
        "shop.views:site",
        "shop.views:Base",
        "shop.star:anything",
        "shop.dynamic:app",
        "shop.lazy:app",
        "shop.broken:app",
        "shop.both:app",
        "shop.made:app",
        "elsewhere.web:app",  # another distribution
        "space.elsewhere:app",  # a part of another distribution
    ],
)
def test_what_may_be_right_passes(entry: str) -> None:
    assert entry_problem(parse(entry), MODULES, "wsgi") is None


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("shop:application", "shop/__init__.py has no application; there is app, create_app()"),
        ("shop", "app.entry is shop:application: shop/__init__.py has no application"),
        ("shop.views:aap", "shop/views.py has no aap; there is site"),
        ("shop.models:app", "shop/models.py has no app; there is Base"),
        ("shop:create_app", "create_app is a factory: write shop:create_app()"),
        ("shop:make", "make is a factory: write shop:make(config)"),
        ("shop:helper", "helper is a factory: write shop:helper()"),
        ("shop:make()", "make does not take these arguments: it is make(config)"),
        ("shop:create_app(1, 2)", "it is create_app(config=None, *, debug=None)"),
        ("shop:create_app(bug=1)", "does not take these arguments"),
        ("shop:app()", "app is the application itself: write shop:app"),
        ("shop.web:app", "the application has no module shop.web; there is api:api"),
        ("api.web:app", "has no module api.web"),
        ("space:app", "has no module space; there is api:api"),
    ],
)
def test_what_is_certainly_wrong_is_told(entry: str, message: str) -> None:
    problem = entry_problem(parse(entry), MODULES, None)
    assert problem is not None
    assert (message in problem.message, problem.is_kind) == (True, False), problem.message


@pytest.mark.parametrize(
    ("entry", "kind", "message"),
    [
        (
            "api:api",
            "wsgi",
            'FastAPI is ASGI, but gunicorn serves WSGI: set gunicorn.kind = "asgi"',
        ),
        ("api:plain", "wsgi", "it is ASGI"),
        ("shop.asgi:application", "wsgi", "Django is ASGI"),
        ("shop:app", "asgi", 'Flask is WSGI, but gunicorn serves ASGI: set gunicorn.kind = "wsgi"'),
        ("shop:create_app()", "uvicorn", "Flask is WSGI"),
        ("shop.made:app", "asgi", "Flask is WSGI"),
        ("api:api", "asgi", ""),
        ("api:api", "uvicorn", ""),
        ("api:api", None, ""),  # a worker class that nobody here knows
        ("api:api.router", "wsgi", ""),
    ],
)
def test_an_application_under_a_server_of_the_other_kind(
    entry: str, kind: ServerKind | None, message: str
) -> None:
    problem = entry_problem(parse(entry), MODULES, kind)
    assert (problem is not None) == bool(message)
    if problem is not None:
        assert problem.is_kind
        assert message in problem.message
