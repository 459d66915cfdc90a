"""No mistake in a person's files is a traceback: real files, changed at random, many times."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cartwheel.build.declared import declared, own_indexes, terms_for
from cartwheel.build.index import Access
from cartwheel.build.locked import read_locked, read_pipfile_lock
from cartwheel.build.origins import pyproject
from cartwheel.build.plain import about_plain, plain_requirements, project_requirements
from cartwheel.build.poetry import write_stand_in
from cartwheel.build.products import operator_platform
from cartwheel.build.source import find_source
from cartwheel.errors import BuildError
from tests.kit.seed import SEED

TIMES = 150
PROJECT = """[project]
name = "shop"
version = "0.1.0"
dependencies = ["flask>=3", "money @ file:../money"]
[project.scripts]
shop = "main:run"
[project.optional-dependencies]
live = ["celery"]
"""
TOML = {
    "uv": PROJECT
    + """[tool.uv]
constraint-dependencies = ["a<1"]
override-dependencies = ["b==1"]
no-binary-package = ["x"]
[tool.uv.sources]
flask = { git = "https://host.example/flask", tag = "v1" }
money = [{ path = "../money", marker = "os_name == 'posix'" }, { index = "own" }]
[[tool.uv.index]]
name = "own"
url = "https://own.example/simple"
default = true
[tool.uv.workspace]
members = ["packages/*"]
[dependency-groups]
dev = ["x @ file:../y", { include-group = "prod" }]
prod = ["gunicorn"]
""",
    "poetry": """[tool.poetry]
name = "shop"
package-mode = false
[tool.poetry.dependencies]
python = "^3.11"
flask = { version = "^3.0", extras = ["async"] }
money = { path = "../money", develop = true }
[tool.poetry.group.dev.dependencies]
pytest = "*"
[[tool.poetry.source]]
name = "own"
url = "https://own.example/simple"
priority = "explicit"
""",
    "pdm": PROJECT
    + """[tool.pdm]
distribution = false
[tool.pdm.resolution.overrides]
money = "file:///${PROJECT_ROOT}/../money"
flask = ">=3"
[[tool.pdm.source]]
name = "own"
url = "https://own.example/simple"
include_packages = ["a*"]
[build-system]
requires = ["setuptools", "setuptools-scm"]
""",
}
REQUIREMENTS = f"""# -*- coding: utf-8 -*-
-r base.txt
-c pins.txt
Flask[async]==3.0 \\
    --hash=sha256:{"a" * 64}
