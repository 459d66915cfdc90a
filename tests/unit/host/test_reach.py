"""Who gets to a file is decided by every folder on the way, links followed."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

import pytest

from cartwheel.host.look import facts
from cartwheel.host.system import reach
from tests.kit.tiers import only_root

NOBODY = reach.Account("shop", 4242, frozenset((4243,)))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """An interpreter below `there/bin`, to which a link from elsewhere leads."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and len(folder.parts) > 2:
            folder.chmod(folder.stat().st_mode | 0o011)
    (tmp_path / "there" / "bin").mkdir(parents=True)
    python = tmp_path / "there" / "bin" / "python3"
    python.write_text("")
    python.chmod(0o755)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "python3").symlink_to("../second")
    (tmp_path / "second").symlink_to(python)
    return tmp_path


def test_the_way_leads_through_every_link(tree: Path) -> None:
    folders, end = reach.way(str(tree / "here" / "python3"))
    assert end == str(tree / "there" / "bin" / "python3")
    assert {str(tree / name) for name in ("here", "there", "there/bin")} <= set(folders)
    assert folders[0] == "/"


def test_a_loop_of_links_ends(tree: Path) -> None:
    (tree / "a").symlink_to("b")
    (tree / "b").symlink_to("a")
    assert "not there" in reach.obstacle(str(tree / "a"), NOBODY)


@pytest.mark.parametrize("folder", ["here", "there", "there/bin"])
def test_one_closed_folder_on_the_way_is_named(tree: Path, folder: str) -> None:
    path = str(tree / "here" / "python3")
    assert reach.obstacle(path, NOBODY, execute=True) == ""
    (tree / folder).chmod(0o700)
    said = reach.obstacle(path, NOBODY, execute=True)
    assert f"{tree / folder} (mode 0700, of root) cannot be entered by shop" in said
    assert reach.obstacle(path, reach.Account("root", 0), execute=True) == ""


def test_a_folder_of_a_group_opens_for_its_members(tree: Path) -> None:
    (tree / "there").chmod(0o750)
    os.chown(tree / "there", 0, 4243)
    path = str(tree / "here" / "python3")
    assert reach.obstacle(path, NOBODY) == ""
    assert "entered" in reach.obstacle(path, reach.Account("other", 4244))
    os.chown(tree / "there", 4242, 0)
    (tree / "there").chmod(0o077)
    assert "entered" in reach.obstacle(path, NOBODY), "the owner has the owner's bits alone"


def test_what_may_be_read_may_not_be_executed(tree: Path) -> None:
    python = tree / "there" / "bin" / "python3"
    python.chmod(0o644)
    assert reach.obstacle(str(python), NOBODY) == ""
    assert "executed" in reach.obstacle(str(python), NOBODY, execute=True)
    python.chmod(0o711)
    assert "executed" in reach.obstacle(str(python), NOBODY, execute=True), "Python reads itself"
    python.unlink()
    assert "is not there" in reach.obstacle(str(tree / "second"), NOBODY)


@pytest.mark.parametrize(
    ("mode", "who", "may"),
    [
        (0o620, reach.Account("app", 4711, frozenset({0})), True),
        (0o602, reach.Account("app", 4711, frozenset({0})), False),
        (0o602, NOBODY, True),
        (0o660, NOBODY, False),
        (0o000, reach.Account("root", 0), True),
    ],
)
def test_who_may_write(tree: Path, mode: int, who: reach.Account, may: bool) -> None:
    python = tree / "there" / "bin" / "python3"
    python.chmod(mode)
    said = reach.obstacle(str(tree / "second"), who, write=True)
    assert (said == "") is may
    assert may or said == f"{python} (mode {mode:04o}, of root) may not be written by {who.name}"


@only_root("mounts a file system (mount(2))")
def test_nobody_writes_to_a_read_only_file_system(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(disk)], check=True)
    try:
        said = reach.obstacle(str(disk), reach.Account("root", 0), write=True)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
    assert said == f"{disk} is on a read-only file system"


def test_an_access_list_counts_as_granting_access(tree: Path) -> None:
    folder = tree / "there"
    folder.chmod(0o700)
    everybody = 0xFFFFFFFF
    rights = [(1, 7, everybody), (2, 1, 4242), (4, 0, everybody), (16, 1, everybody)]
    rows = b"".join(struct.pack("<HHI", *one) for one in [*rights, (32, 0, everybody)])
    os.setxattr(folder, "system.posix_acl_access", struct.pack("<I", 2) + rows)
    assert reach.obstacle(str(tree / "second"), NOBODY) == ""


def test_a_user_that_is_not_there_yet_has_what_everybody_has() -> None:
    assert reach.account("no-such-user") == reach.Account("no-such-user")
    assert reach.account("root", "no-such-group").uid == 0


@pytest.mark.parametrize(
    ("path", "is_home"),
    [
        ("/usr/bin/python3", False),
        ("/homestead/python3", False),
        ("/rooted/python3", False),
        ("/home/me/python3", True),
        ("/root/.pyenv/versions/3.11/bin/python3", True),
        ("/run/user/1000/python3", True),
        ("/opt/../home/me/python3", True),
    ],
)
def test_homes(path: str, is_home: bool) -> None:
    assert reach.in_home(path) is is_home


def test_a_link_into_a_home_is_in_it_also_where_homes_are_a_link(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "home").symlink_to("there")
    monkeypatch.setattr(reach, "HOMES", (str(tree / "home"),))
    assert reach.in_home(str(tree / "here" / "python3"))
    assert not reach.in_home(str(tree / "here"))


def test_what_a_unit_has_one_of_its_own_of() -> None:
    assert reach.replaced("/tmp/python/bin/python3") == "/tmp"
    assert reach.replaced("/var/tmp/python3") == "/var/tmp"
    assert reach.replaced("/usr/bin/env") == ""


def test_why_there_is_no_interpreter(tmp_path: Path) -> None:
    link = tmp_path / "python3"
    link.symlink_to("/nowhere/python3")
    assert "is a link to /nowhere/python3, which is missing" in facts.no_interpreter(str(link))
    assert facts.no_interpreter(str(tmp_path / "none")) == ""
    link.unlink()
    link.write_text("")
    assert "does not run" in facts.no_interpreter(str(link))
