"""Where settings and templates are: cartwheel.toml and .cartwheel/, or the older places."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartwheel.build.source import Source, source_files
from cartwheel.errors import Exit, UsageError
from cartwheel.places import own
from cartwheel.render.overrides import eject, templates
from cartwheel.settings.loading import apps, environments, load, load_placed
from cartwheel.settings.named import named_files
from cartwheel.settings.project_files import NEW, OLD, files_of
from tests.kit.project import CHECKOUT

MINIMAL = '[app]\nname = "shop"\nsource = "."\n'
SECRET = '[secrets]\nKEY = { file = "key" }\n'
UNIT = "web.service.j2"


def write(project: Path, *names: str, text: str = MINIMAL) -> Path:
    for name in names:
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return project


@pytest.mark.parametrize("used", [NEW, OLD], ids=["new", "old"])
def test_settings_and_templates_of_each_place(tmp_path: Path, used: object) -> None:
    files = NEW if used == NEW else OLD
    write(tmp_path, files.deploy)
    write(tmp_path, f"{files.environments}/live.toml", text='hosts = ["web1"]\n' + SECRET)
    placed = load_placed(tmp_path, None, "live")
    assert placed.settings.slug == "shop.live"
    assert placed.place(("hosts",)) == f"{files.environments}/live.toml:1:1"
    assert placed.place(("app", "name")) == f"{files.deploy}:2:1"
    assert (apps(tmp_path), environments(tmp_path)) == (["shop"], ["live"])
    assert [one.path.name for one in named_files(load(tmp_path, None, None), tmp_path)] == ["key"]
    assert eject(tmp_path, UNIT) == tmp_path / files.templates / UNIT
    assert next(one for one in templates(tmp_path) if one.name == UNIT).override


def test_several_apps(tmp_path: Path) -> None:
    write(tmp_path, "cartwheel.toml", text='[web]\nlisten = 81\nserver_names = ["a"]\n')
    write(tmp_path, ".cartwheel/apps/shop.toml", text='[app]\nsource = "."\n')
    write(tmp_path, ".cartwheel/apps/till.toml", text='[app]\nsource = "."\n')
    assert load(tmp_path, "till", None).web.listen == 81
    with pytest.raises(UsageError, match="several apps"):
        load(tmp_path, None, None)


@pytest.mark.parametrize(
    ("new", "old"),
    [
        ("cartwheel.toml", "config/deploy.toml"),
        ("cartwheel.toml", "config/apps/till.toml"),
        ("cartwheel.toml", f"templates/{UNIT}"),
        (".cartwheel/apps/shop.toml", "config/deploy.toml"),
        (".cartwheel/environments/live.toml", "config/deploy.toml"),
        (f".cartwheel/templates/{UNIT}", "config/deploy.toml"),
    ],
)
def test_both_places_are_refused_with_both_paths(tmp_path: Path, new: str, old: str) -> None:
    write(tmp_path, new, old)
    with pytest.raises(UsageError, match=rf"both {new} and {old}") as caught:
        load(tmp_path, None, None)
    assert (caught.value.slug, caught.value.exit_code) == ("settings", Exit.USAGE)
    assert "Move config/deploy.toml to cartwheel.toml" in (caught.value.hint or "")


def test_folders_of_the_application_itself_are_its_own(tmp_path: Path) -> None:
    """`config/` and `templates/` are usual names in applications."""
    theirs = ("config/settings.toml", "config/environments/live.toml", "templates/index.html")
    write(tmp_path, "cartwheel.toml", "fabfile.py", ".cartwheel/settings.schema.json", *theirs)
    write(tmp_path, "app.py", f".cartwheel/templates/{UNIT}", ".cartwheel/environments/x.toml")
    assert files_of(tmp_path) == NEW
    assert environments(tmp_path) == ["x"]
    source = Source("plain", tmp_path)
    assert {name for name, _ in source_files(source.path)} == {"app.py", *theirs}


def test_what_was_left_in_the_older_place_is_found(tmp_path: Path) -> None:
    write(tmp_path, "cartwheel.toml", "config/environments/live.toml")
    with pytest.raises(UsageError, match="no environment named 'live'") as caught:
        load(tmp_path, None, "live")
    hint = "Move config/environments/live.toml to .cartwheel/environments/live.toml."
    assert caught.value.hint == hint


def test_a_clone_keeps_its_places() -> None:
    assert files_of(CHECKOUT) == OLD
    assert own("templates") == CHECKOUT / OLD.templates
