"""Usual layouts of projects: each becomes a wheel with exactly its declared requirements."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from cartwheel.build.artifact import build_app
from cartwheel.build.lock import lock_for, pins
from cartwheel.build.order import Order
from cartwheel.build.products import Artifact, Lock
from cartwheel.build.wheel import read_metadata
from cartwheel.errors import BuildError
from tests.build.conftest import BOOKWORM, Heard, settings_for
from tests.build.indexes import LocalIndex
from tests.build.packages import package, write
from tests.kit.wheels import wheel_names

pytestmark = [pytest.mark.build, pytest.mark.usefixtures("lonely")]

UV_APP = (
    '[project]\nname = "shop"\nversion = "0.1.0"\ndescription = "Add your description here"\n'
    'readme = "README.md"\nrequires-python = ">=3.11"\ndependencies = [\n    "flask>=3",\n]\n'
)
HATCH = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
PIPFILE = (
    '[[source]]\nurl = "INDEX"\nverify_ssl = true\nname = "pypi"\n\n'
    '[packages]\nflask = "*"\nbottle = {version = ">=0.12", markers = "os_name == \'posix\'"}\n'
    'celery = {version = "*", sys_platform = "== \'win32\'"}\n\n'
    '[dev-packages]\npytest = "*"\n\n[requires]\npython_version = "3.12"\n'
)
PIPFILE_LOCK = (
    '{"_meta": {"hash": {"sha256": "x"}, "pipfile-spec": 6, "requires": {}, "sources": []},'
    ' "default": {"flask": {"index": "pypi", "version": "==3.0"}, "bottle": {"version": "==0.12"}},'
    ' "develop": {"pytest": {"version": "==8.0"}}}'
)
DJANGO = {
    "manage.py": "",
    "mysite/__init__.py": "",
    "mysite/settings.py": "",
    "mysite/wsgi.py": "application = None\n",
    "polls/templates/polls/index.html": "",
}
FASTAPI = {"app/__init__.py": "", "app/main.py": "", "requirements.txt": "fastapi\n"}


@dataclass(frozen=True)
class Form:
    files: dict[str, str]
    carried: set[str]
    locked: set[str]
    entry: str = "main:app"
    source: str = "."
    name: str = "demo"
    version: str = "0.0.0+g"
    note: str = ""


def lines(*names: str) -> str:
    return "".join(f"{name}\n" for name in names)


FORMS = {
    "uv init --app": Form(
        {"pyproject.toml": UV_APP, "main.py": "", "README.md": "", ".python-version": "3.12\n",
         "models.py": "", "templates/page.html": "", "uv.lock": "version = 1\n"},
        {"main.py", "models.py", "templates/page.html"}, {"flask"},
        name="shop", version="0.1.0+g",
    ),
    "uv package = false": Form(
        {"pyproject.toml": f"{UV_APP}{HATCH}[tool.uv]\npackage = false\n", "main.py": ""},
        {"main.py"}, {"flask"}, name="shop", version="0.1.0+g",
    ),
    "uv app with src": Form(
        {"pyproject.toml": UV_APP, "src/shop/__init__.py": "", "src/shop/static/a.css": ""},
        {"shop/__init__.py", "shop/static/a.css"}, {"flask"},
        entry="shop:app", name="shop", version="0.1.0+g",
    ),
    "pdm distribution = false": Form(
        {"pyproject.toml": f"{UV_APP}[tool.pdm]\ndistribution = false\n", "main.py": ""},
        {"main.py"}, {"flask"}, name="shop", version="0.1.0+g",
    ),
    "FastAPI's app folder": Form(
        FASTAPI, {"app/__init__.py", "app/main.py"}, {"fastapi"}, entry="app.main:app",
    ),
    "the app folder itself": Form(
        FASTAPI, {"app/__init__.py", "app/main.py"}, {"fastapi"},
        entry="app.main:app", source="app",
    ),
    "Django": Form(
        {**DJANGO, "requirements.txt": "django\n"}, {*DJANGO}, {"django"},
        entry="mysite.wsgi:application",
    ),
    "Django in a folder": Form(
        {**{f"site/{name}": text for name, text in DJANGO.items()}, "requirements.txt": "django\n"},
        {*DJANGO}, {"django"}, entry="mysite.wsgi:application",
    ),
    "Django in a folder that is named": Form(
        {**{f"site/{name}": text for name, text in DJANGO.items()}, "requirements.txt": "django\n"},
        {*DJANGO}, {"django"}, entry="mysite.wsgi:application", source="site",
    ),
    "requirements by environment": Form(
        {"main.py": "", "requirements/base.txt": "flask\n",
         "requirements/production.txt": "-r base.txt\ncelery\n",
         "requirements/local.txt": "-rbase.txt\npytest\n"},
        {"main.py"}, {"flask", "celery"}, note="requirements: production.txt",
    ),
    "a setup.cfg of tools": Form(
        {"main.py": "", "requirements.txt": "flask\n", "setup.cfg": "[flake8]\nmax=9\n"},
        {"main.py"}, {"flask"},
    ),
    "a Pipfile": Form(
        {"Pipfile": PIPFILE, "main.py": ""}, {"main.py"}, {"flask", "bottle"},
        note="Pipfile asks for Python 3.12; app.python decides",
    ),
    "a Pipfile and its lock": Form(
        {"Pipfile": PIPFILE, "Pipfile.lock": PIPFILE_LOCK, "main.py": ""},
        {"main.py"}, {"flask==3.0", "bottle==0.12"},
    ),
    "a lock of Pipenv": Form(
        {"Pipfile.lock": PIPFILE_LOCK, "main.py": ""}, {"main.py"}, {"flask==3.0", "bottle==0.12"},
    ),
    "a pylock.toml": Form(
        {"main.py": "", "pylock.toml": 'lock-version = "1.0"\ncreated-by = "x"\n[[packages]]\n'
         'name = "flask"\nversion = "3.0"\n[[packages]]\nname = "celery"\nversion = "5.4"\n'
         "marker = \"sys_platform == 'win32'\"\n"},
        {"main.py"}, {"flask==3.0"},
    ),
    "nothing declared": Form(
        {"main.py": ""}, {"main.py"}, set(), note="no requirements were found",
    ),
    "an environment.yml beside": Form(
        {"main.py": "", "requirements.txt": "flask\n", "environment.yml": "name: x\n"},
        {"main.py"}, {"flask"}, note="requirements: requirements.txt; not used: environment.yml",
    ),
}  # fmt: skip


@pytest.fixture
def index(index: LocalIndex) -> LocalIndex:
    index.add("gunicorn", "23.0")
    index.add("flask", "3.0")
    index.add("flask", "3.1")
    index.add("bottle", "0.12")
    index.add("bottle", "0.13")
    for name in ("celery", "django", "fastapi", "pytest"):
        index.add(name, "5.4")
    return index


class Maker:
    def __init__(self, top: Path, index: LocalIndex, emit: Heard) -> None:
        self.top, self.index, self.emit = top / "project", index, emit
        self.state = top / "state"

    def files(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            write(self.top / name, text.replace("INDEX", self.index.url))

    def make(self, source: str = ".", **app: object) -> tuple[Artifact, Lock]:
        settings = settings_for(source, app=app, index={"url": self.index.url})
        artifact = build_app(Order(settings, self.top, self.state, self.emit))
        lock = lock_for(Order(settings, self.top, self.state, self.emit), artifact, BOOKWORM)
        return artifact, lock

    @property
    def notes(self) -> str:
        return "\n".join(event.detail for event in self.emit if event.state == "note")


@pytest.fixture
def maker(tmp_path: Path, index: LocalIndex, heard: Heard) -> Maker:
    return Maker(tmp_path, index, heard)


def carried(artifact: Artifact) -> set[str]:
    return {name for name in wheel_names(artifact.wheel) if ".dist-info/" not in name}


def locked(lock: Lock) -> set[str]:
    return {f"{name}=={version}" for name, version in pins(lock.text).items()}


@pytest.mark.parametrize("name", FORMS)
def test_a_form(name: str, maker: Maker) -> None:
    form = FORMS[name]
    maker.files(form.files)
    artifact, lock = maker.make(form.source, entry=form.entry)
    assert carried(artifact) == form.carried
    assert artifact.name == form.name
    assert artifact.version.startswith(form.version)
    wanted = {*form.locked, "gunicorn"}
    assert {one if one in wanted else one.split("==")[0] for one in locked(lock)} == wanted
    assert form.note in maker.notes


def test_a_folder_with_the_name_of_its_requirement(maker: Maker) -> None:
    """`datasette/requirements.txt` asks for datasette: no package needs itself."""
    maker.files({"main.py": "", "requirements.txt": "flask\n"})
    artifact, lock = maker.make(name="flask", entry="main:app")
    assert artifact.name == "flask-app"
    assert "flask" in {one.split("==")[0] for one in locked(lock)}


def test_what_a_project_says_of_itself_is_in_its_wheel(maker: Maker) -> None:
    more = (
        '[project.scripts]\nshop = "main:run"\n[project.entry-points."flask.commands"]\n'
        'shop = "main:cli"\n[project.optional-dependencies]\nlive = ["celery"]\n'
    )
    maker.files({"pyproject.toml": f"{UV_APP}{more}", "main.py": ""})
    artifact, lock = maker.make(extras=["live"])
    metadata = read_metadata(artifact.wheel)
    assert (metadata.requires_python, metadata.extras) == (">=3.11", ("live",))
    assert set(pins(lock.text)) == {"flask", "celery", "gunicorn"}
    info = f"shop-{artifact.version}.dist-info/entry_points.txt"
    assert info in wheel_names(artifact.wheel)


POETRY = (
    '[tool.poetry]\nname = "shop"\nversion = "0.2"\ndescription = ""\nauthors = []\n'
    'package-mode = false\n[tool.poetry.dependencies]\npython = "^3.11"\nflask = "^3.0"\n'
    'bottle = { version = "~0.12", extras = ["x"], markers = "sys_platform == \'linux\'" }\n'
    'money = { path = "../money" }\ncelery = { version = "*", optional = true }\n'
    '[tool.poetry.extras]\nlater = ["celery"]\n'
    '[tool.poetry.group.dev.dependencies]\npytest = "*"\n'
)


def test_poetry_names_what_a_project_leaves_to_it(
    tmp_path: Path, state: Path, heard: Heard
) -> None:
    write(
        tmp_path / "pyproject.toml",
        '[project]\nname = "shop"\nversion = "0.3"\nrequires-python = ">=3.11"\n'
        'dynamic = ["dependencies"]\n[tool.poetry]\npackage-mode = false\n'
        '[tool.poetry.dependencies]\nflask = "^3.0"\n',
    )
    write(tmp_path / "main.py")
    artifact = build_app(Order(settings_for("."), tmp_path, state, heard))
    metadata = read_metadata(artifact.wheel)
    assert (metadata.name, metadata.version.split("+")[0]) == ("shop", "0.3")
    assert metadata.requires_dist == ("flask (>=3.0,<4.0)",)
    assert metadata.requires_python == ">=3.11"


@pytest.mark.parametrize("system", ["", '[build-system]\nrequires = ["poetry-core"]\n'])
def test_poetry_says_what_a_project_without_a_package_requires(
    system: str, tmp_path: Path, state: Path, heard: Heard
) -> None:
    """By Poetry's own back end, from the index of this machine."""
    package(tmp_path / "money", "money")
    back_end = 'build-backend = "poetry.core.masonry.api"\n' if system else ""
    write(tmp_path / "shop/pyproject.toml", f"{POETRY}{system}{back_end}")
    write(tmp_path / "shop/main.py")
    settings = settings_for("shop", app={"entry": "main:app"})
    artifact = build_app(Order(settings, tmp_path, state, heard))
    assert (artifact.name, artifact.version.split("+")[0]) == ("shop", "0.2")
    metadata = read_metadata(artifact.wheel)
    assert metadata.requires_python == ">=3.11,<4.0"
    assert {line.split(";")[0].strip() for line in metadata.requires_dist} == {
        "flask (>=3.0,<4.0)", "bottle[x] (>=0.12,<0.13)", "money", "celery",
    }  # fmt: skip
    lock = lock_for(Order(settings, tmp_path, state, heard), artifact, BOOKWORM)
    assert [one.name for one in lock.wheels] == ["money"]
    assert {"flask", "bottle", "gunicorn"} <= set(pins(lock.text))
    assert not {"pytest", "celery"} & set(pins(lock.text))


