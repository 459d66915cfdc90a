"""What an application's own repository says of itself, and the files it gets."""

from __future__ import annotations

import os
import pty
import tomllib
from pathlib import Path
from typing import Any

import pytest

from cartwheel.build.source import find_source, source_digest
from cartwheel.errors import UsageError
from cartwheel.project.begin import answers_of, begin
from cartwheel.project.detect import Found, detect
from cartwheel.project.files import FABFILE, Answers
from cartwheel.project.proposal import as_name
from cartwheel.settings.loading import load
from tests.kit.project import CHECKOUT, Project

HELLO = "from flask import Flask\napp = Flask(__name__)\n"


def write(folder: Path, **files: str) -> Path:
    """Sources by their names without an ending; `pyproject` is pyproject.toml."""
    for name, text in files.items():
        ending = ".toml" if name == "pyproject" else ".py"
        path = folder / f"{name}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "entry", "framework", "interface"),
    [
        ({"app": HELLO}, "app:app", "Flask", "wsgi"),
        ({"src/shop/web": HELLO}, "shop.web:app", "Flask", "wsgi"),
        ({"shop/init": HELLO}, "shop.init:app", "Flask", "wsgi"),
        ({"src/shop/__init__": HELLO}, "shop:app", "Flask", "wsgi"),
        (
            {"main": "import fastapi\napi: fastapi.FastAPI = fastapi.FastAPI()"},
            "main:api",
            "FastAPI",
            "asgi",
        ),
        (
            {
                "site/wsgi": "application = get_wsgi_application()",
                "site/asgi": "application = get_asgi_application()",
            },
            "site.wsgi:application",
            "Django",
            "wsgi",
        ),
        (
            {"shop/factory": "def create(debug=False):\n    x = Flask('a')\n    return x"},
            "shop.factory:create()",
            "Flask",
            "wsgi",
        ),
        ({"app": "def app(environ, start_response): ..."}, "app:app", "", "wsgi"),
        ({"app": "async def app(scope, receive, send): ..."}, "app:app", "", "asgi"),
        (
            {"tests/app": HELLO, "docs/app": HELLO, "deep/down/web": HELLO},
            "deep.down.web:app",
            "Flask",
            "wsgi",
        ),
        ({"other": HELLO, "wsgi": HELLO}, "wsgi:app", "Flask", "wsgi"),
        (
            {"shop": "def make(config):\n    return Flask('a')", "app": HELLO},
            "app:app",
            "Flask",
            "wsgi",
        ),
        ({"broken": "def (", "app": HELLO}, "app:app", "Flask", "wsgi"),
    ],
)
def test_what_serves(
    tmp_path: Path, files: dict[str, str], entry: str, framework: str, interface: str
) -> None:
    best = detect(write(tmp_path, **files)).entries[0]
    assert (best.entry, best.framework, best.interface) == (entry, framework, interface)


def test_nothing_that_serves(tmp_path: Path) -> None:
    """A factory that needs an argument, one that returns nothing, a call that is not kept."""
    write(
        tmp_path,
        a="def make(config):\n    return Flask('a')",
        b="def make():\n    Flask('a')",
        c="Flask('a')",
        d="x = flask('a')",
    )
    assert detect(tmp_path).entries == ()


@pytest.mark.parametrize(
    ("requires", "python"),
    [
        ("==3.12.*", "3.12"),
        ("~=3.11.2", "3.11"),
        (">=3.10", ""),
        (">=3.10,<3.11", "3.10"),
        ("?", ""),
    ],
)
def test_the_python_it_needs(tmp_path: Path, requires: str, python: str) -> None:
    found = detect(
        write(tmp_path, pyproject=f'[project]\nname = "x"\nrequires-python = "{requires}"')
    )
    assert (found.requires_python, found.python) == (requires, python)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("My_Shop.web", "my-shop-web"),
        ("7-zip", "zip"),
        ("a" * 23 + "-bc", "a" * 23),
        ("---", ""),
        ("Grüße", "gr-e"),
    ],
)
def test_a_name_for_the_host(given: str, name: str) -> None:
    assert as_name(given) == name


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("app.get('/healthz')", "/healthz"),
        ('path("health/", view), path("/ping", x)', "/health/"),
        ('{"status": "ok"}; app.route("/")', ""),
        ('"""Not path("health/", view)."""  # nor "/healthz"', ""),
        ('re_path("^health/$", view)', "/health/"),
        ("url = 'https://x/healthz?'", ""),
    ],
)
def test_where_its_health_is_asked(tmp_path: Path, source: str, path: str) -> None:
    assert detect(write(tmp_path, app=f"{source}\n")).health_path == path


def answers(found: Found, **given: Any) -> Answers:
    rest: dict[str, Any] = {"source": ".", "name": "", "entry": "", "hosts": (), "server_names": ()}
    return answers_of(found, **{**rest, **given})


def test_who_says_nothing_of_an_entry_is_asked_for_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no WSGI or ASGI application") as caught:
        answers(detect(write(tmp_path, app="x = 1")))
    assert "--entry" in (caught.value.hint or "")
    with pytest.raises(UsageError, match="has no name"):
        answers(Found("", "", "", (), ""), entry="a:b")


