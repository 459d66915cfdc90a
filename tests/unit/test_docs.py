"""The pages that are made from the code are as the code makes them."""

from __future__ import annotations

import os
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

from book import errors_page
from book import generated as pages
from cartwheel.errors import CATALOGUE
from tests import release


@pytest.mark.parametrize("path", sorted(pages.PAGES), ids=lambda path: path.name)
def test_a_page_is_current(path: Path) -> None:
    assert path.read_bytes() == pages.content(path), "run script/docs"


def test_every_error_has_a_cause_and_an_example() -> None:
    assert errors_page.without_case() == [], "add it to book/errors_page.py"


def test_every_error_is_shown_by_a_test() -> None:
    assert sorted(set(CATALOGUE) - set(pages.tests_by_slug())) == []


def test_the_readme_names_pages_that_exist() -> None:
    text = (pages.REPO / "README.md").read_text()
    names = [part.split(")")[0] for part in text.split("](")[1:] if part.startswith("docs/")]
    assert names
    assert [name for name in names if not (pages.REPO / name).is_file()] == []


def test_the_changelog_begins_with_this_version() -> None:
    assert release.version_problems() == []


def test_what_is_pinned_is_what_the_distributions_ask_for() -> None:
    assert release.range_problems() == []


@pytest.mark.parametrize("name", [".github/workflows/ci.yml", ".pre-commit-config.yaml"])
def test_outside_programs_call_scripts_that_exist(name: str) -> None:
    scripts = set(re.findall(r"\bscript/[a-z-]+", (pages.REPO / name).read_text()))
    assert scripts
    assert [script for script in scripts if not os.access(pages.REPO / script, os.X_OK)] == []


def test_contributing_names_what_exists() -> None:
    text = (pages.REPO / "CONTRIBUTING.md").read_text()
    linked = re.findall(r"\]\(([^)]+)\)", text)
    quoted = re.findall(r"`((?:cartwheel|tasks|lab|tests|templates|bench|script)/[\w./-]*)", text)
    assert linked
    assert quoted
    assert [name for name in (*linked, *quoted) if not (pages.REPO / name).exists()] == []


def test_pytest_looks_into_every_folder_of_tests(pytestconfig: pytest.Config) -> None:
    tests = pages.REPO / "tests"
    folders = {part for path in tests.rglob("test_*.py") for part in path.relative_to(tests).parts}
    skipped = pytestconfig.getini("norecursedirs")
    assert [name for name in folders if any(fnmatch(name, one) for one in skipped)] == []
