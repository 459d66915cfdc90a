"""Variables that the sources read, static files, and what only works on a developer's machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartwheel.project.detect import Found, detect

FLASK = "from flask import Flask\napp = Flask(__name__)\n"
FASTAPI = (
    "from fastapi import FastAPI\n"
    "from fastapi.staticfiles import StaticFiles\n"
    "from fastapi.templating import Jinja2Templates\n"
    "app = FastAPI()\n"
)
INSTANCE = "the instance folder is inside the release, where nothing can be written: write"


def found(folder: Path, files: dict[str, str]) -> Found:
    for name, text in {"requirements.txt": "", **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return detect(folder)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import os\nA = os.environ['A']\nB = os.environ.get('B')\nos.environ['C'] = '1'\n", ["A"]),
        ("from os import environ\nA = environ['A'] + environ.get('B', '')\n", ["A"]),
        ("import os as o\nA = o.environ['A']\n", ["A"]),
        ("from decouple import config\nA = config('A')\nB = config('B', default=1)\n", ["A"]),
        ("from decouple import config as c\nA = c('A', cast=int)\nB = c('B', '')\n", ["A"]),
        ("config = dict\nA = config('A')\n", []),
        ("import os\ndef need(n):\n    return os.environ[n]\nA = need('A')\n", ["A"]),
        ("import os\ndef start(mode):\n    os.environ['MODE'] = mode\nstart('dev')\n", []),
        ("import environ\nenv = environ.Env(B=(bool, False))\nA, B = env('A'), env('B')\n", ["A"]),
        (
            "import environ\nenv = environ.Env()\nD = env.db()\nE = env.str('E', default='')\n",
            ["DATABASE_URL"],
        ),
        (
            "from environs import Env\nenv = Env()\nA = env.int('A')\nB = env.bool('B', False)\n",
            ["A"],
        ),
        ("from environs import env\nA = 1\n", []),
        ("from starlette.config import Config\nc = Config('.env')\nA = c('A', cast=str)\n", ["A"]),
        ("import os\nHOME, A = os.environ['HOME'], os.environ['CARTWHEEL_RELEASE']\n", []),
        (
            "from pydantic_settings import BaseSettings\nfrom pydantic import Field\n"
            "class Settings(BaseSettings):\n"
            "    database_url: str\n    debug: bool = False\n"
            "    key: str = Field(validation_alias='MY_KEY')\n"
            "    more: list = Field(default_factory=list)\n"
            "    last: str = Field(..., min_length=3)\n    fine: str = Field('x')\n",
            ["DATABASE_URL", "LAST", "MY_KEY"],
        ),
        (
            "from pydantic_settings import BaseSettings, SettingsConfigDict\n"
            "class Settings(BaseSettings):\n"
            "    model_config = SettingsConfigDict(env_prefix='SHOP_')\n    key: str\n",
            ["SHOP_KEY"],
        ),
        ("from pydantic import BaseModel\nclass Item(BaseModel):\n    name: str\n", []),
    ],
)
def test_the_variables_that_are_needed(tmp_path: Path, text: str, names: list[str]) -> None:
    assert list(found(tmp_path, {"app.py": FLASK, "conf.py": text}).variables) == names


@pytest.mark.parametrize(
    ("files", "static"),
    [
        ({"app.py": FLASK, "static/a.css": ""}, {"/static/": "static"}),
        ({"app.py": FLASK}, {}),
        ({"shop/__init__.py": FLASK, "shop/static/a/b.css": ""}, {"/static/": "shop/static"}),
        ({"src/shop/__init__.py": FLASK, "src/shop/static/b.css": ""}, {"/static/": "shop/static"}),
        (
            {
                "app.py": FLASK.replace(
                    "name__", "name__, static_folder='public', static_url_path='/p'"
                ),
                "public/a.css": "",
            },
            {"/p/": "public"},
        ),
        ({"app.py": FLASK.replace("name__", "name__, static_url_path=''"), "static/a": ""}, {}),
        ({"app.py": FLASK.replace("name__", "name__, static_folder=None"), "static/a": ""}, {}),
        (
            {
                "main.py": FASTAPI + 'app.mount("/static", StaticFiles(directory="static"))\n',
                "static/a.css": "",
            },
            {"/static/": "static"},
        ),
        (
            {
                "app/__init__.py": "",
                "app/main.py": FASTAPI
                + 'app.mount("/s", StaticFiles(directory=Path(__file__).parent / "static"))\n',
                "app/static/a.css": "",
            },
            {"/s/": "app/static"},
        ),
        ({"main.py": FASTAPI + 'app.mount("/", StaticFiles(directory="web"))\n', "web/i": ""}, {}),
        ({"main.py": FASTAPI + 'app.mount("/api", other)\n'}, {}),
    ],
)
def test_static_files(tmp_path: Path, files: dict[str, str], static: dict[str, str]) -> None:
    assert dict(found(tmp_path, files).static) == static


@pytest.mark.parametrize(
    ("files", "notes"),
    [
        (
            {
                "main.py": FASTAPI
                + 'app.mount("/static", StaticFiles(directory="static"), name="static")\n'
                + 'templates = Jinja2Templates(directory="./templates")\n'
                + 'names = open("data/names.txt").read()\nother = open("not-here.txt")\n',
                "static/a.css": "",
                "templates/index.html": "",
                "data/names.txt": "",
            },
            [
                'main.py:5: "static" is looked for in the working directory, which is the shared'
                ' folder on a host: write Path(__file__).parent / "static"',
                'main.py:6: "templates" is',
                'main.py:7: "data/names.txt" is',
            ],
        ),
        (
            {"app.py": FLASK + "app.secret_key = 'dev'\n"},
            ["app.py:3: the secret key is in the sources"],
        ),
        (
            {"app.py": FLASK + "app.config['SECRET_KEY'] = 'dev'\napp.config['X'] = 'y'\n"},
            ["app.py:3: the secret key is"],
        ),
        (
            {"app.py": FLASK, "config.py": "class Config:\n    SECRET_KEY = 'dev'\n"},
            ["config.py:2: the secret key is"],
        ),
        ({"app.py": FLASK + "import os\napp.secret_key = os.environ['SECRET_KEY']\n"}, []),
        (
            {
                "shop/__init__.py": "import os\nfrom flask import Flask\ndef create_app():\n"
                "    app = Flask(__name__, instance_relative_config=True)\n"
                "    app.config.from_mapping(SECRET_KEY='dev',\n"
                "        DATABASE=os.path.join(app.instance_path, 'shop.sqlite'))\n"
                "    return app\n"
            },
            [f"shop/__init__.py:4: {INSTANCE}", "shop/__init__.py:5: the secret key is"],
        ),
        (
            {
                "app.py": "from flask_sqlalchemy import SQLAlchemy\n"
                + FLASK
                + "app.config['SQLALCHEMY_DATABASE_URI'] = 'sqlite:///shop.db'\n"
            },
            [f"app.py:3: {INSTANCE}"],
        ),
        (
            {
                "app.py": "from flask_sqlalchemy import SQLAlchemy\nimport os\n"
                + FLASK.replace("name__", "name__, instance_path=os.environ.get('X')")
                + "app.config['SQLALCHEMY_DATABASE_URI'] = 'sqlite:///shop.db'\n"
            },
            [],
        ),
    ],
)
def test_what_only_works_on_a_developers_machine(
    tmp_path: Path, files: dict[str, str], notes: list[str]
) -> None:
    said = found(tmp_path, files).pitfalls
    assert [one for one, two in zip(said, notes, strict=False) if not one.startswith(two)] == []
    assert len(said) == len(notes), said
