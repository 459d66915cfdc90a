"""Cartwheel as an installed package: one wheel, in which everything travels."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import uv

from cartwheel.project.files import FABFILE

REPO = Path(__file__).resolve().parents[2]
SETTINGS = '[app]\nname = "shop"\nsource = "."\n\n[gunicorn]\nworkers = 1\n'


def test_the_wheel_works_without_a_clone(tmp_path: Path) -> None:
    """Words, templates and defaults are inside it: it lists, and renders for a sample host."""
    wheels, site, project = tmp_path / "wheels", tmp_path / "site", tmp_path / "project"
    subprocess.run(
        [
            uv.find_uv_bin(),
            "build",
            "--quiet",
            "--wheel",
            "--no-build-isolation",
            "--python",
            sys.executable,
            "--out-dir",
            str(wheels),
            str(REPO),
        ],
        check=True,
    )
    [wheel] = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"cartwheel", "cartwheel_lab"}
    (project / "config").mkdir(parents=True)
    (project / "fabfile.py").write_text(FABFILE)
    (project / "config" / "deploy.toml").write_text(SETTINGS)
    env = {**os.environ, "PYTHONPATH": str(site)}
    fab = Path(sys.executable).with_name("fab")
    listed = subprocess.run(
        [str(fab), "--list"], cwd=project, env=env, capture_output=True, text=True, check=True
    )
    assert "deploy" in listed.stdout
    [scripts] = site.glob("*.dist-info/entry_points.txt")
    assert "cartwheel = cartwheel.fab.words:main" in scripts.read_text()
    without = subprocess.run(
        [sys.executable, "-c", "from cartwheel.fab.words import main; main()", "--list"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "config.init" in without.stdout
    code = (
        "from pathlib import Path; from cartwheel.settings import load;"
        "from cartwheel.render import check_templates; import cartwheel;"
        "check_templates(load(Path('.'), None, None), Path('.')); print(cartwheel.__file__)"
    )
    rendered = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert rendered.stdout.startswith(str(site))
