"""The plan refuses an app that the locked gunicorn cannot serve, and names the minimum."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cartwheel.build.products import Lock, Platform
from cartwheel.plan.app_server import server_refusals
from cartwheel.settings.toml_tables import Settings
from tests.unit.answers import facts


def said(python: str, pins: str, **gunicorn: Any) -> list[str]:
    """The refusals of a host with this Python, for a lock of these packages."""
    values = {"app": {"name": "shop", "source": "."}, "gunicorn": gunicorn}
    host = facts()
    assert host.python is not None
    host = replace(host, python=replace(host.python, version=python))
    text = "".join(f"{pin} \\\n    --hash=sha256:{'0' * 64}\n" for pin in pins.split())
    lock = Lock(Platform(python, "glibc", "2.36", "x86_64"), text, "")
    found = list(server_refusals(Settings.model_validate(values), host, lock))
    return [f"{one.slug}: {one.message}" for one in found]


@pytest.mark.parametrize(
    ("python", "pins", "gunicorn"),
    [
        ("3.11.2", "gunicorn==23.0.0", {}),
        ("3.9.2", "gunicorn==21.2.0", {}),
        ("3.11.2", "gunicorn==24.0.0", {"kind": "asgi"}),
        ("3.9.2", "gunicorn==23.0.0 uvicorn==0.30.0 uvicorn-worker==0.2.0", {"kind": "uvicorn"}),
        (
            "3.9.2",
            "gunicorn==23.0.0 uvicorn==0.30.0",
            {"worker_class": "uvicorn.workers.H11Worker"},
        ),
        ("3.11.2", "gunicorn==23.0.0 gevent==24.0", {"worker_class": "gevent"}),
        ("3.11.2", "gunicorn==23.0.0", {"worker_class": "my.workers.Own"}),
        ("3.11.2", "flask==3.0", {}),  # no gunicorn: the host's check says it
    ],
)
def test_what_works(python: str, pins: str, gunicorn: dict[str, str]) -> None:
    assert said(python, pins, **gunicorn) == []


@pytest.mark.parametrize(
    ("python", "pins", "gunicorn", "message"),
    [
        (
            "3.11.2",
            "gunicorn==19.9.0",
            {},
            "19.9.0 is too old to serve an app: require gunicorn>=21.2",
        ),
        ("3.11.2", "gunicorn==20.0.4", {}, "require gunicorn>=21.2.0"),
        ("3.11.2", "gunicorn==20.1.0", {}, "require gunicorn>=21.2.0"),
        ("3.11.2", "gunicorn==23.0.0", {"kind": "asgi"}, "require gunicorn>=24.0.0"),
        ("3.11.2", "gunicorn==23.0.0", {"worker_class": "asgi"}, "require gunicorn>=24.0.0"),
        ("3.9.2", "flask==3.0", {"kind": "asgi"}, "needs Python 3.10, and the app runs on 3.9.2"),
        ("3.11.2", "gunicorn==23.0.0", {"kind": "uvicorn"}, "needs uvicorn-worker"),
        ("3.11.2", "gunicorn==23.0.0", {"worker_class": "gevent"}, "add it to app.requirements"),
    ],
)
def test_what_is_refused(python: str, pins: str, gunicorn: dict[str, str], message: str) -> None:
    [found] = said(python, pins, **gunicorn)
    assert found.partition(":")[0] == "app-server"
    assert message in found
