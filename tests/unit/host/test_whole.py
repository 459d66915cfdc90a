"""A release is whole only where what it needs to run is there: each kind of damage is found."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cartwheel.host.layout import TEMPLATE_UNIT, Layout, content_of, first_of
from cartwheel.host.look.compare import compare
from cartwheel.host.state import releases, whole
from cartwheel.host.system import envfile, files, reach, systemd
from cartwheel.host.system.context import OpError
from cartwheel.host.system.systemd import Units
from cartwheel.host.wire.codec import to_json
from cartwheel.host.wire.compare import Compare
from cartwheel.host.wire.journal import Entry
from cartwheel.host.wire.manifest import Manifest, Placed, Python, Variable
from tests.unit.hostside import Session, web

NAME = "1.0.0123abcd"
VERSION = "python{}.{}".format(*sys.version_info[:2])
SITE = f"venv/lib/{VERSION}/site-packages"


def install(site: Path, name: str, texts: dict[str, str]) -> None:
    """As pip leaves it: every file with its hash and size in RECORD."""
    rows = []
    for path, text in texts.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        rows.append(f'"{path}",sha256={digest.decode()},{len(text)}')
    info = site / f"{name}.dist-info"
    info.mkdir()
    rows += [f"{name}.dist-info/RECORD,,", "gone/__pycache__/x.cpython-311.pyc,,"]
    (info / "RECORD").write_text("\n".join(rows) + "\n")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a complete release, with a virtual environment that runs."""
    folder = tmp_path_factory.mktemp("made") / NAME
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    install(folder / SITE, "gunicorn-23", {"gunicorn/__init__.py": "", "gunicorn/app.py": "run"})
    install(folder / SITE, "shop-1.0", {"shop.py": "app", "shop_data/odd, name.txt": "x"})
    (folder / "venv" / "bin" / "gunicorn").write_text("#!python\n")
    (folder / "venv" / "bin" / "gunicorn").chmod(0o755)
    for name in ("gunicorn.conf.py", "lock.txt", TEMPLATE_UNIT):
        (folder / name).write_text(f"# {name}\n")
    (folder / "env").write_text(envfile.dump({"DEBUG": "0", "SECRET_KEY": "s"}))
    (folder / "files").mkdir()
    for name in ("shop.ini", "token", "empty"):
        (folder / "files" / name).write_text("" if name == "empty" else name)
    return folder


