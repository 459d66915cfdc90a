"""Files on the host: modes from the start, one rename, and a crash at any point."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cartwheel.host.state import journal
from cartwheel.host.system import files
from cartwheel.host.system.context import OpError
from cartwheel.host.web import configuration
from cartwheel.host.wire.journal import Entry
from tests.kit.tiers import only_root
from tests.unit.hostside import in_child

_CALLS = ("open", "mkdir", "chmod", "chown", "fchmod", "fchown", "fsync", "rename", "symlink")
_CRASHED = 99

Call = tuple[Any, ...]


@pytest.fixture
def no_umask() -> Iterator[None]:
    """So that the modes in the system calls are all that keeps others out."""
    before = os.umask(0)
    yield
    os.umask(before)


def recorded(monkeypatch: pytest.MonkeyPatch, work: Callable[[], Any]) -> list[Call]:
    """The system calls of `work` that matter, each with its arguments; fsync with its file."""
    calls: list[Call] = []

    def wrap(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            shown = args
            if name == "fsync":
                shown = (str(Path(f"/proc/self/fd/{args[0]}").readlink()),)
            calls.append((name, *(str(a) if isinstance(a, Path) else a for a in shown)))
            return real(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        for name in (*_CALLS, "unlink"):
            patch.setattr(os, name, wrap(name))
        work()
    return calls


def crashed_before(number: int, work: Callable[[], Any]) -> bool:
    """Do `work` in a process that is gone before its call `number`; False if it ended first."""

    def dying() -> int:
        left = [number]

        def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                if left[0] == 0:
                    os._exit(_CRASHED)
                left[0] -= 1
                return real(*args, **kwargs)

            return call

        for name in (*_CALLS, "unlink", "rmdir"):
            setattr(os, name, wrap(getattr(os, name)))
        work()
        return 0

    status = in_child(dying)
    assert status in (0, _CRASHED)
    return status == _CRASHED


def crashes(work: Callable[[], Any], check: Callable[[], None]) -> int:
    """Crash `work` before each of its calls in turn and `check` after each; how often."""
    number = 0
    while crashed_before(number, work):
        check()
        number += 1
    return number


def test_write_is_synced_renamed_and_its_folder_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f"
    calls = recorded(monkeypatch, lambda: files.write(path, b"new", 0o600))
    order = [call[0] for call in calls if call[0] in ("fsync", "rename")]
    assert order == ["fsync", "rename", "fsync"]
    renamed = next(call for call in calls if call[0] == "rename")
    synced = [call[1] for call in calls if call[0] == "fsync"]
    assert synced == [renamed[1], str(tmp_path)]
    assert renamed[2] == str(path)


def test_nobody_else_can_read_it_at_any_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_umask: None
) -> None:
    calls = recorded(monkeypatch, lambda: files.write(tmp_path / "f", b"secret", 0o600))
    made = [call for call in calls if call[0] == "open" and call[2] & os.O_CREAT]
    assert [call[3] for call in made] == [0o600]
    assert all(call[2] & os.O_EXCL and call[2] & os.O_NOFOLLOW for call in made)
    assert {call[2] for call in calls if call[0] == "fchmod"} == {0o600}


def test_modes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        files.write(tmp_path / "f", b"x", 0o644)
        files.directory(tmp_path / "d", 0o755, os.getuid(), os.getgid())
        files.store(io.BytesIO(b"x"), tmp_path / "s", hashlib.sha256(b"x").hexdigest())
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("f", "d", "s")]
    assert modes == [0o644, 0o755, 0o644]


def test_write_says_whether_it_changed_anything(tmp_path: Path) -> None:
    path = tmp_path / "f"
    assert files.write(path, b"x", 0o640)
    inode = path.stat().st_ino
    assert not files.write(path, b"x", 0o640)
    assert path.stat().st_ino == inode
    assert files.write(path, b"x", 0o644), "another mode"
    assert files.write(path, b"y", 0o644), "another content"


@only_root("gives files away (chown(2))")
def test_write_sets_the_owner(tmp_path: Path) -> None:
    path = tmp_path / "f"
    assert files.write(path, b"x", 0o600, (1234, 4321))
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 4321)
    assert not files.write(path, b"x", 0o600, (1234, 4321))
    assert files.write(path, b"x", 0o600, (0, 0))
    assert files.directory(tmp_path / "d", 0o750, 1234, 4321)
    assert not files.directory(tmp_path / "d", 0o750, 1234, 4321)
    assert files.directory(tmp_path / "d", 0o750, 0, 0)


def test_an_administrators_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    for target in (tmp_path / "elsewhere" / "file", Path("elsewhere/new")):
        path = tmp_path / "f"
        path.symlink_to(target)
        for data in (b"one", b"two"):
            assert files.write(path, data)
            assert not files.write(path, data)
            assert path.is_symlink()
            assert path.read_bytes() == data
        path.unlink()
    assert {one.name for one in (tmp_path / "elsewhere").iterdir()} == {"file", "new"}


@only_root("gives links away (lchown(2))")
def test_a_link_of_somebody_elses_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"root's")
    (tmp_path / "f").symlink_to(tmp_path / "target")
    os.lchown(tmp_path / "f", 12345, 12345)
    with pytest.raises(OpError, match="is a link that is not root's"):
        files.write(tmp_path / "f", b"theirs")
    assert (tmp_path / "target").read_bytes() == b"root's"


def make(kind: str, path: Path) -> None:
    """Something that is no file. A device only of our own: never this machine's."""
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(str(path))
    else:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))


