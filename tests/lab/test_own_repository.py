"""An application's own repository: `cartwheel config.init` in it, and then it deploys."""

from __future__ import annotations

import json
from pathlib import Path

from cartwheel_lab import LabHost
from tests.kit.host import get
from tests.kit.project import CHECKOUT, Project

# A flat layout: setuptools refuses it where `config` lies beside the package.
PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "shop_api"
version = "1.0"
requires-python = ">=3.10"
dependencies = ["fastapi"]
"""
API = """
from fastapi import FastAPI

api = FastAPI()

@api.get("/healthz")
async def healthz():
    return {"version": "1.0"}
"""


def test_what_config_init_writes_deploys(host: LabHost, tmp_path: Path) -> None:
    """An ASGI application that says all of it itself: nobody is asked anything."""
    elsewhere = {"PYTHONPATH": str(CHECKOUT), "XDG_STATE_HOME": str(tmp_path / "state")}
    project = Project(tmp_path / "shop", elsewhere)
    project.write("pyproject.toml", PYPROJECT)
    project.write("shop_api/__init__.py", "")
    project.write("shop_api/main.py", API)
    done = project.cartwheel("config.init", "--server-name", "shop-api.test")
    assert "setup -H HOST && " in done.out
    project.fab("setup", "-H", host.name)
    project.fab("deploy", "-H", host.name)
    assert json.loads(get(host, "/healthz", "shop-api.test")) == {"version": "1.0"}
    project.fab("uninstall", "--yes", "-H", host.name)
