"""Cartwheel as an installed package: everything travels in the wheel, and in the sdist."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

import cartwheel
from cartwheel.project.files import FABFILE
from cartwheel_lab.lab import STATE_VARIABLE
from tests import release

SETTINGS = '[app]\nname = "shop"\nsource = "."\n\n[gunicorn]\nworkers = 1\n'
RENDER = """
from pathlib import Path
import cartwheel
from cartwheel.render.release import check_templates
from cartwheel.settings.loading import load
check_templates(load(Path("."), None, None), Path("."))
print(cartwheel.__file__)
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> release.Built:
    return release.build(release.ENGINE, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> release.Built:
    return release.build(release.LAB, tmp_path_factory.mktemp("dist"))


def test_all_files_travel(built: release.Built, lab: release.Built) -> None:
    assert release.content_problems(built) == []
    assert release.content_problems(lab) == []


def test_the_metadata_is_whole(built: release.Built) -> None:
    found = release.metadata(built.wheel)
    assert found["Version"] == [cartwheel.__version__]
    assert found["License-Expression"] == ["MIT"]
    assert "Typing :: Typed" in found["Classifier"]
    named = {url.partition(",")[0] for url in found["Project-URL"]}
    assert named == {"Changelog", "Documentation", "Issues", "Source"}


@pytest.fixture(scope="module")
def programs(built: release.Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment where only the wheel is installed."""
    return release.install(tmp_path_factory.mktemp("environment"), built.wheel)


@pytest.mark.nightly
def test_the_sdist_installs_too(built: release.Built, tmp_path: Path) -> None:
    release.install(tmp_path / "environment", built.sdist)


def test_it_works_without_a_clone(programs: Path, tmp_path: Path) -> None:
    """Tasks, templates, defaults and the book are inside it: it lists, renders for a sample host,
    and explains."""
    project = tmp_path / "project"
    (project / "config").mkdir(parents=True)
    (project / "fabfile.py").write_text(FABFILE)
    (project / "config" / "deploy.toml").write_text(SETTINGS)
    assert "\n  deploy " in release.output(programs / "fab", "--list", folder=project)
    used = release.output(programs / "python", "-c", RENDER, folder=project)
    assert used.startswith(str(programs.parent))
    entry = release.output(programs / "cartwheel", "explain", "CW602", folder=tmp_path)
    assert entry.startswith("CW602: The new release failed its health check\n")
    assert "健康检查" in release.output(programs / "cartwheel", "explain", "602", "--zh")


@pytest.mark.nightly
def test_the_lab_is_an_extra(programs: Path, lab: release.Built, tmp_path: Path) -> None:
    """Without it nothing asks for flask or gunicorn, and its tasks say what to install."""
    there = "from importlib.util import find_spec as f; print(*map(f, ['flask', 'gunicorn']))"
    assert release.output(programs / "python", "-c", there) == "None None\n"
    project = tmp_path / "project"
    (project / "shop").mkdir(parents=True)
    (project / "shop/app.py").write_text("def app(environ, start_response): ...\n")

    # The lab of this session's tests is not the one of this project.
    env = {name: value for name, value in os.environ.items() if name != STATE_VARIABLE}

    def cartwheel(*words: str) -> tuple[int, str]:
        argv = [str(programs / "cartwheel"), *words]
        done = subprocess.run(
            argv, cwd=project, env=env, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    started = ("config.init", "--name", "shop", "--source", "shop", "--entry", "app:app", "--yes")
    assert cartwheel("-H", "lab1", *started)[0] == 0
    assert cartwheel("config.check")[0] == 0
    code, said = cartwheel("plan", "-H", "127.0.0.1:1")
    assert (code, "connection refused" in said.lower()) == (1, True), said
    assert "\n  lab." not in cartwheel("--list")[1]
    code, said = cartwheel("-H", "lab1", "lab.up", "--count", "2")
    assert (code, "`lab.up` needs the lab, which is not installed [CW906]" in said) == (2, True)
    assert "pip install 'cartwheel[lab]'" in said
    release.pip(str(programs / "python"), "install", str(lab.wheel))
    release.pip(str(programs / "python"), "check")
    assert "no lab hosts; `cartwheel lab.up` makes one" in cartwheel("lab.list")[1]
