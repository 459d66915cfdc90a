"""An entry that cannot be served stops `fab build`, and so every deploy, before any upload."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartwheel.errors import Exit
from tests.kit.project import Project, new_project

pytestmark = pytest.mark.build

APP = "from flask import Flask\napp = Flask(__name__)\ndef create(mode):\n    return Flask('x')\n"


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    project = new_project(tmp_path)
    project.write("app/app.py", APP)
    return project


@pytest.mark.parametrize(
    ("line", "number", "message"),
    [
        ('entry = "app"', "CW332", "app.py has no application; there is app"),
        ('entry = "app:create"', "CW332", "create is a factory: write app:create(mode)"),
        (
            'gunicorn.kind = "asgi"',
            "CW333",
            "Flask is WSGI, but gunicorn serves ASGI: set gunicorn.kind",
        ),
    ],
)
def test_a_wrong_entry_is_told_before_anything_else(
    shop: Project, line: str, number: str, message: str
) -> None:
    toml = '[app]\nname = "shop"\nsource = "app"\n'
    shop.settings(f"{line}\n{toml}" if "." in line else f"{toml}{line}\n")
    done = shop.fab("build", code=int(Exit.USAGE))
    assert f"[{number}]" in done.err
    assert message in done.err


def test_the_apps_own_gunicorn_configuration_decides_too(shop: Project) -> None:
    shop.write("app/gunicorn.conf.py", 'worker_class = "uvicorn.workers.UvicornWorker"\n')
    done = shop.fab("build", code=int(Exit.USAGE))
    assert "[CW333]" in done.err
    shop.write("app/gunicorn.conf.py", 'worker_class = "my.workers.Bridge"\n')
    shop.fab("build")
