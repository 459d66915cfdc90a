"""What a release takes over from an earlier one with the same lock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cartwheel.host.layout import Layout
from cartwheel.host.release import borrow
from cartwheel.host.state import whole
from cartwheel.host.wire.installing import Installing
from cartwheel.host.wire.making import Install
from cartwheel.host.wire.manifest import Python

WANTED = Install(
    release="1.1",
    python=Python(sys.executable, "3.11.7"),
    lock="",
    lock_sha256="a" * 64,
    lock_beside="",
    wheels=(),
    installing=Installing("pip", "25.0", "0.9", "nobody"),
    timeout_seconds=5,
)
SITE = "venv/lib/python3.11/site-packages"
RECORD = """shop/__init__.py,sha256=x,0
shop/__pycache__/__init__.cpython-311.pyc,,
"shop/odd, name.txt",sha256=x,0
../../../bin/shop,sha256=x,1
my_shop-1.0.dist-info/RECORD,,
"""


@pytest.fixture(autouse=True)
def _at_a_glance(monkeypatch: pytest.MonkeyPatch) -> None:
    """These are less than a whole release (host/test_whole.py has those)."""
    monkeypatch.setattr(whole, "problem", lambda _at, _manifest: "")


def earlier(at: Layout, release: str, closed: bool = True, **changes: object) -> Path:
    """A complete release: the application `my.shop`, one dependency, one script of each."""
    folder = at.release(release)
    files = {
        "shop/__init__.py": "",
        "shop/__pycache__/__init__.cpython-311.pyc": "",
        "shop/__pycache__/__init__.cpython-311.opt-1.pyc": "",
        "shop/odd, name.txt": "",
        "my_shop-1.0.dist-info/RECORD": RECORD,
        "dep/__init__.py": "whole",
        "dep/__pycache__/__init__.cpython-311.pyc": "bytes",
        "dep-2.0.dist-info/RECORD": "dep/__init__.py,,\n",
    }
    for path, text in files.items():
        place = folder / SITE / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    (folder / "venv/bin").mkdir()
    for script in ("shop", "dep"):
        place = folder / "venv/bin" / script
        place.write_text(f"#!{folder}/venv/bin/python\nprint('{script}')\n")
        place.chmod(0o755)
    (folder / "venv/lib64").symlink_to("lib")
    manifest = {
        "release": release,
        "seq": len(release),
        "name": "my.shop",
        "lock_sha256": WANTED.lock_sha256,
        **({"closed": True} if closed else {}),
        "python": {"path": sys.executable, "version": "3.11.7"},
        **changes,
    }
    (folder / "release.json").write_text(json.dumps(manifest))
    return folder


def fresh(at: Layout, name: str) -> Path:
    folder = at.release(name) / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder


def owner() -> tuple[int, int]:
    return os.getuid(), os.getgid()


def test_what_the_application_s_wheel_carried_is_in_its_record(tmp_path: Path) -> None:
    at = Layout("shop", tmp_path)
    earlier(at, "1.0")
    assert borrow.carried(at, "1.0") == ["shop/__init__.py", "shop/odd, name.txt"]
    assert borrow.carried(at, "2.0") == []


def test_dependencies_come_along_and_the_application_does_not(tmp_path: Path) -> None:
    at = Layout("shop", tmp_path)
    donor = earlier(at, "1.0")
    venv = fresh(at, "1.1")
    assert borrow.from_earlier(at, WANTED, owner()) == "1.0"
    site = at.release("1.1") / SITE
    names = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    assert names == {
        "dep/__init__.py",
        "dep/__pycache__/__init__.cpython-311.pyc",
        "dep-2.0.dist-info/RECORD",
    }
    # Not even an empty folder, which pip would take for a broken package.
    assert not (site / "my_shop-1.0.dist-info").exists()
    assert (site / "dep/__init__.py").samefile(donor / SITE / "dep/__init__.py")
    assert not (venv / "bin/shop").exists()
    assert (venv / "bin/dep").read_text() == f"#!{venv}/bin/python\nprint('dep')\n"
    assert os.access(venv / "bin/dep", os.X_OK)


def test_what_was_made_beside_the_application_does_not_come_along_either(tmp_path: Path) -> None:
    at = Layout("shop", tmp_path)
    earlier(at, "1.0", beside={"Dep": "a" * 64})
    fresh(at, "1.1")
    assert borrow.from_earlier(at, WANTED, owner()) == "1.0"
    assert not (at.release("1.1") / SITE / "dep").exists()


def test_another_lock_or_interpreter_is_not_taken(tmp_path: Path) -> None:
    at = Layout("shop", tmp_path)
    earlier(at, "1.0", lock_sha256="b" * 64)
    earlier(at, "1.01", python={"path": "/usr/bin/python3", "version": "3.9.2"})
    fresh(at, "1.1")
    assert borrow.from_earlier(at, WANTED, owner()) is None


def test_a_release_that_is_not_whole_is_not_taken(tmp_path: Path) -> None:
    at = Layout("shop", tmp_path)
    (earlier(at, "1.0") / "release.json").unlink()
    fresh(at, "1.1")
    assert borrow.from_earlier(at, WANTED, owner()) is None


def test_one_that_has_lost_a_file_is_not_taken(tmp_path: Path) -> None:
    at = Layout("shop", tmp_path)
    earlier(at, "1.0")
    (earlier(at, "1.01") / SITE / "dep/__init__.py").unlink()
    fresh(at, "1.1")
    assert borrow.from_earlier(at, WANTED, owner()) == "1.0"


def test_one_that_lacks_something_at_a_glance_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole, "problem", lambda _at, _manifest: "venv/pyvenv.cfg is missing")
    at = Layout("shop", tmp_path)
    earlier(at, "1.0")
    fresh(at, "1.1")
    assert borrow.from_earlier(at, WANTED, owner()) is None


def test_the_newest_is_taken(tmp_path: Path) -> None:
    at = Layout("shop", tmp_path)
    earlier(at, "1.0", seq=7)
    earlier(at, "1.01", seq=3)
    fresh(at, "1.1")
    assert borrow.from_earlier(at, WANTED, owner()) == "1.0"


def test_where_the_application_cannot_be_told_apart_nothing_is_taken(tmp_path: Path) -> None:
    at = Layout("shop", tmp_path)
    earlier(at, "1.0", name="another")
    fresh(at, "1.1")
    assert borrow.from_earlier(at, WANTED, owner()) is None


def test_what_was_taken_survives_the_one_it_came_from(tmp_path: Path) -> None:
    at = Layout("shop", tmp_path)
    donor = earlier(at, "1.0")
    fresh(at, "1.1")
    borrow.from_earlier(at, WANTED, owner())
    subprocess.run(["rm", "-rf", str(donor)], check=True)
    assert (at.release("1.1") / SITE / "dep/__init__.py").read_text() == "whole"


def test_of_an_earlier_version_come_copies(tmp_path: Path) -> None:
    """A mode is that of all links: what still serves must not lose what it reads."""
    at = Layout("shop", tmp_path)
    earlier(at, "1.0", closed=False)
    fresh(at, "1.1")
    assert borrow.from_earlier(at, WANTED, owner()) == "1.0"
    mine = at.release("1.1") / SITE / "dep/__init__.py"
    assert mine.read_text() == "whole"
    assert mine.stat().st_nlink == 1
