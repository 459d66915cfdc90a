"""Packages of a test's own, whose back end needs nothing from any index."""

from __future__ import annotations

import textwrap
from pathlib import Path


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path


def package(folder: Path, name: str, more: str = "", *, requires: str = "", tool: str = "") -> Path:
    """A package of ours, whose back end needs nothing from any index."""
    write(folder / name / "__init__.py", f"OURS = {name!r}\n")
    write(
        folder / "pyproject.toml",
        f'[build-system]\nrequires = []\nbuild-backend = "back"\nbackend-path = ["."]\n'
        f'[project]\nname = "{name}"\nversion = "1.0"\n'
        f"dependencies = [{requires}]\n{more}\n{textwrap.dedent(tool)}",
    )
    write(folder / "back.py", BACK_END)
    return folder


# The smallest back end (PEP 517): one package, requirements as they stand, `{root:uri}` as Hatch
# and `${PROJECT_ROOT}` as PDM expand them.
BACK_END = """
import os, pathlib, tomllib, zipfile

def build_wheel(out, config_settings=None, metadata_directory=None):
    here = pathlib.Path.cwd()
    project = tomllib.loads(pathlib.Path("pyproject.toml").read_text())["project"]
    name, version = project["name"], project["version"]
    tag = project.get("description", "py3-none-any")
    info = f"{name}-{version}.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    for extra, wanted in project.get("optional-dependencies", {}).items():
        lines.append(f"Provides-Extra: {extra}")
        lines += [f"Requires-Dist: {one} ; extra == '{extra}'" for one in wanted]
    for one in project.get("dependencies", []):
        one = one.replace("{root:uri}", here.as_uri()).replace("${PROJECT_ROOT}", str(here)[1:])
        lines.append(f"Requires-Dist: {one}")
    files = {**{one.as_posix(): one.read_text() for one in sorted(pathlib.Path(name).glob("*.py"))},
             f"{info}/METADATA": "\\n".join(lines) + "\\n",
             f"{info}/WHEEL": f"Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: {tag}\\n"}
    files[f"{info}/RECORD"] = "".join(f"{one},,\\n" for one in files)
    with zipfile.ZipFile(pathlib.Path(out, f"{name}-{version}-{tag}.whl"), "w") as archive:
        for one, text in files.items():
            archive.writestr(one, text)
    return f"{name}-{version}-{tag}.whl"
"""
