"""One message for one cause; whoever was told of a trouble hears that it is over."""

from __future__ import annotations

import pytest

from cartwheel_monitor import incidents
from cartwheel_monitor.incidents import Book, Member
from cartwheel_monitor.subjects import AGAIN_SECONDS, KINDS, Subject

SHOP = frozenset({"web1", "web2"})
SITE = Subject("site", "shop", "")
GATHERED = 100.0 + max(kind.gather_seconds for kind in KINDS.values())


def down(book: Book, subject: Subject, at: float, *places: str, problem: str = "bad") -> Book:
    where = frozenset(places or ({subject.host} if subject.host else SHOP))
    return incidents.went_down(book, Member(subject, at - 5, problem, where), at)


def heard(book: Book, at: float, hosts: int = 100) -> tuple[Book, list[str]]:
    book, told = incidents.news(book, at, watched_hosts=hosts)
    return book, [f"{one.news} {one.incident.kind}" for one in told]


def test_its_life() -> None:
    book = down(Book(), SITE, 100.0)
    assert heard(book, 101.0)[1] == []
    book, said = heard(book, 103.0)
    assert said == ["opened site"]
    assert heard(book, 103.0 + AGAIN_SECONDS - 1)[1] == []
    book, said = heard(book, 103.0 + AGAIN_SECONDS)
    assert said == ["again site"]
    book = incidents.came_back(book, SITE, 9000.0)
    book, said = heard(book, 9000.0)
    assert (said, book.open) == (["recovered site"], {})
    assert heard(book, 9100.0)[1] == []


def test_what_is_over_before_it_is_told_is_not_told() -> None:
    book = incidents.came_back(down(Book(), SITE, 100.0), SITE, 102.0)
    book, said = heard(book, 110.0)
    assert (said, book.open) == ([], {})


def test_forty_hosts_with_one_trouble_are_one_message() -> None:
    book = Book()
    for number in range(40):
        book = down(book, Subject("disk", "", f"web{number}", "/"), 100.0 + number / 2)
    assert heard(book, GATHERED - 1)[1] == []
    book, said = heard(book, GATHERED)
    assert said == ["opened disk"]
    (one,) = book.open.values()
    assert len(one.places) == 40
    for number in range(40):
        book = incidents.came_back(book, Subject("disk", "", f"web{number}", "/"), 200.0 + number)
        book, said = heard(book, 200.0 + number)
        assert said == (["recovered disk"] if number == 39 else [])


def test_another_host_much_later_is_another_incident() -> None:
    book, _ = heard(down(Book(), Subject("disk", "", "web1", "/"), 100.0), GATHERED)
    book, said = heard(down(book, Subject("disk", "", "web2", "/"), 4000.0), 4030.0)
    assert sorted(said) == ["again disk", "opened disk"]


@pytest.mark.parametrize("kind", ["process", "errors", "slow", "restarts", "memory", "host"])
def test_what_comes_with_it_joins_it(kind: str) -> None:
    app = "" if kind in ("memory", "host") else "shop"
    later = Subject(kind, app, "web1")
    book, said = heard(down(down(Book(), SITE, 100.0), later, 101.0), 104.0)
    assert said == ["opened site"]
    (one,) = book.open.values()
    assert [each.subject for each in one.own] == [SITE]
    assert later in one.members


def test_a_host_takes_the_processes_on_it_with_it() -> None:
    book = down(Book(), Subject("host", "", "web1"), 100.0)
    book, said = heard(down(book, Subject("process", "shop", "web1", "web"), 101.0), GATHERED)
    assert said == ["opened host"]


def test_a_process_first_and_the_site_then_is_one_incident_that_gets_worse() -> None:
    book = down(Book(), Subject("process", "shop", "web1", "web"), 100.0)
    book, said = heard(book, GATHERED)
    assert said == ["opened process"]
    book, said = heard(down(book, SITE, 130.0), 130.0)
    assert said == ["worse site"]
    assert heard(book, 131.0)[1] == []
    book = incidents.came_back(book, SITE, 140.0)
    book, said = heard(book, 140.0)
    assert said == []
    book = incidents.came_back(book, Subject("process", "shop", "web1", "web"), 150.0)
    assert heard(book, 150.0)[1] == ["recovered site"]


def test_the_site_of_another_app_is_another_incident() -> None:
    book = down(Book(), Subject("process", "shop", "web1", "web"), 100.0)
    book = down(book, Subject("site", "blog", ""), 101.0, "web9")
    assert sorted(heard(book, GATHERED)[1]) == ["opened process", "opened site"]


def test_most_hosts_at_once_are_perhaps_the_monitors_own_network() -> None:
    book = Book()
    for number in range(6):
        book = down(book, Subject("host", "", f"web{number}"), 100.0 + number / 10)
    book = down(book, Subject("site", "shop", ""), 101.0, "web0", "web1")
    book, said = heard(book, GATHERED, hosts=8)
    assert said == ["opened network"]
    book = down(book, Subject("host", "", "web7"), 140.0)
    book, said = heard(book, 170.0, hosts=8)
    assert said == []


def test_two_of_two_hosts_are_no_network() -> None:
    book = down(Book(), Subject("host", "", "web1"), 100.0)
    book = down(book, Subject("host", "", "web2"), 100.0)
    assert heard(book, GATHERED, hosts=2)[1] == ["opened host"]


def test_what_a_kind_follows_from_exists() -> None:
    named = {name for kind in KINDS.values() for name in kind.follows}
    assert named <= set(KINDS)


def test_one_that_is_hushed_waits_but_its_end_is_told() -> None:
    book, _ = heard(down(Book(), SITE, 100.0), GATHERED)
    late = GATHERED + AGAIN_SECONDS
    book, told = incidents.news(book, late, watched_hosts=9, is_hushed=lambda _one: True)
    assert told == ()
    book = incidents.came_back(book, SITE, late)
    _, told = incidents.news(book, late, watched_hosts=9, is_hushed=lambda _one: True)
    assert [one.news for one in told] == ["recovered"]
