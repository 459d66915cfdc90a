"""A freeze stays until it is released, refuses every change, and keeps no host from settling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cartwheel.host import recover
from cartwheel.host.layout import Layout
from cartwheel.host.release import leftovers
from cartwheel.host.session import locking, operations
from cartwheel.host.state import freeze, journal
from cartwheel.host.system import files, locks
from cartwheel.host.system.context import OpError
from cartwheel.host.wire.locking import AskHolders, Freeze, Frozen, Holders, Lock, Locked, Unfreeze
from tests.unit.hostside import Session, host_in

# The words about the freeze itself.
ABOUT_IT = {"hold", "release"}


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    at = host_in(tmp_path, monkeypatch)
    files.write_json(at.record, {"app": "shop", "user": "shop", "group": "shop-web"})
    return at


def session_of(at: Layout, who: str = "ann@desk", message: str = "the sale") -> Session:
    return Session(at, who, message)


def lock(at: Layout, session: Session, *, about_freeze: bool = False) -> Locked:
    session.memory.clear()
    return locking.lock(session.ctx(), Lock(wait_seconds=0.0, about_freeze=about_freeze))


def test_it_says_who_since_when_and_why(at: Layout) -> None:
    assert freeze.status(session_of(at).ctx(), AskHolders()) == Holders(None, None)
    done = freeze.hold(session_of(at).ctx(), Freeze())
    assert done.changed is True
    assert freeze.status(session_of(at).ctx(), AskHolders()).freeze == done.freeze
    with pytest.raises(
        OpError, match=r"^frozen by ann@desk since \d{4}-.* \(the sale\)$"
    ) as caught:
        freeze.refuse_if_frozen(at)
    assert caught.value.slug == "held"
    assert freeze.release(session_of(at, "bob").ctx(), Unfreeze()).freeze == done.freeze
    freeze.refuse_if_frozen(at)
    assert freeze.release(session_of(at).ctx(), Unfreeze()) == Frozen(changed=False, freeze=None)
    assert [(one.kind, one.who) for one in journal.read(at.journal)] == [
        ("hold", "ann@desk"),
        ("release", "bob"),
    ]


def test_the_same_again_changes_nothing_and_another_one_is_refused(at: Layout) -> None:
    first = freeze.hold(session_of(at).ctx(), Freeze()).freeze
    assert freeze.hold(session_of(at).ctx(), Freeze()) == Frozen(changed=False, freeze=first)
    for who, message in (("bob", "the sale"), ("ann@desk", "something else")):
        with pytest.raises(OpError) as caught:
            freeze.hold(session_of(at, who, message).ctx(), Freeze())
        assert caught.value.slug == "held"
    assert freeze.read(at) == first


def test_where_nothing_is_set_up_nothing_is_frozen(tmp_path: Path, at: Layout) -> None:
    at.record.unlink()
    with pytest.raises(OpError) as caught:
        freeze.hold(session_of(at).ctx(), Freeze())
    assert caught.value.slug == "not-set-up"


def test_a_damaged_mark_freezes_and_can_be_released(at: Layout) -> None:
    at.frozen.write_text("{")
    with pytest.raises(OpError, match=r"frozen\.json is damaged") as caught:
        freeze.refuse_if_frozen(at)
    assert caught.value.slug == "held"
    assert freeze.release(session_of(at).ctx(), Unfreeze()).changed


def test_the_lock_refuses_settles_first_and_lets_go(
    at: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled: list[str] = []

    monkeypatch.setattr(leftovers, "find", lambda _at: [])

    def settle(_at: Layout, _say: Any, _found: Any) -> None:
        settled.append("settled")

    monkeypatch.setattr(recover, "settle", settle)
    freeze.hold(session_of(at).ctx(), Freeze())
    session = session_of(at)
    with pytest.raises(OpError, match="frozen by ann@desk"):
        lock(at, session)
    assert settled == ["settled"], "safety is not frozen"
    assert session.memory == {}, "it may change nothing"
    assert locks.held_by(at.lock) is None
    mark = lock(at, session, about_freeze=True).freeze
    assert mark is not None
    assert mark.owner == "ann@desk"
    freeze.release(session.ctx(), Unfreeze())
    session.end()
    assert lock(at, session_of(at)).freeze is None


@pytest.mark.parametrize("op", sorted(operations.CHANGING))
def test_no_operation_changes_anything_without_that_lock(at: Layout, op: str) -> None:
    """So a new one is covered by itself."""
    session = session_of(at)
    session.memory.clear()
    with pytest.raises(OpError, match="did not take the lock"):
        operations.perform(op, session.ctx(), {})
