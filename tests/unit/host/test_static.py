"""Root and the folders that the application's user fills: static files and media."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from cartwheel.host.release import media, static
from cartwheel.host.system import content_times
from cartwheel.host.system.context import OpError
from tests.kit.tiers import only_root

USER, GROUP = 12345, 23456
SETTING = 'web.static."/a/"'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of the user's, with files."""
    place = tmp_path / "static"
    (place / "deep/er").mkdir(parents=True)
    (place / "a.css").write_text("a")
    (place / "deep/er/b.css").write_text("b")
    own(place)
    return place


def own(place: Path) -> None:
    for path in (place, *place.rglob("*")):
        os.chown(path, USER, USER, follow_symlinks=False)


def mode(path: Path) -> str:
    status = path.lstat()
    return f"{status.st_uid}:{status.st_gid} {stat.S_IMODE(status.st_mode):o}"


@only_root("gives files away")
def test_what_a_command_made_becomes_roots(folder: Path) -> None:
    (folder / "a.css").chmod(0o600)
    (folder / "deep").chmod(0o2777)
    assert static.take(folder, SETTING) == 2
    found = {mode(path) for path in (folder, *folder.rglob("*")) if path.is_dir()}
    assert found == {"0:0 755"}
    assert {mode(path) for path in folder.rglob("*.css")} == {"0:0 644"}


def link(place: Path) -> None:
    (place / "deep/er/x").symlink_to("b.css")


def link_to_folder(place: Path) -> None:
    (place / "x").symlink_to("deep")


def hard_link(place: Path) -> None:
    os.link(place / "a.css", place / "x")


def pipe(place: Path) -> None:
    os.mkfifo(place / "x")


def device(place: Path) -> None:
    os.mknod(place / "x", stat.S_IFCHR | 0o666, os.makedev(1, 3))


def setuid(place: Path) -> None:
    (place / "a.css").chmod(0o4755)


def strange_name(place: Path) -> None:
    os.mkfifo(os.fsencode(place) + b"/\xff\n")


def deep(place: Path) -> None:
    place.joinpath(*["x"] * 70).mkdir(parents=True)


TRAPS = {
    link: "/static/deep/er/x, which is a link",
    link_to_folder: "/static/x, which is a link",
    hard_link: "which is also another file's name (a hard link)",
    pipe: "/static/x, which is a pipe",
    device: "/static/x, which is a device",
    setuid: "/static/a.css, which is a setuid or setgid file",
    strange_name: "/static/\\xff\\n, which is a pipe",
    deep: "/x, which is too deep",
}


@only_root("gives files away")
@pytest.mark.parametrize("trap", TRAPS, ids=lambda one: one.__name__)
def test_a_trap_is_refused_with_its_path(folder: Path, trap: Any) -> None:
    trap(folder)
    before = os.open(folder, os.O_RDONLY)
    os.close(before)
    with pytest.raises(OpError) as caught:
        static.take(folder, SETTING)
    assert caught.value.slug == "static-unsafe"
    assert caught.value.message.startswith(f"{SETTING}: the command left {folder.parent}")
    assert TRAPS[trap] in caught.value.message
    nowhere = os.open(folder, os.O_RDONLY)  # descriptors are closed again
    assert nowhere == before
    os.close(nowhere)