thing @ https://files.example/thing-1.0.zip#sha256=12
-i https://own.example/simple
--no-binary :all:
-e git+https://host.example/x@v1#egg=x
"""
PIPFILE = """[[source]]
url = "https://own.example/simple"
verify_ssl = false
name = "own"
[packages]
flask = "*"
bottle = { version = ">=0.12", markers = "os_name == 'posix'", extras = ["x"], index = "own" }
[packages.money]
path = "../money"
editable = true
[requires]
python_version = "3.11"
"""
FILES = {
    **{f"pyproject.toml of {name}": text for name, text in TOML.items()},
    "requirements.txt": REQUIREMENTS,
    "Pipfile": PIPFILE,
    "Pipfile.lock": '{"_meta": {"hash": {"sha256": "x"}}, "default": {"flask": {"index": "own",'
    ' "version": "==3.0", "hashes": ["sha256:aa"], "markers": "os_name == \'posix\'"},'
    ' "money": {"git": "https://host.example/money", "ref": "v1"}}, "develop": {}}',
    "setup.cfg": "[metadata]\nname = x\n[options]\ninstall_requires =\n    flask\n[flake8]\nx=1\n",
    "uv.lock": 'version = 1\n[[package]]\nname = "flask"\nversion = "3.0"\n'
    'source = { registry = "https://own.example/simple" }\n'
    'sdist = { url = "u", hash = "sha256:aa" }\nwheels = [{ url = "u", hash = "sha256:bb" }]\n'
    '[[package]]\nname = "money"\nsource = { git = "https://host.example/money?rev=v1#abc" }\n',
    "poetry.lock": '[[package]]\nname = "money"\nversion = "1"\n'
    'files = [{ file = "a", hash = "sha256:aa" }]\n[package.source]\ntype = "git"\nurl = "u"\n',
    "pdm.lock": '[[package]]\nname = "money"\nversion = "1"\nurl = "https://host.example/m.whl"\n'
    'files = [{ file = "a", hash = "sha256:aa" }]\n',
    "pylock.toml": 'lock-version = "1.0"\n[[packages]]\nname = "money"\nmarker = "x"\n'
    'archive = { url = "u", hashes = { sha256 = "a" } }\n[[packages]]\nname = "flask"\n'
    'wheels = [{ path = "x", hashes = { sha256 = "a" } }]\n',
    ".gitmodules": '[submodule "a"]\n\tpath = vendor/a\n',
}
BESIDE = {"main.py": "", "base.txt": "bottle\n", "pins.txt": "click<9\n"}
TOKENS = (
    *("\"'[]{}=\n\\# \0é,~^@:-",),
    *("true", "1", "[]", "{}", '""', "--", "[[", "]]", "a.b", "file:", "git+", "null", ">=", "=="),
    *("http://[", "${X}", "-r ", "\r", "\ufeff", "~x/"),
)
VALUES = ("1", '"x"', "[]", "{}", "true", '["a"]', "[1]", "{ a = 1 }", "1.5", "[{}]", "1979-05-27")


def mutated(text: str, chance: random.Random) -> str:
    """The text with some of it removed, replaced, moved, doubled, or of another type."""
    for _ in range(chance.choice((1, 1, 2, 3, 6))):
        start = chance.randrange(len(text) + 1)
        end = min(len(text), start + chance.choice((1, 2, 5, 20)))
        kind = chance.randrange(6)
        token = chance.choice((*TOKENS[0], *TOKENS[1:]))
        lines = text.split("\n")
        if kind == 0:
            text = text[:start] + text[end:]
        elif kind == 1:
            text = text[:start] + token + text[start:]
        elif kind == 2:
            text = text[:start] + token + text[end:]
        elif kind == 3:
            lines.insert(chance.randrange(len(lines)), chance.choice(lines))
            text = "\n".join(lines)
        elif values := list(re.finditer(r"(?<=[=:]) *([^\n,=:]+)", text)):
            value = chance.choice(values)
            text = text[: value.start()] + f" {chance.choice(VALUES)}" + text[value.end() :]
    return text


def readers(folder: Path) -> tuple[Callable[[], object], ...]:
    """Whatever a build reads of these files."""
    terms = terms_for(operator_platform(), None)

    def packed() -> None:
        source = find_source(".", folder)
        if source.kind == "plain":
            wanted = plain_requirements(source, Access())
            about_plain(source.declaration, "shop", wanted).metadata("1")

    return (
        packed,
        lambda: declared(folder, terms, ["money"]),
        lambda: own_indexes(folder),
        lambda: project_requirements(folder),
        lambda: read_locked(folder, ()),
        lambda: read_pipfile_lock(folder),
        lambda: write_stand_in(pyproject(folder), folder),
    )


def read_everything(folder: Path) -> None:
    for read in readers(folder):
        try:
            read()
        except BuildError as error:
            assert str(error)
            assert "\n" not in error.message.strip()


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_read_or_refused(name: str, tmp_path: Path) -> None:
    chance = random.Random(f"{SEED} {name}")
    locks = ("uv.lock", "poetry.lock", "pdm.lock", "pylock.toml")
    for _ in range(TIMES):
        for path in tmp_path.iterdir():
            path.unlink()
        for beside, text in BESIDE.items():
            (tmp_path / beside).write_text(text)
        if name in locks:
            (tmp_path / "pyproject.toml").write_text(PROJECT)
        content = mutated(FILES[name], chance).encode("utf-8", "surrogatepass")
        (tmp_path / name.split(" ", maxsplit=1)[0]).write_bytes(content)
        read_everything(tmp_path)
