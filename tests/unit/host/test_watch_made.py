"""What a monitor is told of the live release: its parts by name, and never a value."""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
import time
from pathlib import Path

import pytest

from cartwheel.host.layout import Layout
from cartwheel.host.state import releases
from cartwheel.host.watch import apps, look, made, timers, units
from cartwheel.host.wire import look as wire
from cartwheel.host.wire.codec import from_message, to_json
from cartwheel.host.wire.instance import Instance
from cartwheel.host.wire.manifest import Manifest, Placed, Python, Variable
from cartwheel.host.wire.process import Process
from cartwheel.host.wire.timer import Timer

RELEASE = "1.4.0.7f3a1c02"
DIGEST = "0badc0de" * 8
MANIFEST = Manifest(
    release=RELEASE,
    version="1.4.0",
    commit="abc1234-dirty",
    created="2026-11-30 14:00:00",
    who="ann@desk",
    message="new prices",
    python=Python("/usr/bin/python3.11", "3.11.2", "/usr/lib/python3.11"),
    env={"SECRET_KEY": Variable("prompt", DIGEST)},
    placed={"app.ini": Placed(DIGEST, secret=True)},
    processes={"worker": Process("beside", "celery", ready="curl -u ann:hush localhost")},
    timers={"report": Timer("0 2 * * *", "Europe/Berlin", program="python")},
    packages=(
        *("flask", "Flask_WTF-1.2.1.dist-info", "zope.event-5.0.dist-info", "__pycache__"),
        *("shop-1.4.0+g1.dist-info", "distutils-precedence.pth", "old.egg-info"),
    ),
)


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its folder, with one live release."""
    folder = tmp_path / "srv" / "releases" / RELEASE
    folder.mkdir(parents=True)
    (folder / "release.json").write_text(json.dumps(to_json(MANIFEST)))
    root = folder.parents[1]
    (root / "current").symlink_to(f"releases/{RELEASE}")
    monkeypatch.setattr(apps, "root_of", lambda _app: str(root))
    monkeypatch.setattr(apps, "RUN", str(tmp_path))
    monkeypatch.setattr(apps, "UNITS", str(tmp_path))
    return root


def told(root: Path) -> wire.ReleaseLook:
    live = apps.App("shop").live()
    return from_message(wire.ReleaseLook, json.loads(json.dumps(live)))


def test_a_release_by_its_own_records(app: Path) -> None:
    releases.note_settings(layout_of(app), RELEASE, {"web.listen": "d1"})
    assert told(app) == wire.ReleaseLook(
        release=RELEASE,
        version="1.4.0",
        commit="abc1234-dirty",
        created="2026-11-30 14:00:00",
        who="ann@desk",
        message="new prices",
        python="3.11.2",
        packages={"flask-wtf": "1.2.1", "shop": "1.4.0+g1", "zope-event": "5.0"},
        settings={"web.listen": "d1"},
        variables={"SECRET_KEY": DIGEST},
        files={"app.ini": DIGEST},
        processes={"worker": "celery beside"},
        timers={"report": "0 2 * * * Europe/Berlin"},
    )
    assert "hush" not in json.dumps(apps.App("shop").live()), "a command may hold a secret"


def test_another_command_differs_and_is_not_told(app: Path) -> None:
    def found(release: str, unit: str, command: str) -> wire.ReleaseLook:
        Path(apps.UNITS, unit).write_text(f"[Service]\nType=exec\nExecStart={command} {release}\n")
        return told(app)

    names = [
        Layout("shop").unit(Instance("worker", RELEASE, "1", 1)).replace("@1.1", "@"),
        Layout("shop").job_unit("report", RELEASE).name,
    ]
    for unit in names:
        texts = [found(RELEASE, unit, command) for command in ("a", "b", "a")]
        known = [(one.processes["worker"], one.timers["report"]) for one in texts]
        assert known[0] == known[2] != known[1]
    assert re.fullmatch(r"celery beside #[0-9a-f]{8}", known[0][0])
    assert re.fullmatch(r"0 2 \* \* \* Europe/Berlin #[0-9a-f]{8}", known[0][1])


def layout_of(root: Path) -> Layout:
    return Layout(root.name, root.parent)


def test_everybody_who_gets_that_far_may_read_the_digests_of_settings(app: Path) -> None:
    at = layout_of(app)
    path = app / "releases" / RELEASE / "settings.json"
    path.write_text("{}")
    path.chmod(0o640)  # as by an earlier version
    releases.note_settings(at, RELEASE, {})
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_release_of_an_earlier_version_has_its_packages_in_its_lock(app: Path) -> None:
    folder = app / "releases" / RELEASE
    (folder / "release.json").write_text(json.dumps({"release": RELEASE}))
    lock = "Flask_WTF==1.2.1 \\\n    --hash=sha256:00\n    # from x\nredis==5.0 ; os_name == 'x'\n"
    (folder / "lock.txt").write_text(lock)
    assert told(app).packages == {"flask-wtf": "1.2.1", "redis": "5.0"}


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{", '{"web": 1}', '{"packages": 1, "env": []}', '{"packages": [null, {}]}'),
        '{"release": "a\\u0000", "processes": {"\\u0000": {"program": 1}, "../x": {}, "a": 1}}',
    ],
)
def test_of_damaged_records_the_rest_is_told(app: Path, text: str) -> None:
    (app / "releases" / RELEASE / "settings.json").write_text(text)
    assert "web" not in told(app).settings
    (app / "releases" / RELEASE / "release.json").write_text(text)
    live = apps.App("shop").live()
    assert live is None or live["packages"] == {}


def test_settings_that_are_noted_after_the_journal_are_told_later(app: Path) -> None:
    one = apps.App("shop")
    now = time.time()
    assert not one.is_noted_since(0.0)
    releases.note_settings(layout_of(app), RELEASE, {"web.listen": "d1"})
    assert one.is_noted_since(now - 20)
    assert not one.is_noted_since(now + 20)
    later = now + 3600  # the clock was set back: else it would be told with each look
    os.utime(app / "releases" / RELEASE / "settings.json", (later, later))
    assert not one.is_noted_since(now - 20)


def test_since_when_a_run_has_the_lock(app: Path) -> None:
    path = Path(apps.RUN, ".lock.shop")
    one = apps.App("shop")
    assert one.locked_since(units.locks()) is None
    with path.open("w") as file:
        assert one.locked_since(units.locks()) is None
        fcntl.flock(file, fcntl.LOCK_EX)
        since = one.locked_since(units.locks())
    assert since == round(path.stat().st_mtime, 1)


def test_what_releases_are_made_of_is_left_out_first() -> None:
    live = {"packages": {f"package-{number}": "1" * 200 for number in range(400)}}
    every = [
        {"app": f"a{number}", "entries": [{"seq": 1}] * 9, "live": dict(live)}
        for number in range(5)
    ]
    answer: timers.Table = {"apps": every, "unread": {}}
    text = look.fitting(answer)
    assert len(text) <= look.MOST_BYTES + 1
    found = from_message(wire.HostLook, json.loads(text))
    assert [one.live is not None for one in found.apps] == [True, True, False, False, False]
    assert all(len(one.entries) == 9 for one in found.apps)
    assert "releases" in found.unread["size"]


def test_one_release_is_not_the_whole_answer(tmp_path: Path) -> None:
    names = [f"p{number}-{'1' * 500}.dist-info" for number in range(5000)]
    found = made.look(str(tmp_path), {"packages": names, "message": "x" * 9999}, "")
    assert len(found["message"]) == 300 if isinstance(found["message"], str) else False
    packages = found["packages"]
    assert isinstance(packages, dict) and len(packages) == 2000
    assert max(map(len, packages.values())) == 300


def test_the_same_command_of_two_releases_is_the_same(tmp_path: Path) -> None:
    def found(release: str) -> str:
        unit = tmp_path / f"{release}.service"
        unit.write_text(f"ExecStart=/srv/shop/releases/{release}/venv/bin/x\n")
        return made._command(str(unit), release)

    assert found("1.0.0.aaaaaaaa") == found("1.1.0.bbbbbbbb") != ""
