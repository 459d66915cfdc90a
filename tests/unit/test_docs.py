"""The pages that are made from the code are as the code makes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartwheel.errors import CATALOGUE
from tests import pages


@pytest.mark.parametrize("path", sorted(pages.PAGES), ids=lambda path: path.name)
def test_a_page_is_current(path: Path) -> None:
    assert path.read_text() == pages.PAGES[path](), "run script/docs"


def test_every_error_is_shown_by_a_test() -> None:
    assert sorted(set(CATALOGUE) - set(pages.tests_by_slug())) == []


def test_the_readme_names_pages_that_exist() -> None:
    text = (pages.REPO / "README.md").read_text()
    names = [part.split(")")[0] for part in text.split("](")[1:] if part.startswith("docs/")]
    assert names
    assert [name for name in names if not (pages.REPO / name).is_file()] == []