REFUSED_BY_POETRY = {
    "a version": ('flask = "^^3"\n', "pyproject.toml:7: Could not parse version constraint: ^^3"),
    "a number": ("flask = 3\n", "pyproject.toml:7: The Poetry configuration is invalid"),
    "a marker": (
        'flask = { version = "^3", markers = "python_versio > 3" }\n',
        "pyproject.toml:7: No terminal matches",
    ),
    "a repository": ('money = { git = "/x.git" }\n', "pyproject.toml:7: Invalid git url"),
    "extras": (
        'flask = "^3"\n[tool.poetry.extras]\nx = "flask"\n',
        "pyproject.toml:9: The Poetry configuration is invalid",
    ),
}


@pytest.mark.parametrize("name", REFUSED_BY_POETRY)
def test_what_poetry_refuses_is_named_with_its_line(
    name: str, tmp_path: Path, state: Path, heard: Heard
) -> None:
    text, said = REFUSED_BY_POETRY[name]
    head = '[tool.poetry]\nname = "shop"\nversion = "1"\npackage-mode = false\n\n'
    write(tmp_path / "pyproject.toml", f"{head}[tool.poetry.dependencies]\n{text}")
    write(tmp_path / "main.py")
    with pytest.raises(BuildError) as caught:
        build_app(Order(settings_for(".", app={"entry": "main:app"}), tmp_path, state, heard))
    assert caught.value.message.startswith(f"{tmp_path}/{said}")
    assert (caught.value.slug, caught.value.detail) == ("build-failed", "")


