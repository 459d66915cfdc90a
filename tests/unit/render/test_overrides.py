"""Templates of the project's own: taken out, noticed when the original changes, accepted."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from cartwheel.errors import UsageError
from cartwheel.places import own
from cartwheel.render import overrides
from cartwheel.render.release import SAMPLES, render_release
from cartwheel.settings.toml_tables import App, Settings
from tests.kit.project import CHECKOUT, fabfile, new_project

SETTINGS = Settings(app=App(name="shop", source="."))
SITE = "nginx-site.conf.j2"
NAMES = sorted(path.name for path in own("templates").glob("*.j2"))


@pytest.fixture
def ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of Cartwheel's own templates, which a test may change: an upgrade."""
    folder = tmp_path / "cartwheel"
    shutil.copytree(own("templates"), folder)
    monkeypatch.setattr(overrides, "own", lambda _name: folder)
    return folder


def upgrade(ours: Path, name: str = SITE) -> None:
    (ours / name).write_text((ours / name).read_text() + "# fixed\n")


def test_what_was_taken_out_renders_the_same(tmp_path: Path) -> None:
    """The mark in its first line is no part of the file."""
    before = render_release(SETTINGS, SAMPLES[0], "1.0.r1", tmp_path / "other")
    for name in NAMES:
        overrides.eject(tmp_path, name)
    assert render_release(SETTINGS, SAMPLES[0], "1.0.r1", tmp_path) == before


def test_an_upgrade_is_noticed_until_it_is_accepted(tmp_path: Path, ours: Path) -> None:
    overrides.eject(tmp_path, SITE)
    assert overrides.stale_notes(tmp_path) == ()
    upgrade(ours)
    [note] = overrides.stale_notes(tmp_path)
    assert note.startswith(
        f".cartwheel/templates/{SITE} replaces a template that has changed since"
    )
    assert overrides.diff(tmp_path, SITE).endswith("-# fixed\n")
    overrides.keep(tmp_path, SITE)
    assert overrides.stale_notes(tmp_path) == ()
    upgrade(ours)
    assert len(overrides.stale_notes(tmp_path)) == 1


def test_what_was_written_by_hand_claims_nothing(tmp_path: Path, ours: Path) -> None:
    """Nobody knows what it was made from; accepting it says so."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / SITE).write_text("mine\n")
    upgrade(ours)
    assert overrides.stale_notes(tmp_path) == ()
    overrides.keep(tmp_path, SITE)
    upgrade(ours)
    assert len(overrides.stale_notes(tmp_path)) == 1
    assert (tmp_path / "templates" / SITE).read_text().endswith("#}\nmine\n")


@pytest.mark.parametrize(
    ("word", "name", "says"),
    [
        ("eject", "nginx.conf.j2", "there is no template"),
        ("diff", SITE, f"there is no .cartwheel/templates/{SITE}"),
        ("keep", SITE, f"there is no .cartwheel/templates/{SITE}"),
    ],
)
def test_mistakes(tmp_path: Path, word: str, name: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        getattr(overrides, word)(tmp_path, name)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    path = overrides.eject(tmp_path, SITE)
    path.write_text("changed")
    with pytest.raises(UsageError, match="already exists"):
        overrides.eject(tmp_path, SITE)
    assert path.read_text() == "changed"


def test_cartwheels_own_clone_replaces_nothing() -> None:
    assert [one.name for one in overrides.templates(CHECKOUT) if one.override] == []


def test_the_words(tmp_path: Path) -> None:
    project = new_project(tmp_path / "project")
    project.write("fabfile.py", fabfile(CHECKOUT))
    project.fab("templates.eject", SITE)
    rows = [line.split() for line in project.fab("templates.list").out.splitlines()[1:]]
    assert [row for row in rows if len(row) > 1] == [[SITE, "replaced"]]
    assert project.fab("templates.diff", SITE).out == "no difference\n"
    path = project.folder / "templates" / SITE
    text = path.read_text()
    path.write_text(re.sub("as of [0-9a-f]+", "as of 0", text, count=1))
    said = project.fab("config.check", code=2).err
    assert f"templates/{SITE} replaces a template that has changed since" in said
    project.fab("templates.keep", SITE)
    assert path.read_text() == text
    project.fab("config.check")
    path.write_text(f"{text}{{{{ nobody }}}}\n")
    assert f"templates/{SITE}:" in project.fab("config.check", code=2).err
