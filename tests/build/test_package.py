"""Cartwheel as an installed package: everything travels in the wheel, and in the sdist."""

from __future__ import annotations

from pathlib import Path

import pytest

import cartwheel
from cartwheel.project.files import FABFILE
from tests import release

SETTINGS = '[app]\nname = "shop"\nsource = "."\n\n[gunicorn]\nworkers = 1\n'
RENDER = """
from pathlib import Path
import cartwheel
from cartwheel.render import check_templates
from cartwheel.settings import load
check_templates(load(Path("."), None, None), Path("."))
print(cartwheel.__file__)
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> release.Built:
    return release.build(tmp_path_factory.mktemp("dist"))


def test_all_files_travel(built: release.Built) -> None:
    assert release.content_problems(built) == []


def test_the_metadata_is_whole(built: release.Built) -> None:
    found = release.metadata(built.wheel)
    assert found["Version"] == [cartwheel.__version__]
    assert found["License-Expression"] == ["MIT"]
    assert "Typing :: Typed" in found["Classifier"]
    named = {url.partition(",")[0] for url in found["Project-URL"]}
    assert named == {"Changelog", "Documentation", "Issues", "Source"}


@pytest.mark.parametrize("form", ["wheel", "sdist"])
def test_it_works_without_a_clone(built: release.Built, form: str, tmp_path: Path) -> None:
    """Tasks, templates and defaults are inside it: it lists, and renders for a sample host."""
    programs = release.install(getattr(built, form), tmp_path / "environment")
    project = tmp_path / "project"
    (project / "config").mkdir(parents=True)
    (project / "fabfile.py").write_text(FABFILE)
    (project / "config" / "deploy.toml").write_text(SETTINGS)
    assert "\n  deploy " in release.output(programs / "fab", "--list", folder=project)
    used = release.output(programs / "python", "-c", RENDER, folder=project)
    assert used.startswith(str(tmp_path / "environment"))