def test_a_package_of_poetry_that_is_refused(tmp_path: Path, state: Path, heard: Heard) -> None:
    system = (
        '[build-system]\nrequires = ["poetry-core"]\nbuild-backend = "poetry.core.masonry.api"\n'
    )
    text = POETRY.replace('"^3.0"', '"^^3"').replace("package-mode = false\n", "")
    write(tmp_path / "pyproject.toml", f"{system}{text}")
    write(tmp_path / "shop/__init__.py")
    with pytest.raises(BuildError) as caught:
        build_app(Order(settings_for(".", app={"entry": "shop:app"}), tmp_path, state, heard))
    line = next(n for n, one in enumerate(f"{system}{text}".splitlines(), 1) if "^^3" in one)
    assert caught.value.message.startswith(f"{tmp_path}/pyproject.toml:{line}: Could not parse")


WRONG = {
    "requires-python": ('requires-python = "^3.11"\n', 2, "'^3.11' is not a condition"),
    "name": ('name = "My Shop"\n', 2, "'My Shop' is not a name"),
}


@pytest.mark.parametrize("key", WRONG)
def test_a_project_with_a_wrong_value(key: str, maker: Maker) -> None:
    text, line, said = WRONG[key]
    more = "" if key == "name" else 'name = "shop"\n'
    maker.files({"pyproject.toml": f"[project]\n{text}{more}dependencies = []\n", "main.py": ""})
    with pytest.raises(BuildError, match=f"pyproject.toml:{line}: {re.escape(said)}"):
        maker.make(entry="main:app")