def test_a_new_project_works_as_it_is_written(tmp_path: Path) -> None:
    write(tmp_path, app=f"{HELLO}HEALTH = '/health'")
    project = Project(tmp_path, {"PYTHONPATH": str(CHECKOUT), "PATH": "/usr/bin:/bin"})
    given = ("--name", "shop", "--server-name", "a.example", "-H", "web1")
    done = project.cartwheel("config.init", *given)
    assert done.out.splitlines() == [
        "wrote cartwheel.toml",
        "wrote .cartwheel/settings.schema.json",
        "wrote fabfile.py",
        "next: cartwheel setup && cartwheel deploy",
    ]
    assert FABFILE.count("\n") == 3
    shown = project.fab("config.show", "--written").out
    for line in ('"app:app"', '["web1"]', '["a.example"]', '"/health"'):
        assert line in shown
    assert "deploy" in project.fab("--list").out
    again = project.fab("config.init", "--name", "shop", "--yes", code=2)
    assert "there is already an application shop" in again.err
    assert (
        (tmp_path / "cartwheel.toml")
        .read_text()
        .startswith("#:schema ./.cartwheel/settings.schema.json")
    )


def test_a_person_is_asked_what_is_left_open(tmp_path: Path) -> None:
    """Return takes what was found; what an option says is not asked."""
    write(tmp_path, app=HELLO, other="from fastapi import FastAPI\napi = FastAPI()\n")
    ours, theirs = pty.openpty()
    try:
        os.write(ours, b"No Name\n\nother:apy\nother:api\nweb1, web2\n")
        elsewhere = {"XDG_STATE_HOME": str(tmp_path / "state")}
        project = Project(tmp_path, {"PYTHONPATH": str(CHECKOUT), **elsewhere})
        given = ("config.init", "--server-name", "a.example")
        done = project.cartwheel(*given, keyboard=theirs)
    finally:
        os.close(ours)
        os.close(theirs)
    name = as_name(tmp_path.name)
    asked = f"Name of the application on the hosts [{name}]: "
    entry = "WSGI or ASGI application (module:attribute) [app:app]: "
    first, second, third = done.err.splitlines()
    assert first.startswith(f"{asked}'No Name' is no name")
    wrong = "app.entry is other:apy: other.py has no apy; there is api"
    assert second == f"{asked}{entry}{wrong}"
    assert third == f"{entry}Hosts, comma-separated ([USER@]HOST[:PORT]): "
    settings = load(tmp_path, None, None)
    assert (settings.app.name, settings.app.entry) == (name, "other:api")
    assert (settings.hosts, settings.gunicorn.kind) == (("web1", "web2"), "asgi")


def test_one_more_application_has_a_file_of_its_own(tmp_path: Path) -> None:
    """As in a clone, whose config/deploy.toml is about another one."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config/deploy.toml").write_text('[app]\nname = "hello"\nsource = "."\n')
    (tmp_path / "fabfile.py").write_text("import cartwheel\n")
    write(tmp_path / "shop", app=HELLO)
    found = detect(tmp_path / "shop")
    done = begin(tmp_path, answers(found, source="shop", server_names=("s.example",)))
    assert (done.written, done.kept, done.app, done.unbound) == (
        ("config/apps/shop.toml", "config/settings.schema.json"),
        ("fabfile.py",),
        "shop",
        False,
    )
    assert load(tmp_path, "shop", None).app.entry == "app:app"
    with pytest.raises(UsageError, match="there is already an application shop"):
        begin(tmp_path, answers(found, source="shop"))


def test_what_is_not_valid_leaves_nothing(tmp_path: Path) -> None:
    write(tmp_path, app=HELLO)
    with pytest.raises(UsageError, match="expected a host name"):
        begin(tmp_path, answers(detect(tmp_path), name="shop", server_names=("a b",)))
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["app.py"]


def test_a_fabfile_that_is_there_stays(tmp_path: Path) -> None:
    write(tmp_path, app=HELLO, fabfile="from fabric import task\n")
    done = begin(tmp_path, answers(detect(tmp_path), name="shop"))
    assert done.unbound
    assert (tmp_path / "fabfile.py").read_text() == "from fabric import task\n"


def test_cartwheels_own_files_are_no_part_of_the_application(tmp_path: Path) -> None:
    """Other settings are no other release; a folder beside the package breaks some builds."""
    write(tmp_path, app=HELLO)
    (tmp_path / "requirements.txt").write_text("flask\n")
    begin(tmp_path, answers(detect(tmp_path), name="shop"))
    source = find_source(".", tmp_path)
    before = source_digest(source)
    (tmp_path / ".cartwheel/environments").mkdir()
    (tmp_path / ".cartwheel/environments/live.toml").write_text("")
    assert source_digest(source) == before
    (tmp_path / "config").mkdir()
    (tmp_path / "config/own.toml").write_text("")
    assert source_digest(source) != before
    assert tomllib.loads((tmp_path / "cartwheel.toml").read_text())["app"]["name"] == "shop"
