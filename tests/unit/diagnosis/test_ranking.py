"""The likeliest cause stands first; what follows from another stands behind it."""

from __future__ import annotations

import pytest

from cartwheel.commands.diagnose import Judged
from cartwheel.diagnosis import ranking
from cartwheel.diagnosis.cause import GUESSED, NAMED, SOON, STOPS, SYMPTOM, Cause
from cartwheel.diagnosis.ranking import Ranked
from cartwheel.host.wire.diagnosis import Change
from cartwheel.terminal.diagnosis import lines_of
from tests.unit.diagnosis import NOW, case


def cause(
    slug: str,
    weight: int,
    *explains: str,
    began: float | None = None,
    last: float | None = None,
) -> Cause:
    title = f"{slug} is wrong"
    return Cause(slug, title, "", weight, (), began, last, explains=frozenset(explains))


def order(monkeypatch: pytest.MonkeyPatch, *causes: Cause) -> list[str]:
    monkeypatch.setattr(ranking, "RULES", (lambda _case: iter(causes),))
    return [one.cause.slug for one in ranking.ranked(case())]


def test_the_heaviest_is_first(monkeypatch: pytest.MonkeyPatch) -> None:
    found = order(monkeypatch, cause("soon", SOON), cause("stops", STOPS), cause("named", NAMED))
    assert found == ["stops", "named", "soon"]


def test_what_follows_from_another_is_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    database = cause("service-refuses", NAMED, "exceptions")
    failing, other = cause("exceptions", NAMED), cause("other", GUESSED)
    assert order(monkeypatch, failing, other, database) == [
        "service-refuses",
        "other",
        "exceptions",
    ]


def test_what_follows_is_behind_all_that_it_follows_from(monkeypatch: pytest.MonkeyPatch) -> None:
    database = cause("service-refuses", NAMED, "cut", "answers-5xx")
    cut = cause("cut", SYMPTOM, "answers-5xx", began=NOW - 50)
    failing = cause("answers-5xx", SYMPTOM, began=NOW - 60)
    assert order(monkeypatch, failing, cut, database) == ["service-refuses", "cut", "answers-5xx"]


def test_what_was_over_before_it_began_does_not_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    database = cause("service-refuses", NAMED, "exceptions", began=NOW - 60)
    failing = cause("exceptions", NAMED, began=NOW - 7000, last=NOW - 500)
    assert order(monkeypatch, failing, database) == ["exceptions", "service-refuses"]
    monkeypatch.setattr(ranking, "RULES", (lambda _case: iter((failing, database)),))
    assert [one.follows for one in ranking.ranked(case())] == [(), ()]


def test_a_symptom_does_not_explain_what_is_graver(monkeypatch: pytest.MonkeyPatch) -> None:
    symptom, grave = cause("slow", SYMPTOM, "service-slow"), cause("service-slow", NAMED)
    assert order(monkeypatch, symptom, grave) == ["service-slow", "slow"]


def test_what_was_not_seen_lately_is_less_likely(monkeypatch: pytest.MonkeyPatch) -> None:
    over, now = cause("over", NAMED, last=NOW - 3600), cause("now", GUESSED + 5)
    assert order(monkeypatch, over, now) == ["now", "over"]
    assert order(monkeypatch, cause("over", NAMED, last=NOW - 60), now) == ["over", "now"]


def test_what_was_changed_just_before() -> None:
    changes = tuple(
        Change(NOW - ago, "deploy", f"{ago} s ago")
        for ago in (9000, 4000, 3000, 2000, 1950, 1900, 100)
    )
    found = case(changes=changes).found
    before = [one.detail for one in ranking.changes_before(found, NOW - 1940)]
    assert before == ["1900 s ago", "1950 s ago", "2000 s ago"]
    assert ranking.changes_before(found, None) == ()


def test_what_somebody_did_afterwards_is_no_change_before() -> None:
    found = case(changes=(Change(NOW - 90, "restart", "web: stopped by hand"),)).found
    assert ranking.changes_before(found, NOW - 100) == ()
    assert len(ranking.changes_before(found, NOW - 90)) == 1


def test_a_host_that_is_well_has_no_cause() -> None:
    assert ranking.ranked(case()) == []


def test_what_it_follows_from_is_named_by_its_place_once_and_in_order() -> None:
    found = case()
    reasons = [Ranked(cause(slug, NAMED), (), (), over=False) for slug in ("a", "b", "b")]
    last = Ranked(cause("c", SYMPTOM), ("b", "a"), (), over=False)
    lines = lines_of("h1", Judged(found.found, (*reasons, last)))
    assert "     follows from 1, 2" in lines