def test_times_follow_from_content(tmp_path: Path) -> None:
    def time_of(text: str, name: str = "a") -> int:
        path = tmp_path / name
        path.write_text(text)
        os.utime(path, (1, 1))
        fd = os.open(path, os.O_RDONLY)
        content_times.give(fd)
        once = path.stat().st_mtime_ns
        content_times.give(fd)  # changes nothing any more
        os.close(fd)
        assert path.stat().st_mtime_ns == once
        return once

    assert time_of("x") == time_of("x", "b")
    seconds = {time_of(f"text {number:04}") // 10**9 for number in range(200)}
    assert len(seconds) == 200
    assert max(seconds) < time.time() - 5 * 365 * 86400
    assert min(seconds) > 946_684_799


def test_the_digest_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b").write_text("x")
    first = content_times.digest_of(tmp_path)
    os.utime(tmp_path / "a/b", (1, 1))
    assert content_times.digest_of(tmp_path) == first
    (tmp_path / "a/b").write_text("y")
    assert content_times.digest_of(tmp_path) != first
    (tmp_path / "a/b").write_text("x")
    (tmp_path / "a/b").rename(tmp_path / "c")
    assert content_times.digest_of(tmp_path) != first


# --- media --------------------------------------------------------------------------------


def ensure(shared: Path, folder: str) -> None:
    fd = os.open(shared, os.O_RDONLY)
    try:
        media._ensure(fd, shared, folder, 'web.media."/m/"', USER, GROUP)
    finally:
        os.close(fd)


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    place = tmp_path / "shared"
    place.mkdir()
    own(place)
    return place


@only_root("gives files away")
def test_a_folder_of_media_is_made_for_the_app(shared: Path) -> None:
    for _each in range(2):
        ensure(shared, "up/media")
        assert mode(shared / "up") == f"{USER}:{GROUP} 750"
        assert mode(shared / "up/media") == f"{USER}:{GROUP} 2750"


@only_root("gives files away")
def test_one_that_an_interruption_left_is_taken(shared: Path) -> None:
    (shared / "media").mkdir(0o700)
    ensure(shared, "media")
    assert mode(shared / "media") == f"{USER}:{GROUP} 2750"


@only_root("gives files away")
def test_what_is_there_is_handed_over_once(shared: Path) -> None:
    place = shared / "media"
    (place / "old").mkdir(parents=True)
    (place / "old/a").write_text("a")
    (place / "old/secret").write_text("root's")
    (place / "l").symlink_to("/etc/passwd")
    os.mkfifo(place / "pipe")
    own(place)
    for path in (place, place / "old"):
        path.chmod(0o700)
    (place / "old/a").chmod(0o600)
    os.chown(place / "old/secret", 0, 0)
    (place / "old/secret").chmod(0o600)
    passwd = mode(Path("/etc/passwd"))
    ensure(shared, "media")
    assert mode(place) == mode(place / "old") == f"{USER}:{GROUP} 2710"
    assert mode(place / "old/a") == f"{USER}:{GROUP} 640"
    assert mode(place / "old/secret") == "0:0 600"
    assert mode(place / "pipe").startswith(f"{USER}:{USER} ")
    assert mode(Path("/etc/passwd")) == passwd
    (place / "old/a").chmod(0o600)
    ensure(shared, "media")
    assert mode(place / "old/a") == f"{USER}:{GROUP} 600", "the app's own wish"
    for group, bits in ((USER, 0o2750), (GROUP, 0o700)):
        (place / "old/a").chmod(0o600)
        os.chown(place, USER, group)
        place.chmod(bits)
        ensure(shared, "media")
        assert mode(place / "old/a") == f"{USER}:{GROUP} 640", "asked for"


@only_root("gives files away")
@pytest.mark.parametrize("kind", ["link", "inner link", "file", "roots"])
def test_a_place_that_is_not_the_apps_folder_is_refused(shared: Path, kind: str) -> None:
    target = shared.parent / "outside"
    target.mkdir(mode=0o700)
    if kind == "link":
        (shared / "up").mkdir()
        (shared / "up/media").symlink_to(target)
    elif kind == "inner link":
        (shared / "up").symlink_to(target)
    elif kind == "file":
        (shared / "up").write_text("")
    own(shared)
    if kind == "roots":
        (shared / "up/media").mkdir(parents=True)
    with pytest.raises(OpError) as caught:
        ensure(shared, "up/media")
    assert caught.value.slug == "media"
    assert str(shared / "up") in caught.value.message
    assert caught.value.hint
    assert mode(target) == "0:0 700"
    assert list(target.iterdir()) == []