def test_a_missing_requirement_of_a_package_is_named_with_its_line(maker: Maker) -> None:
    package(maker.top, "shop", requires='"nothing-such"')
    with pytest.raises(BuildError, match=r"pyproject.toml:\d+: .* has no nothing-such"):
        maker.make(entry="shop:app")


UNUSED = {
    "groups": (
        f'{UV_APP}[dependency-groups]\ndev = ["pytest"]\nprod = ["celery"]\n',
        "pyproject.toml:12: the group prod is not installed",
    ),
    "groups of Poetry": (
        f"{UV_APP}[tool.poetry]\npackage-mode = false\n[tool.poetry.group.test.dependencies]\n"
        '[tool.poetry.group.live.dependencies]\ncelery = "*"\n',
        "pyproject.toml:13: the group live is not installed",
    ),
    "options of uv": (
        f'{UV_APP}[tool.uv]\nresolution = "lowest"\ndev-dependencies = ["pytest"]\n',
        "pyproject.toml:11: resolution is not used",
    ),
}


@pytest.mark.parametrize("name", UNUSED)
def test_what_is_not_used_is_named(name: str, maker: Maker) -> None:
    text, note = UNUSED[name]
    maker.files({"pyproject.toml": text, "main.py": "", "shop/__init__.py": "", "README.md": ""})
    _, lock = maker.make(entry="main:app")
    assert maker.notes.splitlines() == [note]
    assert set(pins(lock.text)) == {"flask", "gunicorn"}


BESIDE = {
    "none": ("", {"flask==3.0"}, "the package declares no requirements: requirements.txt does"),
    "its own": ('"bottle"', {"bottle==0.13"}, "requirements.txt is not used: the package declares"),
}


@pytest.mark.parametrize("name", BESIDE)
def test_requirements_beside_a_package(name: str, maker: Maker) -> None:
    requires, wanted, note = BESIDE[name]
    package(maker.top, "shop", requires=requires)
    maker.files({"requirements.txt": "flask\n-c pins.txt\n", "pins.txt": "flask==3.0\n"})
    if not requires:
        text = (maker.top / "pyproject.toml").read_text().replace("dependencies = []\n", "")
        (maker.top / "pyproject.toml").write_text(text)
    _, lock = maker.make(entry="shop:app")
    assert locked(lock) == {*wanted, "gunicorn==23.0"}
    assert note in maker.notes


