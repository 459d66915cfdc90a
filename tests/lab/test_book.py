"""The book's pages are run from top to bottom, on hosts of their own, as their readers would."""

from __future__ import annotations

import pytest

from book import digests
from book.blocks import read
from book.run import run
from tests.kit.project import CHECKOUT
from tests.kit.tiers import tiered

STORIES = [
    str(path.relative_to(CHECKOUT)) for path in digests.english_pages() if read(path).is_story
]
# What a newcomer does first, and one page of each other kind.
SAMPLE = {"docs/start/first-deploy.md"}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", tiered(STORIES, nightly=set(STORIES) - SAMPLE))
def test_what_a_page_shows_happens(name: str) -> None:
    run(read(CHECKOUT / name))
