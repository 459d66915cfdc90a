"""The history of an application, and what follows from it, over random histories."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartwheel.host.state import journal
from cartwheel.host.wire.journal import Entry

NAMES = ["1.0.a", "1.1.b", "1.2.c", "2.0.d", "2.1.e", "3.0.f"]

names = st.sampled_from(NAMES)
results = st.sampled_from(["confirmed", "failed", "reverted", "unchanged", "done"])
kinds = st.sampled_from(["deploy", "rollback", "restart", "stop", "start", "setup"])
noise = st.sampled_from(
    [Entry(), Entry(seq=4), Entry(result="confirmed"), Entry(kind="deploy", result="confirmed")]
)
entries = st.lists(
    st.one_of(st.builds(Entry, kind=kinds, release=names, result=results), noise),
    max_size=40,
)


def did(kind: str, release: str, result: str = "confirmed") -> Entry:
    return Entry(kind=kind, release=release, result=result)


def test_entries_are_numbered_in_order(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    assert journal.read(path) == []
    for release in ("a", "b"):
        journal.append(path, did("deploy", release))
    assert [(one.seq, one.release) for one in journal.read(path)] == [(1, "a"), (2, "b")]


@pytest.mark.parametrize(
    "torn",
    [b'{"seq": 7, "kin', b"\0" * 64, b"\xff\xfe", b"[1]", b"", b'"text"', b"{}{}", b'{"kind": 7}'],
)
def test_a_torn_line_costs_only_itself(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "journal.jsonl"
    journal.append(path, did("deploy", "a"))
    with path.open("ab") as handle:
        handle.write(torn)
    journal.append(path, did("deploy", "b"))
    assert [one.release for one in journal.read(path)] == ["a", "b"]


@pytest.mark.parametrize("seq", [None, "x", [], {}, 1.5, True, -3, "9"])
def test_a_strange_number_does_not_stop_a_deploy(tmp_path: Path, seq: object) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(json.dumps({"seq": seq}) + "\n" + json.dumps({"seq": 4}) + "\n")
    journal.append(path, did("deploy", "a"))
    assert journal.read(path)[-1].seq == 5


def test_what_cannot_be_written_does_not_stop_a_deploy(tmp_path: Path) -> None:
    journal.append(tmp_path / "none" / "journal.jsonl", did("deploy", "a"))
    (tmp_path / "journal.jsonl").mkdir()
    journal.append(tmp_path / "journal.jsonl", did("deploy", "a"))
    assert list((tmp_path / "journal.jsonl").iterdir()) == []


def test_a_full_disk_does_not_stop_a_deploy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real = tmp_path / "journal.jsonl", os.write
    journal.append(path, did("deploy", "a"))
    for write in (lambda _fd, _data: _raise_full(), lambda fd, data: real(fd, data[:10])):
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", write)
            journal.append(path, did("deploy", "b"))
    journal.append(path, did("deploy", "c"))
    assert [one.release for one in journal.read(path)] == ["a", "c"]


def _raise_full() -> int:
    raise OSError(28, "No space left on device")


def test_nobody_but_root_writes_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        journal.append(tmp_path / "j", did("deploy", "a"))
    finally:
        os.umask(before)
    assert (tmp_path / "j").stat().st_mode & 0o777 == 0o644


@given(data=st.lists(st.one_of(st.binary(max_size=30), st.just(b'{"seq": 1, "kind": "deploy"}'))))
def test_any_bytes_can_be_read(data: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_bytes(b"\n".join(data))
    found = journal.read(path)
    assert len(found) >= data.count(b'{"seq": 1, "kind": "deploy"}')
    journal.serving_stack(found)


@pytest.mark.parametrize(
    ("history", "stack"),
    [
        ([did("deploy", "a"), did("deploy", "b")], ["a", "b"]),
        ([did("deploy", "a"), did("deploy", "b", "failed")], ["a"]),
        ([did("deploy", "a"), did("deploy", "b", "reverted")], ["a"]),
        ([did("deploy", "a"), did("deploy", "b"), did("rollback", "a")], ["a"]),
        ([did("deploy", "a"), did("deploy", "b"), did("rollback", "a", "failed")], ["a", "b"]),
        ([did("deploy", "a"), did("deploy", "b"), did("restart", "b")], ["a", "b"]),
        ([did("deploy", "a"), did("deploy", "b"), did("deploy", "a")], ["b", "a"]),
        (
            [did("deploy", "a"), did("deploy", "b"), did("rollback", "a"), did("deploy", "c")],
            ["a", "c"],
        ),
        # rolled away from, then chosen by name
        (
            [did("deploy", "a"), did("deploy", "b"), did("rollback", "a"), did("rollback", "b")],
            ["a", "b"],
        ),
    ],
)
def test_the_way_back(history: list[Entry], stack: list[str]) -> None:
    assert journal.serving_stack(history) == stack


def test_each_rollback_goes_one_release_further_back() -> None:
    history = [did("deploy", name) for name in NAMES]
    current = NAMES[-1]
    for wanted in reversed(NAMES[:-1]):
        target = journal.rollback_target(history, current, NAMES)
        assert target == wanted
        history.append(did("rollback", target))
        current = target
    assert journal.rollback_target(history, current, NAMES) is None


def test_why_a_release_is_not_live() -> None:
    """By content: a rebuild has another name."""
    back = Entry(kind="rollback", release="1.0.a", result="confirmed", from_="1.1.b", who="ann")
    failed = Entry(kind="deploy", release="3.0.01234567_2", result="failed", reason="no disk")
    found = journal.setbacks(
        [
            did("deploy", "1.0.a"),
            did("deploy", "1.1.b"),
            back,
            did("deploy", "1.2.c", "reverted"),
            did("deploy", "2.0.d", "failed"),
            did("deploy", "2.0.d"),
            did("deploy", "2.1.e", "failed"),
            did("deploy", "2.1.e", "unchanged"),
            failed,
            Entry(kind="stop", release="1.0.a", result="failed"),
            Entry(),
        ]
    )
    assert {name: one.how for name, one in found.items()} == {
        "1.1.b": "rollback",
        "1.2.c": "reverted",
        "3.0.01234567": "failed",
    }
    assert (found["1.1.b"].who, found["3.0.01234567"].reason) == ("ann", "no disk")
    assert found["1.2.c"].ago_seconds > 0


def test_a_release_that_is_gone_is_passed_over() -> None:
    history = [did("deploy", name) for name in ("a", "b", "c")]
    assert journal.rollback_target(history, "c", ["a", "c"]) == "a"
    assert journal.rollback_target(history, "c", ["c"]) is None


@given(entries)
def test_the_last_confirmed_deploy_or_rollback_is_on_top(history: list[Entry]) -> None:
    served = [
        one.release
        for one in history
        if one.result == "confirmed" and one.kind in ("deploy", "rollback") and one.release
    ]
    stack = journal.serving_stack(history)
    assert stack[-1:] == served[-1:]
    assert len(stack) == len(set(stack))
    assert set(stack) <= set(served)


@given(entries, st.integers(1, 30))
def test_a_shorter_history_knows_the_same_way_back(history: list[Entry], kept: int) -> None:
    short = journal.shortened(history, kept)
    assert journal.serving_stack(short) == journal.serving_stack(history)
    assert short[-kept:] == history[-kept:]
    assert len(short) <= kept + len(NAMES)


def test_a_long_history_is_cut_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers go on, the oldest release stays the way back, and the file never grows for ever."""
    monkeypatch.setattr(journal, "MOST_ENTRIES", 20)
    monkeypatch.setattr(journal, "KEPT_ENTRIES", 10)
    path = tmp_path / "journal.jsonl"
    journal.append(path, did("deploy", "old"))
    journal.append(path, did("deploy", "new"))
    for number in range(3, 101):
        journal.append(path, did("deploy", "new", "unchanged"))
        found = journal.read(path)
        assert found[-1].seq == number
        assert len(found) <= 20
        assert journal.rollback_target(found, "new", ["old", "new"]) == "old"
    numbers = [one.seq or 0 for one in found]
    assert numbers == sorted(numbers)
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_history_that_cannot_be_cut_down_still_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "MOST_ENTRIES", 3)
    path = tmp_path / "journal.jsonl"
    for number in range(3):
        journal.append(path, did("deploy", str(number)))
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", lambda *_args: _raise_full())
        journal.append(path, did("deploy", "3"))
    assert [one.release for one in journal.read(path)] == ["0", "1", "2", "3"]
    assert list(tmp_path.iterdir()) == [path]


