"""A site that is closed for visitors: whatever is cut off, it is open or closed as wanted.

The web server is a stand-in; `tests/unit/render/test_maintenance.py` has a real one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cartwheel.host.layout import Layout
from cartwheel.host.release import leftovers
from cartwheel.host.state import journal, releases
from cartwheel.host.system import files
from cartwheel.host.system.context import OpError
from cartwheel.host.web import configuration, maintenance
from cartwheel.host.wire.health import Probe
from cartwheel.host.wire.maintenance import Closed, CloseSite, Opened, OpenSite
from tests.unit.host.test_switch import dying_before
from tests.unit.hostside import Session, host_in, web

PROBE = Probe("/healthz", "shop.example.org", "http", 200, 1, 0.1, 5, 2)
DECLARES, NAMES = "geo $invited;", "if ($invited);"
PAGES = {"maintenance.html": "closed", "maintenance.zh.html": "closed"}
WITH_BOTH = {"http.conf": DECLARES, "site.conf": NAMES}
MINUTES = {"site.conf": "set $minutes;"}


class Stage:
    """A host. `looks`: whether its site looks for the mark."""

    def __init__(self, at: Layout) -> None:
        self.at = at
        self.session = Session(at, message="Back at 14:00")
        self.reloads = 0
        self.refuses = ""
        self.looks = True

    def reload(self, *_args: Any, **_more: Any) -> None:
        self.reloads += 1

    def check(self, *_args: Any) -> None:
        if self.refuses:
            raise OpError("nginx-refuses", self.refuses)

    def answer(self, *_args: Any) -> tuple[Any, bytes]:
        closed = self.looks and self.at.maintenance_mark.exists()
        return SimpleNamespace(
            status=503 if closed else 200, getheader=lambda _name: "600" if closed else None
        ), b""

    def close(self, included: dict[str, str], allow: tuple[str, ...] = ()) -> Closed:
        asked = CloseSite(PAGES, included, 5, allow, PROBE, 80)
        return maintenance.turn_on(self.session.ctx(), asked)

    def open(self) -> Opened:
        return maintenance.turn_off(self.session.ctx(), OpenSite())

    @property
    def there(self) -> dict[str, str]:
        folder = self.at.maintenance
        return {name: (folder / name).read_text() for name in files.names(folder)}


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    at = host_in(tmp_path, monkeypatch)
    one = Stage(at)
    monkeypatch.setattr(configuration, "reload", one.reload)
    monkeypatch.setattr(configuration, "check_laid", one.check)
    monkeypatch.setattr(releases, "serving", lambda _at: web("1"))
    monkeypatch.setattr(maintenance, "exchange", one.answer)
    monkeypatch.setattr(files, "directory", lambda path, *_args: path.mkdir(exist_ok=True))
    yield one


def test_the_mark_alone_closes_it(stage: Stage) -> None:
    closed = stage.close({})
    assert (closed.was, closed.reloaded, stage.reloads) == (None, False, 0)
    mark = maintenance.read(stage.at)
    assert mark is not None and mark == closed.now
    assert (mark.who, mark.message, mark.minutes) == ("ann@desk", "Back at 14:00", 5)
    assert set(stage.there) == {*PAGES, "on.json"}
    opened = stage.open()
    assert (opened.was, stage.reloads) == (mark, 0)
    assert not stage.at.maintenance.exists()
    kinds = [one.kind for one in journal.read(stage.at.journal)]
    assert kinds == ["maintenance on", "maintenance off"]
    assert stage.open().was is None, "it was open already"
    assert len(journal.read(stage.at.journal)) == 2


def test_only_a_change_of_what_is_included_is_a_reload(stage: Stage) -> None:
    assert [stage.close(one).reloaded for one in (WITH_BOTH, WITH_BOTH, MINUTES, {}, {})] == [
        True,
        False,
        True,
        True,
        False,
    ]
    stage.close(MINUTES)
    stage.reloads = 0
    assert (stage.open().reloaded, stage.reloads) == (True, 1)


def _refuse(stage: Stage) -> None:
    stage.refuses = "unknown directive"


def _turn_blind(stage: Stage) -> None:
    stage.looks = False


@pytest.mark.parametrize("before", [None, {}, MINUTES, WITH_BOTH])
@pytest.mark.parametrize(
    ("fault", "slug"), [(_refuse, "nginx-refuses"), (_turn_blind, "maintenance-unseen")]
)
def test_a_failure_leaves_everything_as_it_was(
    stage: Stage,
    before: dict[str, str] | None,
    fault: Callable[[Stage], None],
    slug: str,
) -> None:
    if before is not None:
        stage.close(before)
    was = _without_nothing(stage.there)
    fault(stage)
    with pytest.raises(OpError) as caught:
        stage.close({"site.conf": "more"})
    assert caught.value.slug == slug
    assert _without_nothing(stage.there) == was
    assert stage.at.maintenance.exists() == (before is not None)


def _without_nothing(texts: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in texts.items() if text}


def test_a_visitor_on_the_host_itself_may_be_invited(stage: Stage) -> None:
    stage.looks = False
    for allow in (("127.0.0.0/8",), ("0.0.0.0/0",), ("127.0.0.1/32", "2001:db8::/32")):
        stage.close(WITH_BOTH, allow)
    with pytest.raises(OpError):
        stage.close(WITH_BOTH, ("192.0.2.1/32", "::/0"))


def test_it_opens_although_the_web_server_is_broken(stage: Stage) -> None:
    stage.close(WITH_BOTH)
    stage.refuses = "somebody's mistake"
    opened = stage.open()
    assert opened.note == "somebody's mistake"
    assert not stage.at.maintenance.exists()


def test_a_damaged_mark_closes_the_site_too(stage: Stage) -> None:
    stage.close({})
    stage.at.maintenance_mark.write_text("{")
    mark = maintenance.read(stage.at)
    assert mark is not None and "is damaged" in mark.message
    assert stage.open().was == mark


@pytest.mark.parametrize("before", [None, {}, MINUTES, WITH_BOTH])
@pytest.mark.parametrize("after", [None, {}, MINUTES, WITH_BOTH])
def test_a_change_that_is_cut_off_anywhere(
    stage: Stage, before: dict[str, str] | None, after: dict[str, str] | None
) -> None:
    """Killed before each system call in turn: what the web server would read is valid, a closed
    site has its pages, and what is left without a mark is a leftover."""

    def change() -> None:
        stage.open() if after is None else stage.close(after)

    number = -1
    while True:
        number += 1
        assert number < 300
        files.remove_tree(stage.at.maintenance)
        if before is not None:
            stage.close(before)
        if not dying_before(number, change):
            break
        there = stage.there
        if NAMES in there.get("site.conf", ""):
            assert there.get("http.conf") == DECLARES, number
        is_closed = "on.json" in there
        assert not is_closed or set(PAGES) <= set(there), number
        if before is not None and after is not None:
            assert is_closed, number
        clean(stage.at)
        assert stage.at.maintenance.exists() == is_closed, number
        assert set(stage.there) <= {*PAGES, *WITH_BOTH, "on.json"}, number


def clean(at: Layout) -> None:
    """Remove leftovers of maintenance, without systemd."""
    known: Any = SimpleNamespace(names=set())
    for finder in (leftovers._pages, leftovers._removed, leftovers._temporary):
        leftovers.clean(at, lambda _text: None, list(finder(at, known)))