def test_a_package_that_its_requirements_name(maker: Maker) -> None:
    """`-e .` in a requirements file is the application itself."""
    package(maker.top, "shop")
    text = (maker.top / "pyproject.toml").read_text().replace("dependencies = []\n", "")
    (maker.top / "pyproject.toml").write_text(text)
    maker.files({"requirements.txt": "-e .\nflask\n"})
    _, lock = maker.make(entry="shop:app")
    assert (set(pins(lock.text)), lock.wheels) == ({"flask", "gunicorn"}, ())


def test_a_package_that_is_none_is_told_how_to_be_none(
    tmp_path: Path, state: Path, heard: Heard
) -> None:
    write(tmp_path / "pyproject.toml", f"{UV_APP}{HATCH}")
    write(tmp_path / "README.md")
    write(tmp_path / "main.py")
    with pytest.raises(BuildError, match="Unable to determine which files to ship") as caught:
        build_app(Order(settings_for("."), tmp_path, state, heard))
    assert "[tool.uv] package = false" in caught.value.hint


REFUSED = {
    "conda": ({"main.py": "", "environment.yml": "name: x\n"}, "environment.yml names packages of"),
    "several": (
        {"main.py": "", "requirements/web.txt": "", "requirements/worker.txt": ""},
        "several files of requirements: requirements/web.txt, requirements/worker.txt",
    ),
    "no code": ({"requirements.txt": "flask\n"}, "has no Python file"),
    "nothing": ({"index.html": ""}, "has no package, no requirements and no Python file"),
    "a version": (
        {"main.py": "", "pyproject.toml": UV_APP.replace("0.1.0", "one")},
        "pyproject.toml:3: 'one' is not a version",
    ),
    "a requirement": (
        {"main.py": "", "pyproject.toml": UV_APP.replace("flask>=3", "flask=3")},
        "pyproject.toml:8: 'flask=3' is not a requirement",
    ),
    "of a Pipfile": (
        {"main.py": "", "Pipfile": '[packages]\nflask = "*"\nbottle = "^1"\n'},
        "Pipfile:3: 'bottle^1' is not a requirement",
    ),
    "a broken lock": ({"main.py": "", "Pipfile.lock": "{"}, "Pipfile.lock cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_form_that_is_refused(name: str, maker: Maker) -> None:
    files, said = REFUSED[name]
    maker.files(files)
    with pytest.raises(BuildError) as caught:
        maker.make(entry="main:app")
    assert caught.value.slug == "source"
    assert said in caught.value.message
    assert caught.value.hint


def test_the_settings_choose_one_of_several_files(maker: Maker) -> None:
    maker.files(
        {"main.py": "", "requirements/web.txt": "flask\n-c pins.txt\n--prefer-binary\n",
         "requirements/x.txt": "", "requirements/pins.txt": "flask==3.0\n"},
    )  # fmt: skip
    _, lock = maker.make(entry="main:app", requirements=["-r requirements/web.txt", "celery"])
    assert locked(lock) == {"flask==3.0", "celery==5.4", "gunicorn==23.0"}
    assert maker.notes == "web.txt:3: --prefer-binary is ignored"


def test_the_settings_choose_a_file_for_a_package_too(maker: Maker) -> None:
    package(maker.top, "shop", requires='"flask"')
    maker.files({"requirements.txt": "bottle\n", "live.txt": "celery\n"})
    _, lock = maker.make(entry="shop:app", requirements=["-r live.txt"])
    assert set(pins(lock.text)) == {"flask", "celery", "gunicorn"}
    assert maker.notes == ""


def test_requirements_elsewhere_make_a_new_version(maker: Maker) -> None:
    maker.files(
        {"shop/main.py": "", "shop/requirements.txt": "-r ../all.txt\n", "all.txt": "flask\n"}
    )
    first, _ = maker.make("shop", entry="main:app")
    maker.files({"all.txt": "bottle\n"})
    second, lock = maker.make("shop", entry="main:app")
    assert second.version != first.version
    assert set(pins(lock.text)) == {"bottle", "gunicorn"}


def test_the_versions_of_a_uv_lock_are_kept(maker: Maker) -> None:
    maker.files({"pyproject.toml": UV_APP, "main.py": ""})
    maker.files(
        {"uv.lock": 'version = 1\n[[package]]\nname = "flask"\nversion = "3.0"\n'
         'source = { registry = "INDEX" }\n'},
    )  # fmt: skip
    _, lock = maker.make(entry="main:app")
    assert locked(lock) == {"flask==3.0", "gunicorn==23.0"}
