"""What comes from beside the project serves, whatever an index offers under its name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cartwheel.build.index import IndexOptions
from cartwheel.build.uv import default_for
from cartwheel_lab import LabHost
from tests.build.indexes import LocalIndex, make_wheel, serve
from tests.build.packages import package, write
from tests.kit.host import current, get
from tests.kit.project import new_project

APP = """
import coins, money

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{money.OURS} {coins.OURS}".encode()]
"""
SITE = "venv/lib/python3*/site-packages"


@contextmanager
def strangers(host: LabHost, folder: Path) -> Iterator[LocalIndex]:
    """An index with a stranger's `money` and `coins`, at one address here and on the host."""
    folder.mkdir()
    with serve(folder) as index:
        for name in ("money", "coins"):
            wheel = index.add(name, "9.9")
            host.sh(f"mkdir -p /opt/index/simple/{name} /opt/index/files")
            host.path(f"/opt/index/files/{wheel.name}").write_bytes(wheel.read_bytes())
            page = f'<a href="/files/{wheel.name}">{wheel.name}</a>'
            host.sh(f"echo '{page}' > /opt/index/simple/{name}/index.html")
        serving = f"/usr/bin/python3 -m http.server --bind 127.0.0.1 {index.port}"
        host.sh(
            "systemd-run --unit strangers --working-directory /opt/index"
            f" --property StandardError=file:/opt/asked {serving}"
        )
        yield index


@pytest.mark.nightly
def test_our_package_serves_and_its_change_alone_takes_the_rest_over(
    host: LabHost, tmp_path: Path
) -> None:
    project = new_project(tmp_path)
    package(
        tmp_path / "app",
        "shop",
        requires='"money"',
        tool='[tool.uv.sources]\nmoney = { path = "../money" }',
    )
    (tmp_path / "app" / "app.py").unlink()
    (tmp_path / "app" / "requirements.txt").unlink()
    write(tmp_path / "app" / "shop" / "__init__.py", APP)
    package(tmp_path / "money", "money", requires='"coins @ {root:uri}/../coins"')
    package(tmp_path / "coins", "coins")
    with strangers(host, tmp_path / "strangers") as index:
        text = (tmp_path / "config/deploy.toml").read_text().replace("app:app", "shop:app")
        project.settings(f'{text}\n[index]\nextra_urls = ["{index.url}"]\n')
        project.fab("setup", "-H", host.name)
        project.fab("deploy", "-H", host.name)
        assert get(host) == "money coins"
        first = current(host, "shop")
        assert "unchanged" in project.fab("deploy", "-H", host.name).text

        write(tmp_path / "money" / "money" / "__init__.py", "OURS = 'more money'\n")
        changed = project.fab("deploy", "-H", host.name)
        assert "upload money" in changed.out
        assert get(host) == "more money coins"
        second = current(host, "shop")
        asked = host.sh("cat /opt/asked")
        assert "/simple/gunicorn/" in asked
        for name in ("money", "coins"):
            assert f"/simple/{name}/" not in (*index.asked, *asked.split()), name

    assert first != second
    manifests = [
        json.loads(host.sh(f"cat /srv/shop/releases/{name}/release.json"))
        for name in (first, second)
    ]
    assert manifests[0]["lock_sha256"] == manifests[1]["lock_sha256"]
    inodes = [
        host.sh(f"stat -c %i /srv/shop/releases/{name}/{SITE}/gunicorn/__init__.py").strip()
        for name in (first, second)
    ]
    assert inodes[0] == inodes[1], "taken over by a hard link"
    project.fab("rollback", "-H", host.name)
    assert get(host) == "money coins"


PAGE = """
import pathlib

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    page = (pathlib.Path(__file__).parent / "templates/page.txt").read_text()
    return [page.encode()]
"""
ABOUT = """
from importlib.metadata import version

def about():
    return " ".join(version(name) for name in ("money", "coins"))
"""
ASKS = "'from shop.about import about; print(about())'"
LAYOUTS = {
    "uv": {
        "pyproject.toml": (
            '[project]\nname = "app"\nversion = "0.1.0"\nrequires-python = ">=3.9"\n'
            'dependencies = ["money", "coins"]\n[tool.uv]\nfind-links = ["wheels"]\n'
            '[[tool.uv.index]]\nurl = "INDEX"\n'
        ),
    },
    "pip": {
        "requirements/base.txt": "coins\n--extra-index-url INDEX\n",
        "requirements/production.txt": "-rbase.txt\n-f ../wheels\nmoney\npkg-resources==0.0.0\n",
        "requirements/dev.txt": "-r base.txt\nnowhere\n",
    },
    "pipenv": {
        "Pipfile": (
            '[[source]]\nname = "pypi"\nurl = "DEFAULT"\nverify_ssl = true\n'
            '[[source]]\nname = "own"\nurl = "INDEX"\n'
            '[packages]\ncoins = { version = "*", index = "own" }\n'
            'money = { file = "./wheels/money-10.0-py3-none-any.whl" }\n'
            '[dev-packages]\nnowhere = "*"\n'
        ),
    },
}


@pytest.mark.nightly
def test_layouts_without_a_package_serve_with_what_they_declare(
    host: LabHost, tmp_path: Path
) -> None:
    """Each of uv's, pip's and Pipenv's: files here are uploaded, an own index is asked by URL."""
    project = new_project(tmp_path)
    app = tmp_path / "app"
    wheels = app / "wheels"
    wheels.mkdir()
    make_wheel(wheels, "money", "10.0")
    (app / "requirements.txt").unlink()
    (app / "app.py").unlink()
    write(app / "src/shop/__init__.py", PAGE)
    write(app / "src/shop/about.py", ABOUT)
    write(app / "src/shop/templates/page.txt", "a page")
    project.fab("setup", "-H", host.name)
    default = default_for(IndexOptions(url="asked"))
    with strangers(host, tmp_path / "strangers") as index:
        text = (tmp_path / "config/deploy.toml").read_text().replace("app:app", "shop:app")
        project.settings(text)
        for name, files in LAYOUTS.items():
            for file, content in files.items():
                write(app / file, content.replace("INDEX", index.url).replace("DEFAULT", default))
            deployed = project.fab("deploy", "-H", host.name)
            assert get(host) == "a page", name
            said = f"cd /srv/shop/current && venv/bin/python -c {ASKS}"
            assert host.sh(said).strip() == "10.0 9.9", (name, deployed.text)
            for file in files:
                (app / file).unlink()
