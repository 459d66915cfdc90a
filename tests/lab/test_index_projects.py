"""Deploys projects of other people from the package index, with the settings of `config.init` and
of their own documents."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cartwheel_lab import LabHost
from tests.kit.host import get
from tests.kit.project import CHECKOUT, Project

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class Given:
    """A project of the index: the options of `config.init`, lines to add to the tables of its
    settings, and a path with a part of its answer."""

    options: tuple[str, ...]
    path: str
    answer: str
    set: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


PROJECTS = {
    "httpbin": Given(("--source", "httpbin==0.10.2"), "/uuid", '"uuid"'),
    "ihatemoney": Given(  # https://ihatemoney.readthedocs.io/en/latest/configuration.html
        ("--source", "ihatemoney==7.2.1"),
        "/",
        "I Hate Money",
        {
            # Each of its workers migrates the database at its start.
            "gunicorn": "workers = 1",
            'files."ihatemoney.cfg"': 'template = "ihatemoney.cfg"\n'
            'variable = "IHATEMONEY_SETTINGS_FILE_PATH"',
        },
        {
            "ihatemoney.cfg": "SQLALCHEMY_DATABASE_URI = 'sqlite:///{{ shared }}/money.db'\n"
            "SECRET_KEY = 'for a test'\n"
        },
    ),
    "isso": Given(  # https://isso-comments.de/docs/reference/installation/
        ("--source", "isso==0.14.0"),
        "/js/embed.min.js",
        "isso",
        {
            "health": 'path = "/js/embed.min.js"',
            "host": 'packages = ["build-essential", "python3-dev", "libffi-dev"]',
            'files."isso.cfg"': 'template = "isso.cfg"\nvariable = "ISSO_SETTINGS"',
        },
        {"isso.cfg": "[general]\ndbpath = {{ shared }}/comments.db\nhost = http://isso.test/\n"},
    ),
    "datasette": Given(  # https://docs.datasette.io/en/stable/deploying.html
        (),
        "/-/versions.json",
        '"datasette"',
        {"gunicorn": 'kind = "asgi"'},
        {
            "main.py": "from datasette.app import Datasette\n\n"
            "app = Datasette([], memory=True).app()\n",
            "requirements.txt": "datasette==0.65.5\n",
        },
    ),
    "radicale": Given(  # https://radicale.org/v3.html#wsgi-server
        ("--source", "radicale==3.9.0"),
        "/.web/",
        "Radicale",
        {
            "health": 'path = "/.web/"',
            'files."radicale.ini"': 'template = "radicale.ini"\nvariable = "RADICALE_CONFIG"',
        },
        {
            "radicale.ini": "[auth]\ntype = none\n"
            "[storage]\nfilesystem_folder = {{ shared }}/collections\n"
        },
    ),
    "titiler": Given(("--source", "titiler.application==2.4.0"), "/healthz", '"titiler"'),
    "pypiserver": Given(
        ("--source", "pypiserver==2.4.2", "--entry", "pypiserver:app()"), "/", "pypiserver"
    ),
    "proxpi": Given(("--source", "proxpi==1.3.1"), "/health", '"success"'),
    "klaus": Given(
        ("--source", "klaus==3.0.1", "--entry", "klaus.contrib.wsgi:application"),
        "/",
        "Code",
        {"env": 'KLAUS_SITE_NAME = "Code"\nKLAUS_REPOS = ""'},
    ),
    "pretalx": Given(  # https://docs.pretalx.org/administrator/configure/
        ("--source", "pretalx==2025.2.2"),
        "/orga/login/",
        "pretalx",
        {
            "health": 'path = "/orga/login/"',
            "deploy": 'migrate = "python -m pretalx migrate"',
            "env": 'PRETALX_DATA_DIR = "/srv/pretalx/shared"\nPRETALX_DEBUG = "True"\n'
            'PRETALX_SITE_URL = "http://pretalx.test"',
        },
    ),
}


def with_tables(settings: str, tables: dict[str, str]) -> str:
    """The settings with these lines in these tables, in place of earlier ones of the same keys."""
    for name, lines in tables.items():
        head = f"[{name}]\n"
        before, _, rest = (settings if head in settings else f"{settings}\n{head}").partition(head)
        table, begins, after = rest.partition("\n[")
        keys = {line.split(" = ")[0] for line in lines.splitlines()}
        kept = [line for line in table.splitlines() if line.split(" = ")[0] not in keys]
        settings = before + head + "\n".join([*kept, lines, ""]) + begins + after
    return settings


@pytest.mark.parametrize("name", PROJECTS)
def test_a_project_of_the_index(module_host: LabHost, tmp_path: Path, name: str) -> None:
    given = PROJECTS[name]
    elsewhere = {"PYTHONPATH": str(CHECKOUT), "XDG_STATE_HOME": str(tmp_path / "state")}
    project = Project(tmp_path / name, elsewhere)
    project.folder.mkdir()
    for file, text in given.files.items():
        project.write(file, text)
    project.cartwheel("config.init", *given.options, "--yes", "--server-name", f"{name}.test")
    path = project.folder / "cartwheel.toml"
    path.write_text(with_tables(path.read_text(), given.set))
    on = ("-H", module_host.name)
    project.fab("setup", *on)
    try:
        project.fab("deploy", *on, timeout=600)
        assert given.answer in get(module_host, given.path, f"{name}.test")
        project.fab("status", *on)
    finally:
        project.fab("uninstall", "--yes", *on)
