"""FastAPI and Flask as their tutorials begin: `config.init` names what has to change, and then
they are deployed, twice."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from websockets.sync.client import connect

from cartwheel.errors import Exit
from cartwheel_lab import LabHost
from tests.kit.certificates import authority, certificate
from tests.kit.host import get
from tests.kit.person import Person
from tests.kit.project import CHECKOUT, Project

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(300)]

FASTAPI = """
from contextlib import asynccontextmanager
from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates


@asynccontextmanager
async def lifespan(app):
    app.state.answer = 42
    yield


app = FastAPI(lifespan=lifespan)
app.mount("/static", StaticFiles(directory="static"), name="static")
templates = Jinja2Templates(directory="templates")


@app.get("/items/{number}", response_class=HTMLResponse)
async def item(request: Request, number: int):
    answer = {"number": number, "answer": request.app.state.answer}
    return templates.TemplateResponse(request=request, name="item.html", context=answer)


@app.websocket("/echo")
async def echo(socket: WebSocket):
    await socket.accept()
    await socket.send_text(await socket.receive_text())
    await socket.close()
"""
ITEM = '<link href="{{ url_for("static", path="a.css") }}">{{ number }} {{ answer }}'
FLASKR = """
import os, sqlite3
from flask import Flask, request


def create_app(test_config=None):
    app = Flask(__name__, instance_relative_config=True)
    app.config.from_mapping(
        SECRET_KEY="dev", DATABASE=os.path.join(app.instance_path, "flaskr.sqlite")
    )
    try:
        os.makedirs(app.instance_path)
    except OSError:
        pass

    @app.route("/")
    def index():
        with sqlite3.connect(app.config["DATABASE"]) as database:
            database.execute("create table if not exists visit (path)")
            database.execute("insert into visit values (?)", (request.path,))
            visits = database.execute("select count(*) from visit").fetchone()[0]
        return {"visits": visits, "url": request.url, "address": request.remote_addr}

    return app
"""


def begun(folder: Path, name: str, files: dict[str, str]) -> tuple[Project, str]:
    """A project, and what `config.init` says about it."""
    elsewhere = {"PYTHONPATH": str(CHECKOUT), "XDG_STATE_HOME": str(folder / "state")}
    project = Project(folder / name, elsewhere)
    project.folder.mkdir()
    for path, text in files.items():
        project.write(path, text)
    said = project.cartwheel("config.init", "--name", name, "--server-name", f"{name}.test").out
    settings = project.folder / "cartwheel.toml"
    quick = settings.read_text().replace("[health]\n", "[health]\ndeadline_seconds = 3\n")
    settings.write_text(quick + "\n[deploy]\ndrain_seconds = 2\n")
    return project, said


def change(project: Project, file: str, *changes: tuple[str, str]) -> None:
    text = (project.folder / file).read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    (project.folder / file).write_text(text)


def test_fastapi(module_host: LabHost, tmp_path: Path) -> None:
    files = {
        "main.py": FASTAPI,
        "static/a.css": "p {}",
        "templates/item.html": ITEM,
        "requirements.txt": "fastapi\nuvicorn\njinja2\n",
    }
    project, said = begun(tmp_path, "api", files)
    host = module_host.name
    for line, what in ((16, "static"), (17, "templates")):
        assert f'note: main.py:{line}: "{what}" is looked for in the working directory' in said
    project.fab("setup", "-H", host)
    refused = project.fab("deploy", "-H", host, code=int(Exit.FAILED))
    assert "main:app cannot be imported: RuntimeError: Directory 'static'" in refused.err
    assert "for files of its code use `Path(__file__).parent`" in refused.err

    here = 'Path(__file__).parent / "{}"'.format
    change(
        project,
        "main.py",
        ("import asynccontextmanager\n", "import asynccontextmanager\nfrom pathlib import Path\n"),
        ('directory="static"', f"directory={here('static')}"),
        ('directory="templates"', f"directory={here('templates')}"),
    )
    project.fab("deploy", "-H", host)
    page = get(module_host, "/items/7", "api.test")
    assert page == '<link href="http://api.test/static/a.css">7 42'
    assert get(module_host, "/static/a.css", "api.test") == "p {}"
    log = module_host.sh("tail -1 /var/log/nginx/api.access.log")
    assert 'upstream="-"' in log, "the web server itself serves static files"
    place = socket.create_connection((module_host.address, module_host.http_port), 10)
    with connect("ws://api.test/echo", sock=place) as echo:
        echo.send("hello")
        assert echo.recv(timeout=10) == "hello"

    # Over HTTPS, with each of the two workers, addresses that the app makes are right.
    root = authority()
    pair = certificate("api.test", by=root)
    for file, text in (("a.pem", pair.pem), ("a.key", pair.key), ("root.pem", root.pem)):
        (project.folder / file).write_text(text)
    tls = '[tls]\ncertificate = "a.pem"\nkey = "a.key"\nca = "root.pem"\n\n[web]\n'
    change(project, "cartwheel.toml", ("[web]\n", tls))
    visitor = Person("api.test", (module_host.address, module_host.https_port), root.pem)
    for kind in ("uvicorn", "asgi"):
        change(project, "cartwheel.toml", ('kind = "uvicorn"', f'kind = "{kind}"'))
        project.fab("deploy", "-H", host)
        assert 'href="https://api.test/static/a.css"' in visitor.get("/items/7").text, kind
    project.fab("uninstall", "--yes", "-H", host)


def test_flask(module_host: LabHost, tmp_path: Path) -> None:
    files = {
        "flaskr/__init__.py": FLASKR,
        "flaskr/static/style.css": "a {}",
        "requirements.txt": "flask\n",
    }
    project, said = begun(tmp_path, "flaskr", files)
    host = module_host.name
    assert "note: flaskr/__init__.py:7: the instance folder is inside the release" in said
    assert "note: flaskr/__init__.py:9: the secret key is in the sources" in said
    project.fab("setup", "-H", host)
    refused = project.fab("deploy", "-H", host, code=int(Exit.FAILED))
    assert "unable to open database file" in refused.err

    at = 'instance_path=os.environ.get("CARTWHEEL_SHARED")'
    change(
        project,
        "flaskr/__init__.py",
        ("instance_relative_config=True", f"instance_relative_config=True, {at}"),
        ('"dev"', 'os.environ["SECRET_KEY"]'),
    )
    (tmp_path / "key").write_text("a secret")
    settings = project.folder / "cartwheel.toml"
    change(
        project,
        "cartwheel.toml",
        ("[secrets]\n", '[secrets]\nSECRET_KEY = { file = "../key" }\n'),
    )
    assert '"/static/" = "flaskr/static"' in settings.read_text()
    project.fab("deploy", "-H", host)
    first = json.loads(get(module_host, "/", "flaskr.test"))
    assert first["url"] == "http://flaskr.test/"
    assert not first["address"], "as docs/flask.md says, without ProxyFix"
    assert get(module_host, "/static/style.css", "flaskr.test") == "a {}"
    change(project, "flaskr/static/style.css", ("a {}", "a { color: red }"))
    project.fab("deploy", "-H", host)
    second = json.loads(get(module_host, "/", "flaskr.test"))
    assert second["visits"] > first["visits"], "the second release has the first one's data"
    project.fab("uninstall", "--yes", "-H", host)