@pytest.fixture
def at(tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    at = Layout("shop", tmp_path)
    at.releases.mkdir(parents=True)
    add(at, made, NAME)
    monkeypatch.setattr(systemd, "units", lambda _at: Units({}))
    return at


def add(at: Layout, made: Path, name: str, **more: Any) -> None:
    shutil.copytree(made, at.release(name), symlinks=True)
    releases.point_slot(at, first_of(name))
    manifest = Manifest(
        release=name,
        seq=releases.next_sequence(at),
        env={"DEBUG": Variable(), "SECRET_KEY": Variable()},
        python=Python(stdlib=str(Path(os.__file__).parent)),
        placed={
            "shop.ini": Placed(secret=False),
            "token": Placed(),
            "empty": Placed(secret=False),
        },
        **more,
    )
    manifest = whole.with_contents(at, manifest)
    files.write_json(releases.manifest_path(at, name), to_json(manifest))


def manifest(at: Layout) -> Manifest:
    return releases.manifest(at, NAME)


def test_what_was_made_is_whole_also_file_by_file(at: Layout) -> None:
    assert whole.problem(at, manifest(at)) == ""
    assert whole.damage(at, manifest(at)) == []
    assert set(manifest(at).files) == {
        "gunicorn.conf.py",
        "lock.txt",
        TEMPLATE_UNIT,
    }
    assert "SECRET" not in json.dumps(manifest(at).files)


def _unlink(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def _relink(name: str, target: str) -> Callable[[Path], object]:
    def relink(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to(target)

    return relink


def _empty(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text("")


def _remove(name: str) -> Callable[[Path], object]:
    return lambda folder: shutil.rmtree(folder / name)


def _dangling(folder: Path) -> None:
    _retarget(folder, "/usr/bin/python3.4")


def _retarget(folder: Path, target: str) -> None:
    for name in ("python", "python3", VERSION):
        link = folder / "venv" / "bin" / name
        link.unlink()
        link.symlink_to(target)


def _another_version(folder: Path) -> None:
    other = folder / "opt" / "python3.4"
    other.parent.mkdir()
    shutil.copy("/bin/true", other)
    _retarget(folder, str(other))


def _without_its_library(folder: Path) -> None:
    other = folder / "opt" / VERSION
    other.parent.mkdir()
    shutil.copy("/bin/true", other)
    _retarget(folder, str(other))
    path = folder / "release.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "python": {"stdlib": "/none"}}))


def _no_execution(folder: Path) -> None:
    (folder / "venv" / "bin" / "gunicorn").chmod(0o644)


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no environment": (_remove("venv"), "venv is missing"),
    "an environment without its mark": (_unlink("venv/pyvenv.cfg"), "venv/pyvenv.cfg is missing"),
    "no packages": (_remove(SITE), "venv/lib is missing"),
    "no gunicorn": (_unlink("venv/bin/gunicorn"), "venv/bin/gunicorn is missing"),
    "gunicorn that may not run": (_no_execution, "may not be executed"),
    "no package of gunicorn": (_remove(SITE + "/gunicorn"), "gunicorn is missing"),
    "no module of the app": (_unlink(SITE + "/shop.py"), "shop.py is missing"),
    "half a package": (_unlink(SITE + "/gunicorn/app.py"), "gunicorn/app.py is missing"),
    "half a package with data": (
        _unlink(SITE + "/shop_data/odd, name.txt"),
        "shop_data/odd, name.txt is missing",
    ),
    "no record": (_unlink(SITE + "/shop-1.0.dist-info/RECORD"), "shop-1.0.dist-info/RECORD"),
    "an interpreter that is gone": (_dangling, "its interpreter /usr/bin/python3.4 is not there"),
    "an interpreter of another version": (_another_version, "is not the " + VERSION),
    "an interpreter without its library": (_without_its_library, "the standard library of its"),
    "no configuration": (_unlink("gunicorn.conf.py"), "gunicorn.conf.py is missing"),
    "an empty configuration": (_empty("gunicorn.conf.py"), "gunicorn.conf.py is empty"),
    "no file of the app's": (_unlink("files/token"), "files/token is missing"),
    "no files of the app's": (_remove("files"), "files/empty is missing"),
    "no unit": (_unlink(TEMPLATE_UNIT), "web@.service is missing"),
    "no lock": (_unlink("lock.txt"), "lock.txt is missing"),
    "no variables": (_unlink("env"), "env is missing"),
    "emptied variables": (_empty("env"), "env lacks DEBUG, SECRET_KEY"),
    "torn variables": (lambda folder: (folder / "env").write_text('DEBUG="0'), "env is damaged"),
    "no socket": (_unlink("http.sock"), "http.sock is missing"),
    "another's socket": (_relink("http.sock", "../9/http.sock"), "http.sock points elsewhere"),
    "no slot": (
        _relink("http.sock", f"/run/cartwheel/shop/{NAME}/x/http.sock"),
        "http.sock points elsewhere",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_every_kind_of_damage_is_found_at_a_glance(at: Layout, kind: str) -> None:
    break_, says = BROKEN[kind]
    break_(at.release(NAME))
    assert says in whole.problem(at, manifest(at))
    assert says in releases.spoilt(at)[NAME]
    assert any(says in text for text in whole.damage(at, manifest(at)))
    with pytest.raises(OpError, match="is damaged") as caught:
        releases.refuse_spoilt(at, NAME)
    assert caught.value.slug == "not-whole"


def test_other_bytes_are_found_file_by_file_alone(at: Layout) -> None:
    (at.release(NAME) / SITE / "gunicorn" / "app.py").write_text("RUN")
    (at.release(NAME) / "gunicorn.conf.py").write_text("# by hand\n")
    assert whole.problem(at, manifest(at)) == ""
    assert whole.damage(at, manifest(at)) == [
        "gunicorn.conf.py was changed after it was written",
        "gunicorn/app.py was changed after it was installed",
    ]
    # Once somebody has looked, everybody knows.
    whole.mark(at, NAME, "gunicorn/app.py was changed after it was installed")
    assert "gunicorn/app.py" in whole.problem(at, manifest(at))


def test_what_was_added_by_hand_does_no_harm(at: Layout) -> None:
    (at.release(NAME) / SITE / "debugger.py").write_text("")
    with (at.release(NAME) / "env").open("a") as env:
        env.write('EXTRA="1"\n')
    assert whole.problem(at, manifest(at)) == ""


def test_a_release_of_an_older_version_is_asked_for_less(at: Layout) -> None:
    older = Manifest(NAME, 1)
    (at.release(NAME) / TEMPLATE_UNIT).unlink()
    for slot in ("web", "web-b"):
        at.unit_source(web(NAME, slot)).write_text("[Service]\n")
    releases.point_slot(at, web(NAME, "web-b"))
    shutil.rmtree(at.placed(NAME))
    assert whole.problem(at, older) == ""
    (at.release(NAME) / SITE / "shop.py").unlink()
    assert whole.problem(at, older) == ""
    shutil.rmtree(at.release(NAME) / SITE / "gunicorn")
    assert "gunicorn is missing" in whole.problem(at, older)


def test_a_plan_reads_what_a_person_wrote_and_no_secret(at: Layout) -> None:
    own = {"gunicorn.conf.py", "lock.txt", TEMPLATE_UNIT}
    ctx, request = Session(at).ctx(), Compare((), (NAME,))
    assert set(compare(ctx, request).releases[NAME]) == {*own, "files/shop.ini", "files/empty"}
    releases.manifest_path(at, NAME).write_text("")  # nobody knows which of them is a secret
    assert set(compare(ctx, request).releases[NAME]) == own


@pytest.mark.parametrize("slot", ["1", "web"])
def test_a_unit_that_hides_the_interpreter(
    at: Layout, monkeypatch: pytest.MonkeyPatch, slot: str
) -> None:
    record = {"user": "root", "group": "root"}
    monkeypatch.setattr(files, "read_json", _answering(files.read_json, at.record, record))
    monkeypatch.setattr(reach, "HOMES", (str(at.base),))
    assert whole.problem(at, manifest(at)) == ""
    at.unit_source(web(NAME, "1")).rename(at.unit_source(web(NAME, slot)))
    made = replace(manifest(at), files={"gunicorn.conf.py": ""})
    for line, hides in (
        ("ProtectHome=read-only", False),
        ("ProtectHome=no", False),
        ("ProtectHome=tmpfs", True),
        ("ProtectHome=yes", True),
    ):
        at.unit_source(web(NAME, slot)).write_text(f"[Service]\n{line}\n")
        assert ("which its unit hides" in whole.problem(at, made)) is hides


def test_a_release_that_the_app_may_not_read(at: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    record = {"user": "nobody", "group": "no-such-group"}
    monkeypatch.setattr(files, "read_json", _answering(files.read_json, at.record, record))
    at.releases.chmod(0o700)
    assert "cannot be entered by nobody" in whole.problem(at, manifest(at))


def _answering(real: Callable[[Path], Any], path: Path, value: Any) -> Callable[[Path], Any]:
    return lambda asked: value if asked == path else real(asked)


def test_names_that_no_deploy_uses_any_more(at: Layout, made: Path) -> None:
    releases.point(at, at.current, NAME)
    assert releases.spoilt(at) == {}
    releases.point(at, at.current, "2.0.99999999")
    assert releases.spoilt(at) == {"2.0.99999999": "release.json is missing"}
    releases.manifest_path(at, NAME).write_text("")
    assert releases.spoilt(at)[NAME] == "release.json is damaged"
    # One that is being made is none of them.
    (at.releases / "3.0.99999999").mkdir()
    assert set(releases.spoilt(at)) == {NAME, "2.0.99999999"}


def test_a_rollback_passes_over_what_is_not_whole_and_what_is_the_same(
    at: Layout, made: Path
) -> None:
    for name in ("2.0.0123abcd", "3.0.0123abcd", "3.0.0123abcd_2"):
        add(at, made, name, content=content_of(name))
    entries = [
        Entry(kind="deploy", result="confirmed", release=one.release)
        for one in releases.complete(at)
    ]
    serves = "3.0.0123abcd_2"
    assert releases.rollback_target(at, serves, entries) == "2.0.0123abcd"
    shutil.rmtree(at.release("2.0.0123abcd") / "venv")
    assert releases.rollback_target(at, serves, entries) == NAME
    shutil.rmtree(at.release(NAME) / "venv")
    assert releases.rollback_target(at, serves, entries) is None


def test_prune_takes_what_is_of_no_use_first(at: Layout, made: Path) -> None:
    for name in ("2.0.0123abcd", "3.0.0123abcd", "3.0.0123abcd_2"):
        add(at, made, name, content=content_of(name))
    releases.point(at, at.current, "3.0.0123abcd_2")
    shutil.rmtree(at.release("2.0.0123abcd") / "venv")
    assert releases.prune(at, 2) == ["2.0.0123abcd", "3.0.0123abcd"]
    assert releases.names(at) == [NAME, "3.0.0123abcd_2"]


def test_the_counter_is_no_part_of_the_content() -> None:
    assert content_of("1.0_1.0123abcd_12") == "1.0_1.0123abcd"
    for plain in ("1.0.0123abcd", "1.0_2", "?", ""):
        assert content_of(plain) == plain
