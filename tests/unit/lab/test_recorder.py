"""What is written down of a disk's history, against a folder that really changes; and a
state of it put back."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cartwheel_lab.faults.disk import Content, State, all_written, cuts, distinct
from cartwheel_lab.faults.points import Point
from cartwheel_lab.faults.recorder import Recorder
from cartwheel_lab.faults.shelf import Scope, Shelf
from cartwheel_lab.faults.syscalls import Call

SCOPE = Scope(
    folders=("/srv",),
    trees=re.compile(r"/srv/(venv|\.gone-venv)(?=/|$)"),
    ignored=re.compile(r"^/srv/ignored(/|$)"),
    mounts=("/srv",),
)
MESSAGE = "to the operator: result confirm"


class Disk:
    """A folder; everything that is done to it is witnessed before."""

    def __init__(self, folder: Path) -> None:
        self.shelf = Shelf(folder / "root", folder / "shelf")
        self.shelf.folder.mkdir()
        self.shelf.real("/srv").mkdir(parents=True)
        self.recorder = Recorder(self.shelf, SCOPE)

    def real(self, path: str) -> Path:
        return self.shelf.real(path)

    def seen(self, kind: str, *paths: str) -> None:
        self.recorder.witness(Call(0, 1, kind, paths))

    def write(self, path: str, text: str, *, synced: bool = False) -> None:
        self.seen("create", path)
        if not self.real(path).parent.is_dir() or self.real(path).is_dir():
            return  # the call fails
        self.real(path).write_text(text)
        if synced:
            self.seen("fsync", path)

    def mkdir(self, path: str) -> None:
        self.seen("mkdir", path)
        if self.real(path).parent.is_dir() and not os.path.lexists(self.real(path)):
            self.real(path).mkdir()

    def symlink(self, target: str, path: str) -> None:
        self.seen("symlink", target, path)
        self.real(path).symlink_to(target)

    def rename(self, source: str, target: str) -> None:
        self.seen("rename", source, target)
        self.real(source).rename(self.real(target))

    def unlink(self, path: str) -> None:
        self.seen("unlink", path)
        self.real(path).unlink()

    def rmdir(self, path: str) -> None:
        self.seen("rmdir", path)
        self.real(path).rmdir()

    def states(self) -> list[State]:
        history = self.recorder.end()
        assert all_written(history) == self.shelf.scan(SCOPE)
        return [state for state, _spans in distinct(cuts(history))]

    def found(self, path: str) -> set[bytes | None]:
        """What may be in a file after a power cut; None: there is none."""
        return {self.shelf.text(state[path]) if path in state else None for state in self.states()}


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def test_a_careful_write_is_old_or_new(disk: Disk) -> None:
    disk.real("/srv/a").write_text("old")
    disk.recorder.begin()
    disk.write("/srv/.a", "new text", synced=True)
    disk.rename("/srv/.a", "/srv/a")
    disk.seen("fsync", "/srv")
    assert disk.found("/srv/a") == {b"old", b"new text"}


def test_a_careless_write_may_be_empty_or_torn(disk: Disk) -> None:
    disk.real("/srv/a").write_text("old")
    disk.recorder.begin()
    disk.write("/srv/.a", "new text")
    disk.rename("/srv/.a", "/srv/a")
    disk.seen("fsync", "/srv")
    assert disk.found("/srv/a") == {b"old", b"", b"new ", b"new text"}


def test_an_append_that_is_not_synced_may_be_torn_and_keeps_what_was(disk: Disk) -> None:
    disk.real("/srv/log").write_text("one\n")
    disk.recorder.begin()
    disk.seen("open", "/srv/log")
    with disk.real("/srv/log").open("a") as handle:
        handle.write("two two\n")
    assert disk.found("/srv/log") == {b"one\n", b"one\ntwo ", b"one\ntwo two\n"}


def test_a_call_that_fails_is_no_change(disk: Disk) -> None:
    disk.recorder.begin()
    disk.seen("mkdir", "/srv/a")
    disk.seen("create", "/srv/b")
    disk.seen("fsync", "/srv")
    assert [sorted(state) for state in disk.states()] == [["/srv"]]


def test_what_is_not_followed_is_not_written_down(disk: Disk) -> None:
    disk.recorder.begin()
    disk.mkdir("/srv/ignored")
    disk.write("/srv/ignored/a", "x")
    disk.seen("create", "/etc/passwd")
    assert disk.recorder.end().operations == ()


def test_a_tree_is_torn_as_a_whole_until_the_file_system_is_synced(disk: Disk) -> None:
    disk.recorder.begin()
    disk.mkdir("/srv/venv")
    for number in range(4):
        disk.write(f"/srv/venv/{number}", "text")
    disk.seen("syncfs", "/srv/venv")
    states = disk.states()
    ways = {(s["/srv/venv"].data != "", s["/srv/venv"].torn) for s in states if "/srv/venv" in s}
    assert ways == {(False, ""), (True, "part"), (True, "names"), (True, "")}
    assert any("/srv/venv" not in state for state in states)


def test_a_tree_that_is_removed_may_lack_names_under_its_old_name(disk: Disk) -> None:
    """Unless its rename was synced before: why `files.remove_tree` does."""
    disk.real("/srv/venv").mkdir()
    disk.real("/srv/venv/a").write_text("a")
    disk.real("/srv/venv/b").write_text("b")
    disk.recorder.begin()
    disk.rename("/srv/venv", "/srv/.gone-venv")
    for name in ("a", "b"):
        disk.unlink(f"/srv/.gone-venv/{name}")
    disk.rmdir("/srv/.gone-venv")
    torn = [state for state in disk.states() if state.get("/srv/venv", Content("dir")).torn]
    assert torn
    disk.shelf.lay(torn[0], SCOPE)
    assert [path.name for path in disk.real("/srv/venv").iterdir()] == ["a"]


def test_a_tree_that_was_synced_elsewhere_is_whole_under_its_name(disk: Disk) -> None:
    disk.recorder.begin()
    disk.mkdir("/srv/.gone-venv")
    disk.mkdir("/srv/.gone-venv/pip")
    disk.write("/srv/.gone-venv/pip/a", "text")
    disk.seen("syncfs", "/srv/.gone-venv/pip")
    disk.rename("/srv/.gone-venv/pip", "/srv/venv")
    for state in disk.states():
        assert "/srv/venv" not in state or not state["/srv/venv"].torn


def test_when_a_message_passed(disk: Disk) -> None:
    disk.recorder.begin()
    disk.write("/srv/a", "x")
    said = Point("message", MESSAGE)
    call = Point("create", "create")
    assert disk.recorder.moments([call, said], MESSAGE) == [1]
    disk.write("/srv/b", "x")
    assert disk.recorder.moments([call, said, call], MESSAGE) == [2], "with what it wrote"
    assert disk.recorder.moments([call, call], MESSAGE) == []


# --- any program -----------------------------------------------------------------------------

PATHS = st.sampled_from(["/srv/a", "/srv/b", "/srv/d", "/srv/d/a", "/srv/venv", "/srv/venv/a"])
STEP = st.tuples(
    st.sampled_from(["write", "mkdir", "symlink", "rename", "remove", "fsync", "syncfs"]),
    PATHS,
    PATHS,
)


def perform(disk: Disk, what: str, path: str, other: str) -> None:
    there, parent = os.path.lexists(disk.real(path)), disk.real(path).parent.is_dir()
    is_dir = disk.real(path).is_dir()
    if what == "write" and path == "/srv/venv":
        return  # a tree is a folder
    if what == "write" and not disk.real(path).is_symlink():
        disk.write(path, f"text of {other}")
    elif what == "mkdir":
        disk.mkdir(path)
    elif what == "symlink" and not there and parent and "venv" not in path:
        disk.symlink(other, path)
    elif what == "rename" and there and not is_dir and "venv" not in path + other:
        if disk.real(other).parent.is_dir() and not disk.real(other).is_dir() and path != other:
            disk.rename(path, other)
    elif what == "remove" and there and not is_dir:
        disk.unlink(path)
    elif what == "remove" and there and not any(disk.real(path).iterdir()):
        disk.rmdir(path)
    elif what in ("fsync", "syncfs") and there:
        disk.seen(what, path)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, max_size=14))
def test_what_is_written_down_leads_to_what_is_there_and_can_be_put_back(
    steps: list[tuple[str, str, str]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        disk = Disk(Path(folder))
        disk.real("/srv/venv").mkdir()
        disk.recorder.begin()
        for step in steps:
            perform(disk, *step)
        states = disk.states()
        now = disk.shelf.scan(SCOPE)
        assert now in states
        for state in (*states[:4], now):
            disk.shelf.lay(state, SCOPE)
            there = disk.shelf.scan(SCOPE)
            assert there.keys() == state.keys()
            for path, content in state.items():
                if not content.torn:
                    assert there[path] == content
