"""Applications of real frameworks below a path of their site (`web.prefix`), and its change."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest
from websockets.sync.client import connect

from cartwheel.errors import Exit
from cartwheel_lab import LabHost
from cartwheel_lab.load import Plan
from tests.kit import apps, secure
from tests.kit.host import get
from tests.kit.person import Person
from tests.kit.project import SHOP, Project, new_project
from tests.kit.secure import NAME
from tests.kit.shop import new_shop
from tests.kit.visitors import loaded
from tests.lab import test_django

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(300)]

PREFIX = "/shop"
SITE = f'[web]\nserver_names = ["{NAME}"]\n'
BELOW = f'{SITE}prefix = "{PREFIX}"\n'
FLASK = """
from flask import Flask, redirect, request, url_for

app = Flask(__name__)


@app.get("/")
def index():
    style = url_for("static", filename="a.css")
    return {"items": url_for("item", number=7, _external=True), "style": style}


@app.get("/items/<int:number>/")
def item(number):
    return f"{number} {request.path}"


@app.get("/old")
def old():
    return redirect(url_for("item", number=7))
"""
FASTAPI = """
from pathlib import Path
from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import RedirectResponse
from fastapi.staticfiles import StaticFiles

app = FastAPI()
app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), name="static")


@app.get("/")
def index(request: Request):
    style = request.url_for("static", path="a.css")
    return {"items": str(request.url_for("item", number=7)), "style": style.path}


@app.get("/items/{number}/", name="item")
def item(number: int, request: Request):
    return f"{number} {request.scope['root_path']}"


@app.get("/old")
def old(request: Request):
    return RedirectResponse(request.url_for("item", number=7))


@app.websocket("/echo")
async def echo(socket: WebSocket):
    await socket.accept()
    await socket.send_text(await socket.receive_text())
    await socket.close()
"""


def begun(folder: Path, code: str, needs: str, settings: str) -> Project:
    """An application with a stylesheet that it sends itself, over HTTPS."""
    project = new_project(folder)
    project.write("app/app.py", code)
    project.write("app/static/a.css", "p {}")
    project.write("app/requirements.txt", needs)
    secure.renew(project)
    settings = settings.replace("[health]\n", '[health]\npath = "/"\n')
    project.settings(settings + BELOW + secure.SETTINGS)
    return project


def visitor(project: Project, host: LabHost) -> Person:
    root = (project.folder / "root.pem").read_text()
    return Person(NAME, (host.address, host.https_port), root)


def assert_addresses_are_right(ann: Person, item: str) -> None:
    index = json.loads(ann.get(f"{PREFIX}").text)
    assert index == {
        "items": f"https://{NAME}{PREFIX}/items/7/",
        "style": f"{PREFIX}/static/a.css",
    }
    assert ann.get(index["style"]).text == "p {}"
    for path in ("/old", "/items/7", "/items/7/"):
        answer = ann.get(PREFIX + path)
        assert (answer.path, answer.text) == (f"{PREFIX}/items/7/", item)
    assert ann.get("/items/7/").status == 404


def test_flask(module_host: LabHost, tmp_path: Path) -> None:
    project = begun(tmp_path, FLASK, "flask\n", SHOP)
    project.fab("setup", "-H", module_host.name)
    project.fab("deploy", "-H", module_host.name)
    assert_addresses_are_right(visitor(project, module_host), "7 /items/7/")
    project.fab("uninstall", "--yes", "-H", module_host.name)


@pytest.mark.parametrize("kind", ["uvicorn", "asgi"])
def test_fastapi(module_host: LabHost, tmp_path: Path, kind: str) -> None:
    settings = SHOP.replace("[gunicorn]", f'[gunicorn]\nkind = "{kind}"')
    project = begun(tmp_path, FASTAPI, "fastapi\nuvicorn\nwebsockets\n", settings)
    project.fab("setup", "-H", module_host.name)
    project.fab("deploy", "-H", module_host.name)
    ann = visitor(project, module_host)
    assert_addresses_are_right(ann, f'"7 {PREFIX}"')
    docs = ann.get(f"{PREFIX}/docs").text
    [described] = re.findall(r"url: '([^']+)'", docs)
    schema = json.loads(ann.get(described).text)
    assert schema["servers"] == [{"url": PREFIX}]
    assert "/items/{number}/" in schema["paths"]
    place = socket.create_connection((module_host.address, module_host.http_port), 10)
    with connect(f"ws://{NAME}{PREFIX}/echo", sock=place, proxy=None) as echo:
        echo.send("hello")
        assert echo.recv(timeout=10) == "hello"
    project.fab("uninstall", "--yes", "-H", module_host.name)


def test_django_and_its_admin(module_host: LabHost, tmp_path: Path) -> None:
    """The same story as without a prefix."""
    project = test_django.begun(tmp_path)
    settings = project.folder / "cartwheel.toml"
    settings.write_text(settings.read_text().replace("[web]\n", '[web]\nprefix = "/of/ann"\n'))
    site = test_django.Site(project, module_host, below="/of/ann")
    site.fab("setup")
    site.fab("deploy", "--skip-tests")
    site.fab("run", "--command", test_django.CREATE)
    test_django.admin_upload_and_login(site)
    site.fab("uninstall", "--yes")


REFUSING = """
[hooks.front]
before = "confirm"
command = "false"
"""


def moving(mark: str) -> str:
    """It answers as before at the paths below the prefix, also without one: otherwise no visitor
    could see the change without an error."""
    path = 'environ["PATH_INFO"]'
    return apps.busy(mark).replace(path, f'{path}.removeprefix("{PREFIX}")')


def test_its_change_and_the_way_back(module_host: LabHost, tmp_path: Path) -> None:
    """Under load, in both directions: a deploy that goes back after the switch, one that stays, and
    a rollback, which would be over the change."""
    shop = new_shop(tmp_path, moving)
    host, settings = module_host.name, shop.project.folder / "config/deploy.toml"
    base = settings.read_text()
    settings.write_text(base + SITE)
    shop.project.fab("setup", "-H", host)
    shop.project.fab("deploy", "-H", host)
    below = {
        name: PREFIX + getattr(Plan(), name)
        for name in ("path", "slow_path", "upload_path", "stream_path")
    }
    with loaded(module_host, host=NAME, **below) as visitors:
        for now, before in ((BELOW, SITE), (SITE, BELOW)):
            before_it = site_of(module_host)
            settings.write_text(base + now + REFUSING)
            shop.project.fab("deploy", "-H", host, code=int(Exit.REVERTED))
            assert site_of(module_host) == before_it
            settings.write_text(base + now)
            mark = shop.code()
            shop.project.fab("deploy", "-H", host)
            assert site_of(module_host) != before_it
            for told in (now, before):
                settings.write_text(base + told)
                refused = shop.project.fab("rollback", "-H", host, code=int(Exit.FAILED)).err
                assert "was made with web.prefix = " in refused
                assert "take the settings and the code that the release was made from" in refused
            settings.write_text(base + now)
            shop.project.fab("restart", "-H", host)
            assert mark in get(module_host, f"{PREFIX}/healthz", NAME)
            assert "healthy" in shop.project.fab("status", "-H", host).text
    visitors.assert_served_by({"mark1", "mark2", "mark3"})
    shop.project.fab("uninstall", "--yes", "-H", host)


def site_of(host: LabHost) -> str:
    return host.sh("cat /etc/nginx/conf.d/cartwheel-shop.conf")
