"""A freeze stays until it is released, refuses every change, and keeps no host from settling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cartwheel.host import recover
from cartwheel.host.layout import Layout
from cartwheel.host.release import leftovers
from cartwheel.host.session import operations
from cartwheel.host.state import freeze, journal
from cartwheel.host.system import files, locks
from cartwheel.host.system.context import OpError

from .hostside import Session, host_in

# The words about the freeze itself.
ABOUT_IT = {"hold", "release"}


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    at = host_in(tmp_path, monkeypatch)
    files.write_json(at.record, {"app": "shop"})
    return at


def args(at: Layout, who: str = "ann@desk", message: str = "the sale", **more: Any) -> Any:
    return {"app": at.app, "base": str(at.base), "who": who, "message": message, **more}


def lock(at: Layout, session: Session, **more: Any) -> Any:
    session.memory.clear()
    return operations.lock(session.ctx(), args(at, **{"wait_seconds": 0.0, **more}))


def test_it_says_who_since_when_and_why(at: Layout) -> None:
    assert freeze.status(Session().ctx(), args(at)) == {"lock": None, "freeze": None}
    done = freeze.hold(Session().ctx(), args(at))
    assert done["changed"] is True
    assert freeze.status(Session().ctx(), args(at))["freeze"] == done["freeze"]
    with pytest.raises(OpError, match=r"^held by ann@desk since \d{4}-.* \(the sale\)$") as caught:
        freeze.refuse_if_frozen(at)
    assert caught.value.slug == "held"
    assert freeze.release(Session().ctx(), args(at, "bob"))["freeze"] == done["freeze"]
    freeze.refuse_if_frozen(at)
    assert freeze.release(Session().ctx(), args(at)) == {"changed": False, "freeze": None}
    assert [(one["kind"], one["who"]) for one in journal.read(at.journal)] == [
        ("hold", "ann@desk"),
        ("release", "bob"),
    ]


def test_the_same_again_changes_nothing_and_another_one_is_refused(at: Layout) -> None:
    first = freeze.hold(Session().ctx(), args(at))["freeze"]
    assert freeze.hold(Session().ctx(), args(at)) == {"changed": False, "freeze": first}
    for who, message in (("bob", "the sale"), ("ann@desk", "something else")):
        with pytest.raises(OpError) as caught:
            freeze.hold(Session().ctx(), args(at, who, message))
        assert caught.value.slug == "held"
    assert freeze.read(at) == first


def test_where_nothing_is_set_up_nothing_is_frozen(tmp_path: Path, at: Layout) -> None:
    at.record.unlink()
    with pytest.raises(OpError) as caught:
        freeze.hold(Session().ctx(), args(at))
    assert caught.value.slug == "not-set-up"


def test_a_damaged_mark_freezes_and_can_be_released(at: Layout) -> None:
    at.frozen.write_text("{")
    with pytest.raises(OpError, match=r"frozen\.json is damaged") as caught:
        freeze.refuse_if_frozen(at)
    assert caught.value.slug == "held"
    assert freeze.release(Session().ctx(), args(at))["changed"]


def test_the_lock_refuses_settles_first_and_lets_go(
    at: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled: list[str] = []

    monkeypatch.setattr(leftovers, "find", lambda _at: [])

    def settle(_at: Layout, _say: Any, _found: Any) -> list[str]:
        settled.append("settled")
        return settled

    monkeypatch.setattr(recover, "settle", settle)
    freeze.hold(Session().ctx(), args(at))
    session = Session()
    with pytest.raises(OpError, match="held by ann@desk"):
        lock(at, session)
    assert settled == ["settled"], "safety is not frozen"
    assert session.memory == {}, "it may change nothing"
    assert locks.held_by(at.lock) is None
    assert lock(at, session, about_freeze=True)["freeze"]["owner"] == "ann@desk"
    freeze.release(session.ctx(), args(at))
    session.end()
    assert lock(at, Session())["freeze"] is None


@pytest.mark.parametrize("op", sorted(set(operations.OPS) - set(operations._READING) - {"lock"}))
def test_no_operation_changes_anything_without_that_lock(at: Layout, op: str) -> None:
    """So a new one is covered by itself."""
    session = Session()
    session.memory.clear()
    with pytest.raises(OpError, match="forgot to take the lock"):
        operations.OPS[op](session.ctx(), args(at))