KINDS = [
    "folder",
    "pipe",
    "socket",
    pytest.param("device", marks=only_root("makes devices (mknod(2))")),
]


@pytest.mark.parametrize("behind", [False, True], ids=["itself", "behind a link"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_stays(tmp_path: Path, kind: str, behind: bool) -> None:
    real = tmp_path / "real"
    make(kind, real)
    path = tmp_path / "link" if behind else real
    if behind:
        path.symlink_to(real)
    before = os.lstat(real)
    digest = hashlib.sha256(b"x").hexdigest()
    works: list[Callable[[], object]] = [
        lambda: files.write(path, b"x"),
        lambda: files.store(io.BytesIO(b"x"), path, digest),
    ]
    if not behind:  # a link there is taken for our own
        works.append(lambda: files.link(path, "x"))
    for work in works:
        with pytest.raises(
            OpError, match=f"is a {kind}, not a file; it was left unchanged"
        ) as caught:
            work()
        assert caught.value.slug == "not-ours"
    with pytest.raises(OpError, match="is damaged: not a file"):
        files.read_json(path)
    assert files.sha256_of(path) is None
    journal.append(path, Entry(kind="deploy"))
    assert journal.read(path) == []
    with pytest.raises(OpError):
        configuration.snapshot([str(path)])
    after = os.lstat(real)
    assert (after.st_ino, after.st_mode, after.st_rdev) == (
        before.st_ino,
        before.st_mode,
        before.st_rdev,
    )
    assert {one.name for one in tmp_path.iterdir()} == {"real", path.name}


def test_a_site_behind_a_link_is_put_back_behind_it(tmp_path: Path) -> None:
    real, link, gone = tmp_path / "real.conf", tmp_path / "site.conf", tmp_path / "default"
    real.write_text("theirs")
    link.symlink_to(real)
    gone.symlink_to("../available")
    memory = configuration.snapshot([str(link), str(gone)])
    files.write(link, b"ours")
    files.remove(gone)
    assert configuration.put_back(memory)
    assert (real.read_text(), link.readlink()) == ("theirs", real)
    assert str(gone.readlink()) == "../available"
    assert not configuration.put_back(memory)


@pytest.mark.parametrize("left", ["file", "dangling", "link"])
def test_what_a_crash_left_under_the_temporary_name_is_in_nobodys_way(
    tmp_path: Path, left: str
) -> None:
    path, theirs = tmp_path / "f", tmp_path / "theirs"
    theirs.write_bytes(b"theirs")
    digest = hashlib.sha256(b"ours").hexdigest()
    for work in (
        lambda: files.write(path, b"ours"),
        lambda: files.link(path, "ours"),
        lambda: files.store(io.BytesIO(b"ours"), path, digest),
    ):
        temporary = files._temporary(path)
        if left == "file":
            temporary.write_bytes(b"half")
        else:
            temporary.symlink_to(theirs if left == "link" else tmp_path / "nowhere")
        work()
        assert theirs.read_bytes() == b"theirs"
        assert not os.path.lexists(temporary)
        path.unlink()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")
    (tmp_path / "d").mkdir()

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            files.write(path, b"new")
    with pytest.raises(OpError):
        files.write(tmp_path / "d", b"new")
    with pytest.raises(OpError):
        files.link(tmp_path / "d", "new")
    assert path.read_bytes() == b"old"
    assert sorted(name.name for name in tmp_path.iterdir()) == ["d", "f"]


def test_a_crash_of_write_leaves_old_or_new(tmp_path: Path) -> None:
    path = tmp_path / "f"
    seen = set()

    def check() -> None:
        seen.add(path.read_bytes())
        assert path.read_bytes() in (b"old", b"new" * 100000)
        path.write_bytes(b"old")

    path.write_bytes(b"old")
    assert crashes(lambda: files.write(path, b"new" * 100000), check) >= 5
    assert seen == {b"old", b"new" * 100000}


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES])
def test_a_link_that_cannot_be_read_is_not_taken_for_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Prune would remove what it names."""

    def fail(_path: Path) -> str:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "readlink", fail)
    with pytest.raises(OSError, match=os.strerror(number)):
        files.read_link(tmp_path / "current")


def test_a_crash_of_link_leaves_old_or_new(tmp_path: Path) -> None:
    path = tmp_path / "current"
    seen = set()

    def check() -> None:
        seen.add(str(path.readlink()))
        path.unlink()
        path.symlink_to("releases/1")

    path.symlink_to("releases/1")
    assert crashes(lambda: files.link(path, "releases/2"), check) >= 3
    assert seen == {"releases/1", "releases/2"}


def test_a_crash_of_store_leaves_nothing_or_the_whole(tmp_path: Path) -> None:
    data = b"wheel" * 1000
    path = tmp_path / "w.whl"
    seen = set()

    def check() -> None:
        seen.add(files.sha256_of(path))
        if path.exists():
            path.unlink()

    digest = hashlib.sha256(data).hexdigest()
    assert crashes(lambda: files.store(io.BytesIO(data), path, digest), check) >= 4
    assert seen == {None, digest}


def test_a_crash_of_remove_tree_never_leaves_half_under_its_name(tmp_path: Path) -> None:
    path = tmp_path / "release"

    def make() -> None:
        (path / "venv").mkdir(parents=True)
        for name in ("a", "b"):
            (path / "venv" / name).write_bytes(b"")

    def check() -> None:
        if path.exists():
            assert sorted(f.name for f in (path / "venv").iterdir()) == ["a", "b"]
        files.remove_tree(path)
        assert list(tmp_path.iterdir()) == [], "the next removal takes the rest too"
        make()

    make()
    assert crashes(lambda: files.remove_tree(path), check) >= 4


def test_remove_tree_takes_what_a_crash_left_even_when_the_name_is_gone(tmp_path: Path) -> None:
    (tmp_path / ".gone-venv" / "lib").mkdir(parents=True)
    assert files.remove_tree(tmp_path / "venv")
    assert list(tmp_path.iterdir()) == []
    assert not files.remove_tree(tmp_path / "venv")
    (tmp_path / ".gone-venv" / "lib").mkdir(parents=True)
    files.remove_tree(tmp_path / ".gone-venv")
    assert list(tmp_path.iterdir()) == []


def test_remove_tree_does_not_follow_links(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to("theirs")
    files.remove_tree(tmp_path / "link")
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "link").symlink_to(tmp_path / "theirs")
    files.remove_tree(tmp_path / "ours")
    assert (tmp_path / "theirs" / "file").exists()


def test_store_refuses_other_bytes(tmp_path: Path) -> None:
    path = tmp_path / "w.whl"
    with pytest.raises(OpError) as caught:
        files.store(io.BytesIO(b"damaged"), path, hashlib.sha256(b"whole").hexdigest())
    assert caught.value.slug == "upload-damaged"
    assert list(tmp_path.iterdir()) == []


def test_store_is_private_until_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_umask: None
) -> None:
    digest = hashlib.sha256(b"x").hexdigest()
    calls = recorded(monkeypatch, lambda: files.store(io.BytesIO(b"x"), tmp_path / "w", digest))
    assert [call[3] for call in calls if call[0] == "open" and call[2] & os.O_CREAT] == [0o600]
    assert [call[0] for call in calls if call[0] in ("fsync", "rename")] == [
        "fsync",
        "rename",
        "fsync",
    ]


def test_link_moves_with_one_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "current"
    assert files.link(path, "releases/1")
    calls = recorded(monkeypatch, lambda: files.link(path, "releases/2"))
    changing = [call[0] for call in calls if call[0] in ("symlink", "rename", "fsync")]
    assert changing == ["symlink", "rename", "fsync"]
    assert ("unlink", str(path)) not in calls
    assert not files.link(path, "releases/2")
    assert files.read_link(path) == "releases/2"
    assert files.read_link(tmp_path / "none") is None
    assert files.read_link(tmp_path) is None


def test_remove_is_durable_and_says_what_it_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pending.json"
    path.write_bytes(b"{}")
    calls = recorded(monkeypatch, lambda: files.remove(path))
    assert calls[-1] == ("fsync", str(tmp_path))
    assert not path.exists()
    assert not files.remove(path)
    (tmp_path / "dangling").symlink_to("nowhere")
    assert files.remove(tmp_path / "dangling")


def test_directory_refuses_what_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("file", "link"):
        with pytest.raises(OpError) as caught:
            files.directory(tmp_path / name, 0o755, os.getuid(), os.getgid())
        assert caught.value.slug == "not-ours"


def test_json_that_is_damaged_says_which_file(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    assert files.read_json(path) is None
    for text in (b"{", b"[]", b"\xff", b"\0\0\0"):
        path.write_bytes(text)
        with pytest.raises(OpError, match=r"record\.json is damaged") as caught:
            files.read_json(path)
        assert caught.value.slug == "host-state"
    files.write_json(path, {"b": "ü\ud800", "a": 1}, 0o600)
    assert files.read_json(path) == {"a": 1, "b": "ü\ud800"}


@pytest.mark.parametrize("name", ["with space", "ümläut", "-rf", "a\nb", "*", "x" * 249])
def test_odd_names(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert files.write(path, b"x")
    assert files.sha256_of(path) == hashlib.sha256(b"x").hexdigest()
    assert files.link(path, "elsewhere")
    assert files.remove(path)
    assert files.directory(path, 0o755, os.getuid(), os.getgid())
    files.remove_tree(path)
    assert list(tmp_path.iterdir()) == []


def test_sha256_of_what_is_no_file(tmp_path: Path) -> None:
    assert files.sha256_of(tmp_path) is None
    assert files.sha256_of(tmp_path / "none") is None
    assert files.sha256_of(tmp_path / "none" / "below") is None
    (tmp_path / "file").write_bytes(b"")
    assert files.sha256_of(tmp_path / "file" / "below") is None


def test_sweep_takes_only_what_killed_writers_left(tmp_path: Path) -> None:
    for name in ("f", ".hidden", ".x.cartwheel-note", "y.cartwheel-1", ".z.cartwheel-77"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / ".l.cartwheel-5").symlink_to("nowhere")
    files.sweep(tmp_path)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [".hidden", ".x.cartwheel-note", "f", "y.cartwheel-1"]
    files.sweep(tmp_path / "none")


def test_sweep_spares_the_neighbours(tmp_path: Path) -> None:
    for name in (".shop.web.1.a.cartwheel-3", ".shop-admin.web.1.a.cartwheel-3"):
        (tmp_path / name).write_bytes(b"")
    files.sweep(tmp_path, of=r"shop\.(web|web-b)\.[0-9].*")
    assert [path.name for path in tmp_path.iterdir()] == [".shop-admin.web.1.a.cartwheel-3"]


def test_what_is_left_of_one_file_is_found_behind_an_administrators_link_too(
    tmp_path: Path,
) -> None:
    (tmp_path / "own").mkdir()
    site = tmp_path / "shop.conf"
    site.symlink_to(tmp_path / "own" / "site")
    left = [tmp_path / ".shop.conf.cartwheel-1", tmp_path / "own" / ".site.cartwheel-2"]
    for path in (*left, tmp_path / ".shop-admin.conf.cartwheel-1", tmp_path / "own" / "site"):
        path.write_bytes(b"")
    assert sorted(files.left_beside(site)) == sorted(left)
    (tmp_path / "masked").symlink_to("/dev/null")
    assert files.left_beside(tmp_path / "masked") == []
    assert files.left_beside(tmp_path / "none" / "file") == []


def test_a_killed_write_is_swept(tmp_path: Path) -> None:
    assert crashed_before(3, lambda: files.write(tmp_path / "f", b"x"))
    assert list(tmp_path.iterdir()) != []
    files.sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_sync_filesystem(tmp_path: Path) -> None:
    files.sync_filesystem(tmp_path)
    with pytest.raises(OSError):
        files.sync_filesystem(tmp_path / "none")


def test_a_spare_link_needs_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full by then does not keep a host from going back."""
    path = tmp_path / "current"
    files.link(path, "releases/old")
    files.keep_spare(path, "releases/old")
    files.link(path, "releases/new")

    def no_room(_target: str, _path: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "symlink", no_room)
    with pytest.raises(OSError, match="No space"):
        files.link(path, "releases/another")
    assert files.link(path, "releases/old")
    assert files.read_link(path) == "releases/old"
    assert [left.name for left in tmp_path.iterdir()] == ["current"]