@given(entries, names, st.lists(names, unique=True))
def test_a_target_served_is_complete_and_is_not_current(
    history: list[Entry], current: str, complete: list[str]
) -> None:
    target = journal.rollback_target(history, current, complete)
    if target is None:
        return
    assert target in complete
    assert target != current
    assert target in journal.serving_stack(history)


@given(st.lists(names, min_size=2), st.data())
def test_what_was_rolled_away_from_is_never_chosen(deploys: list[str], data: st.DataObject) -> None:
    """Deploys and plain rollbacks in any order; only a new deploy makes it eligible again."""
    history: list[Entry] = []
    away: set[str] = set()
    current: str | None = None
    for name in deploys:
        history.append(did("deploy", name))
        away.discard(name)
        current = name
        for _ in range(data.draw(st.integers(0, 3))):
            target = journal.rollback_target(history, current, NAMES)
            if target is None:
                break
            assert target not in away
            away.add(current)
            history.append(did("rollback", target))
            current = target


@given(
    st.lists(names, unique=True),
    st.sets(st.sampled_from([*NAMES, "half", "gone"])),
    st.integers(0, 8),
)
def test_prune_spares_the_protected_and_takes_no_more_than_asked(
    order: list[str], protected: set[str], keep: int
) -> None:
    doomed = journal.to_prune(order, protected, keep)
    kept = [name for name in order if name not in doomed]
    assert not set(doomed) & protected
    assert len(kept) >= min(keep, len(order)), "names that are no releases do not count"
    assert len(kept) == max(min(keep, len(order)), len(protected & set(order)))
    assert [name for name in order if name in doomed] == doomed, "oldest first"
    free = [name for name in order if name not in protected]
    assert doomed == free[: len(doomed)], "the oldest go"


@pytest.mark.parametrize(
    ("last", "current", "found"),
    [
        (did("deploy", "b", "reverted"), "a", "b"),
        (did("deploy", "b", "failed"), None, "b"),
        (did("deploy", "b", "confirmed"), "b", None),
        (did("rollback", "b", "reverted"), "a", None),
        (did("deploy", "b", "reverted"), "b", None),
        (did("deploy", "gone", "reverted"), "a", None),
        (Entry(), "a", None),
    ],
)
def test_what_a_deploy_that_was_cut_off_was_for(
    last: Entry, current: str | None, found: str | None
) -> None:
    entries = [did("deploy", "a"), last]
    for later in ([], [did("restart", "a")]):
        assert journal.cut_off([*entries, *later], current, ["a", "b"]) == found
    assert journal.cut_off([], current, ["a", "b"]) is None
