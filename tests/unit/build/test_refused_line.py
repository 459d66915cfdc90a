"""Messages of build back ends lead to the line of pyproject.toml that they mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartwheel.build.origins import TomlFile
from cartwheel.build.refused_line import refused_line, requirement_lines

TEXT = """\
[build-system]
requires = ["hatchling"]
[project]
name = "shop"
version = "one"
readme = "docs/README.md"
lisence = "MIT"
dependencies = [
    "flask",
    "redis=>3",
]
[tool.poetry]
packages = [{ include = "shopp" }]
[tool.poetry.dependencies]
bottle = "^^3"
celery = { version = "^5", markers = "python_versio > 3" }
[tool.poetry.group.dev.dependencies]
Some_Test = "*"
"""

REFUSED = {
    "Could not parse version constraint: ^^3": 15,
    "Invalid version 'one' on package shop": 5,
    "The configuration is invalid:\n  - tool.poetry.dependencies.celery must be valid": 16,
    "No terminal matches 'p', at line 1 col 1\n\npython_versio > 3\n^\nExpected one of:": 16,
    "invalid pyproject.toml config: `project.dependencies[1]`.\nmust be pep508": 10,
    "Dependency #2 of field `project.dependencies` is invalid: Expected end": 10,
    "`project` must not contain {'lisence'} properties": 7,
    "Readme path `TOP/docs/README.md` does not exist.": 6,
    "TOP/shopp does not contain any element": 13,
    "No file/folder found for package shop": 4,
    "command 'gcc' failed with exit code 1": 0,
    "No module named 'shop.version'": 0,
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_refused(message: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(TEXT)
    found = refused_line(
        TomlFile(tmp_path / "pyproject.toml"), message.replace("TOP", str(tmp_path))
    )
    line = REFUSED[message]
    assert found == (f"{tmp_path}/pyproject.toml:{line}" if line else "")


def test_where_requirements_are(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(TEXT)
    lines = requirement_lines(TomlFile(tmp_path / "pyproject.toml"))
    assert {name: int(where.rpartition(":")[2]) for name, where in lines.items()} == {
        "hatchling": 2, "flask": 9, "redis": 10, "bottle": 15, "celery": 16, "some-test": 18,
    }  # fmt: skip
