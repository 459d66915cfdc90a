"""Entries of one user in the access control lists of real files."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from cartwheel.host.system import acl

UID, OTHER = 54321, 54322


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "folder"
    path.mkdir()
    path.chmod(0o750)
    return path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_system_without_lists_says_so() -> None:
    with pytest.raises(OSError) as refused:
        acl.allow(Path("/proc/self"), UID, acl.PASS)
    assert refused.value.errno == errno.EOPNOTSUPP


def test_an_entry_leaves_the_mode_as_it_is(folder: Path) -> None:
    assert acl.rights(folder, UID) is None
    assert acl.allow(folder, UID, acl.PASS)
    assert (acl.rights(folder, UID), mode(folder)) == (acl.PASS, 0o750)
    assert not acl.allow(folder, UID, acl.PASS), "the second time nothing changes"


def test_without_it_the_folder_is_as_before(folder: Path) -> None:
    acl.allow(folder, UID, acl.PASS)
    assert acl.forget(folder, UID)
    assert not acl.forget(folder, UID)
    assert os.listxattr(folder) == []
    assert mode(folder) == 0o750


def test_other_entries_stay(folder: Path) -> None:
    acl.allow(folder, OTHER, acl.READ | acl.PASS)
    acl.allow(folder, UID, acl.PASS)
    assert acl.forget(folder, UID)
    assert acl.rights(folder, OTHER) == acl.READ | acl.PASS


def test_who_was_shut_out_by_the_mode_stays_so(folder: Path) -> None:
    """chmod sets the mask: what the group and others had by the list is not given back."""
    acl.allow(folder, OTHER, acl.READ | acl.PASS)
    folder.chmod(0o700)
    acl.allow(folder, UID, acl.PASS)
    assert acl.rights(folder, OTHER) == 0
    assert acl.rights(folder, UID) == acl.PASS
    acl.forget(folder, UID)
    acl.forget(folder, OTHER)
    assert mode(folder) == 0o700


def test_new_files_in_a_folder(folder: Path) -> None:
    acl.allow(folder, UID, acl.READ | acl.PASS, also_new=True)
    assert not acl.allow(folder, UID, acl.READ | acl.PASS, also_new=True)
    for name, wanted, given in (("run", 0o640, acl.READ), ("private", 0o600, 0)):
        (folder / name).touch(0o600)
        (folder / name).chmod(wanted)
        assert acl.rights(folder / name, UID) == given
        assert mode(folder / name) == wanted
    (folder / "deeper").mkdir(0o750)
    assert acl.rights(folder / "deeper", UID) == acl.READ | acl.PASS
    assert mode(folder / "deeper") == 0o750
    assert acl.forget(folder, UID)
    (folder / "later").touch()
    assert acl.rights(folder / "later", UID) is None
