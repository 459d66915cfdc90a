"""What the lab reads from this machine, and how it refuses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cartwheel import places
from cartwheel.errors import LabError
from cartwheel_lab import base, machine
from tests.kit.tiers import only_root

DEB822 = """\
# the system's own
Types: deb deb-src
URIs: http://mirror.example/debian https://second.example/debian/
Suites: bookworm bookworm-updates
Components: main
 contrib
Signed-By: /usr/share/keyrings/some.gpg

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main

Types: deb-src
URIs: http://src.example/debian
Suites: bookworm
Components: main
"""
ONE_LINE = """\
# deb http://commented.example/debian bookworm main
deb [arch=amd64 signed-by=/a.gpg] http://one.example/debian trixie main contrib # why
deb-src http://src.example/debian trixie main
deb http://flat.example/ ./
"""


def apt(root: Path, **files: str) -> Path:
    (root / "sources.list.d").mkdir()
    for name, text in files.items():
        (root / name.replace("__", "/").replace("_", ".")).write_text(text)
    return root


def test_both_formats_of_apt_sources(tmp_path: Path) -> None:
    root = apt(tmp_path, sources_list=ONE_LINE)
    (root / "sources.list.d" / "debian.sources").write_text(DEB822)
    (root / "sources.list.d" / "ignored.bak").write_text(ONE_LINE)
    both = ("main", "contrib")
    assert list(machine.apt_sources(root)) == [
        ("http://one.example/debian", "trixie", both),
        ("http://mirror.example/debian", "bookworm", both),
        ("http://mirror.example/debian", "bookworm-updates", both),
        ("https://second.example/debian/", "bookworm", both),
        ("https://second.example/debian/", "bookworm-updates", both),
    ]


def test_no_sources_at_all(tmp_path: Path) -> None:
    assert list(machine.apt_sources(tmp_path)) == []


def test_the_mirror_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(machine.MIRROR_VARIABLE, "http://mirror.example/debian/")
    assert machine.mirror() == "http://mirror.example/debian"


def test_no_mirror_is_said_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(machine.MIRROR_VARIABLE, raising=False)
    monkeypatch.setattr(machine, "APT", tmp_path)
    with pytest.raises(LabError, match="no Debian mirror") as caught:
        machine.mirror()
    assert machine.MIRROR_VARIABLE in caught.value.hint


def test_other_systems_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    with pytest.raises(LabError, match="needs Linux; this is Darwin"):
        machine.require()


def test_missing_tools_are_named_by_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(machine, "_SYSTEM_TOOLS", str(tmp_path))
    with pytest.raises(LabError, match=r"mmdebstrap, .*systemd-container.*CW902") as caught:
        machine.require()
    assert "apt install mmdebstrap" in caught.value.hint.replace("mount ", "")
    assert "script/lab-packages" in caught.value.hint


def test_under_sudo_the_lab_is_the_persons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 0)
    monkeypatch.setenv("SUDO_UID", "65534")
    assert places.person().uid == 65534
    monkeypatch.delenv("SUDO_UID")
    assert places.person().uid == 0


@only_root("gives folders away (chown(2))")
def test_folders_made_under_sudo_are_the_persons(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SUDO_UID", "65534")
    machine.make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a").stat().st_uid == (tmp_path / "a" / "b").stat().st_uid == 65534
    assert tmp_path.stat().st_uid == os.getuid()


def test_a_tree_is_named_after_what_is_in_it() -> None:
    names = {base.digest(suite, python) for suite in base.SUITES for python in (True, False)}
    assert len(names) == 2 * len(base.SUITES)
    assert "python3" not in base.packages(python=False)


@pytest.mark.parametrize(("limit", "after"), [("128", 1024), ("1024", 1024), ("8192", 8192)])
def test_the_kernel_gives_watchers_for_many_hosts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: str, after: int
) -> None:
    knob = tmp_path / "max_user_instances"
    knob.write_text(f"{limit}\n")
    monkeypatch.setattr(machine, "WATCHERS", knob)
    assert machine.allow_watchers()
    assert int(knob.read_text()) == after


def test_a_kernel_that_gives_no_more_watchers_is_told_of(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(machine, "WATCHERS", tmp_path / "missing" / "knob")
    assert not machine.allow_watchers()
