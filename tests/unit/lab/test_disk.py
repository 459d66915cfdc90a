"""What a power cut may leave, by the model: never less than what was synced, never more
than what was done."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cartwheel_lab.faults.disk import (
    EXHAUSTIVE,
    Content,
    Enter,
    Fill,
    History,
    State,
    Sync,
    Writer,
    all_written,
    cuts,
    distinct,
)

FILE = Content("file", mode=0o644)
DIR = Content("dir", mode=0o755)


def states(writer: Writer) -> list[State]:
    return [state for state, _spans in distinct(cuts(writer.history()))]


def texts(writer: Writer, path: str) -> set[str | None]:
    """What may be found at the path: data, with "~" where it is torn; None: nothing."""
    return {
        ("~" if state[path].torn else "") + state[path].data if path in state else None
        for state in states(writer)
    }


def written(writer: Writer, path: str, data: str, *, synced: bool = False) -> int:
    node = writer.new(FILE)
    writer.enter((path, node))
    writer.fill(node, Content("file", data, 0o644))
    if synced:
        writer.sync(node)
    return node


def test_unsynced_data_may_be_gone_torn_or_there_under_a_name_or_none() -> None:
    writer = Writer()
    written(writer, "/a", "new")
    assert texts(writer, "/a") == {None, "", "~new", "new"}


def test_a_synced_file_may_still_lack_its_name() -> None:
    writer = Writer()
    written(writer, "/a", "new", synced=True)
    last = [cut.state for cut in cuts(writer.history()) if cut.first >= 3]
    assert {state["/a"].data if "/a" in state else None for state in last} == {None, "new"}


def test_a_rename_gives_the_old_or_the_new_and_never_none() -> None:
    writer = Writer()
    writer.add("/a", Content("file", "old", 0o644))
    new = written(writer, "/t", "new", synced=True)
    writer.enter(("/a", new), ("/t", None))
    assert texts(writer, "/a") == {"old", "new"}


def test_a_rename_of_unsynced_data_may_leave_an_empty_or_a_torn_file() -> None:
    writer = Writer()
    writer.add("/a", Content("file", "old", 0o644))
    new = written(writer, "/t", "new")
    writer.enter(("/a", new), ("/t", None))
    assert texts(writer, "/a") == {"old", "", "~new", "new"}


def test_names_of_one_directory_may_last_in_any_order() -> None:
    writer = Writer()
    written(writer, "/a", "1", synced=True)
    written(writer, "/b", "2", synced=True)
    assert {frozenset(state) for state in states(writer)} == {
        frozenset(),
        frozenset({"/a"}),
        frozenset({"/b"}),
        frozenset({"/a", "/b"}),
    }


def test_an_append_may_be_absent_torn_or_whole_and_never_harms_what_was() -> None:
    writer = Writer()
    node = writer.add("/log", Content("file", "1", 0o644))
    writer.fill(node, Content("file", "12", 0o644))
    assert texts(writer, "/log") == {"1", "~12", "12"}
    assert {s["/log"].base for s in states(writer) if s["/log"].torn} == {"1"}


def test_a_tree_on_its_way_out_may_lack_some_of_its_names() -> None:
    writer = Writer()
    node = writer.add("/venv", Content("tree", "full", 0o755))
    writer.fill(node, Content("tree", "", 0o755))
    assert texts(writer, "/venv") == {"full", "~", ""}


def test_a_state_says_when_it_can_be_left() -> None:
    writer = Writer()
    node = writer.add("/mark", FILE)
    assert node
    writer.enter(("/mark", None))
    writer.sync(0)
    written(writer, "/later", "x")
    there = [spans for state, spans in distinct(cuts(writer.history())) if "/mark" in state]
    gone = [spans for state, spans in distinct(cuts(writer.history())) if not state]
    assert there == [((0, 1),)], "until it was synced, with one operation done, and no longer"
    assert gone == [((1, 1), (2, 4), (4, 4))], "or with its data, and no name"


# --- any history -----------------------------------------------------------------------------

NAMES = st.sampled_from(["/a", "/b", "/d/a", "/d/b"])
STEP = st.one_of(
    st.tuples(st.just("write"), NAMES, st.text("xy", min_size=1, max_size=3)),
    st.tuples(st.just("remove"), NAMES, st.just("")),
    st.tuples(st.just("rename"), NAMES, NAMES),
    st.tuples(st.just("fsync"), st.sampled_from(["/a", "/b", "/d/a", "/", "/d"]), st.just("")),
    st.tuples(st.just("syncfs"), st.just("/"), st.just("")),
)


def perform(steps: list[tuple[str, str, str]], *, careful: bool = False) -> Writer:
    """The steps that make sense; `careful`: everything is synced after each."""
    writer = Writer()
    writer.add("/d", DIR)
    for what, path, other in steps:
        node = 0 if path == "/" else writer.find(path)
        if what == "write" and node is None:
            written(writer, path, other)
        elif what == "write" and node is not None:
            writer.fill(node, Content("file", other, 0o644))
        elif what == "remove" and node is not None:
            writer.enter((path, None))
        elif what == "rename" and node is not None and path != other:
            writer.enter((other, node), (path, None))
        elif what == "fsync" and node is not None:
            writer.sync(node)
        elif what == "syncfs":
            writer.sync(*writer.born)
        if careful:
            writer.sync(*writer.born)
    return writer


@given(st.lists(STEP, max_size=12))
def test_where_everything_is_synced_there_is_one_state(
    steps: list[tuple[str, str, str]],
) -> None:
    writer = perform(steps)
    writer.sync(*writer.born)
    end = len(writer.operations)
    last = [state for state, spans in distinct(cuts(writer.history())) if spans[-1][1] == end]
    assert last == [all_written(writer.history())]


@given(st.lists(STEP, max_size=10), st.lists(STEP, max_size=6))
def test_what_was_synced_is_never_lost_and_nothing_is_invented(
    before: list[tuple[str, str, str]], after: list[tuple[str, str, str]]
) -> None:
    """After a sync, a name that nobody touched again has what it had then; and at each name
    is something that was put there once."""
    whole = perform(before)
    whole.sync(*whole.born)
    synced_at = len(whole.operations)
    kept = all_written(whole.history())
    writer = perform([*before, ("syncfs", "/", ""), *after])
    assert writer.operations[:synced_at] == whole.operations
    later = writer.operations[synced_at:]
    named = {entry[:2] for one in later if isinstance(one, Enter) for entry in one.entries}
    filled = {one.node for one in later if isinstance(one, Fill)}
    for cut in cuts(writer.history()):
        if cut.first < synced_at:
            continue
        for path, content in kept.items():
            node = _node(whole, path)
            if whole.place(path) not in named and node not in filled:
                assert cut.state[path] == content
        assert _made(writer.history(), cut.state)


def _node(writer: Writer, path: str) -> int:
    found = writer.find(path)
    assert found is not None
    return found


def _made(history: History, state: State) -> bool:
    contents = set(history.born.values())
    contents |= {one.content for one in history.operations if isinstance(one, Fill)}
    plain = {(content.kind, content.data) for content in contents}
    return all((content.kind, content.data) in plain for content in state.values())


@given(st.lists(STEP, max_size=10))
def test_the_disk_as_programs_see_it_is_one_of_the_states(
    steps: list[tuple[str, str, str]],
) -> None:
    writer = perform(steps)
    assert all_written(writer.history()) in states(writer)


@given(st.lists(STEP, max_size=10))
def test_care_leaves_no_choice_but_the_last_step(steps: list[tuple[str, str, str]]) -> None:
    writer = perform(steps, careful=True)
    for cut in cuts(writer.history()):
        assert cut.last - cut.first <= 2, "one step: a name and its data"


def test_where_there_are_too_many_ways_none_all_and_each_one_are_tried() -> None:
    writer = Writer()
    count = 12
    assert 2**count > EXHAUSTIVE
    for number in range(count):
        writer.enter((f"/{number}", writer.new(FILE)))
    sizes = [len(state) for state in states(writer)]
    found = {frozenset(state) for state in states(writer)}
    names = {f"/{number}" for number in range(count)}
    assert len(sizes) < 4 * count
    assert {frozenset(), frozenset(names)} <= found
    for name in names:
        assert {frozenset({name}), frozenset(names - {name})} <= found
    assert any(isinstance(one, Sync) for one in writer.operations) is False
