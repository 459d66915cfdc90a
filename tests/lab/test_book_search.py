"""The search of the built book finds the answers to what people ask, in both languages."""

from __future__ import annotations

from pathlib import Path

import pytest

from book import site
from tests.kit.book_search import questions, searching

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(900)]

QUESTIONS = Path(__file__).with_name("book_questions.toml")
SHARE = 0.9  # of the questions have their answer among the first three results


def test_the_first_results_have_the_answer(tmp_path: Path) -> None:
    site.build(tmp_path)
    every = questions(QUESTIONS)
    with searching(tmp_path) as search:
        unanswered = [one.text for one in every if not search.answers(one)]
        complaints = search.window.complaints()
    assert len(every) - len(unanswered) >= SHARE * len(every), "\n".join(unanswered)
    assert complaints == []
