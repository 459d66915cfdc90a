"""Build what would be published, check it, and say what that is. Nothing is published.

`script/release` does all of it; tests/build/test_package.py shares all but the clean tree and
twine.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from email import message_from_bytes
from pathlib import Path
from typing import Any

import uv
from packaging.requirements import Requirement

import cartwheel

REPO = Path(__file__).resolve().parents[1]
TWINE = "twine==7.0.0"


@dataclass(frozen=True)
class Distribution:
    """`in_the_wheel`: where a file below its folder is there; what has no line is not in it, nor
    what begins with `not_in_the_wheel`.
    `from_above`: what its sdist has from the folder around it."""

    name: str
    folder: Path
    in_the_wheel: Mapping[str, str]
    from_above: frozenset[str] = frozenset()
    not_in_the_wheel: str = "-"


ENGINE = Distribution(
    "cartwheel",
    REPO,
    {
        "cartwheel/": "cartwheel/",
        "tasks/": "cartwheel/tasks/",
        "templates/": "cartwheel/templates/",
        "config/deploy.toml": "cartwheel/config/deploy.toml",
        "monitor/": "cartwheel/monitor/",
        "docs/": "cartwheel/docs/",
    },
    not_in_the_wheel="docs/pictures/",
)
LAB = Distribution(
    "cartwheel-lab",
    REPO / "lab",
    {"cartwheel_lab/": "cartwheel_lab/"},
    frozenset({"LICENSE", ".gitignore"}),  # the latter always comes with a checkout's sdist
)


@dataclass(frozen=True)
class Built:
    """One distribution in both forms; the wheel was built from the sdist."""

    distribution: Distribution
    sdist: Path
    wheel: Path

    @property
    def both(self) -> tuple[Path, Path]:
        return (self.sdist, self.wheel)


def main() -> None:
    """Check everything, or stop at what is wrong with exit code 1."""
    stop_if(unclean(), "the tree is not clean")
    stop_if(version_problems() + range_problems(), "the versions do not agree")
    engine, lab = (build(each, REPO / "dist" / each.name) for each in (ENGINE, LAB))
    stop_if(content_problems(engine) + content_problems(lab), "the contents are not complete")
    with tempfile.TemporaryDirectory(prefix="cartwheel-release-") as scratch:
        files = (*engine.both, *lab.both)
        check_metadata(files, Path(scratch) / "twine")
        for path in files:
            beside = () if path in engine.both else (engine.wheel,)
            install(Path(scratch) / path.name, path, *beside)
            print(f"{path.name} works in an empty environment")
    print("would publish:")
    for path in files:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        print(f"  {path.relative_to(REPO)}  {path.stat().st_size} bytes  sha256 {digest}")
    for open_end in open_ends():
        print(f"before publishing: {open_end}")


def stop_if(problems: Sequence[str], what: str) -> None:
    if problems:
        sys.exit("\n".join([f"cartwheel: {what}:", *(f"  {one}" for one in problems)]))


def git(*words: str) -> list[str]:
    done = subprocess.run(["git", *words], cwd=REPO, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def unclean() -> list[str]:
    """What is not committed."""
    return git("status", "--porcelain")


def project(folder: Path) -> dict[str, Any]:
    """What the folder's pyproject.toml says of the distribution."""
    found: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    return found


def newest_in_changelog() -> tuple[str, str]:
    """The version and the date of CHANGELOG.md's first section."""
    found = re.search(r"^## \[(.+)\] - (.+)$", (REPO / "CHANGELOG.md").read_text(), re.MULTILINE)
    return (found[1], found[2]) if found else ("none", "")


def version_problems() -> list[str]:
    """Where another version is named than in cartwheel/__init__.py."""
    asked = next(one for one in project(LAB.folder)["dependencies"] if one.startswith("cartwheel"))
    named = {
        "CHANGELOG.md begins with": newest_in_changelog()[0],
        "lab/pyproject.toml asks for": asked.removeprefix("cartwheel=="),
    }
    version = cartwheel.__version__
    return [
        f"{says} {other}, cartwheel/__init__.py has {version}"
        for says, other in named.items()
        if other != version
    ]


def range_problems() -> list[str]:
    """Where requirements.txt pins something else than the two distributions ask for."""
    lines = (line.partition("#")[0] for line in (REPO / "requirements.txt").read_text().split("\n"))
    pins = dict(line.strip().split("==") for line in lines if line.strip())
    asked = [Requirement(one) for each in (ENGINE, LAB) for one in _asked(project(each.folder))]
    ranges = {one.name: one.specifier for one in asked if one.name != ENGINE.name}
    return [
        *(f"requirements.txt lacks {name}" for name in sorted(set(ranges) - set(pins))),
        *(
            f"requirements.txt pins {name}, which nothing asks for"
            for name in set(pins) - set(ranges)
        ),
        *(
            f"requirements.txt pins {name} {version}, and {ranges[name]} is asked for"
            for name, version in pins.items()
            if name in ranges and version not in ranges[name]
        ),
    ]


# Any: pyproject.toml, as it is.
def _asked(known: dict[str, Any]) -> list[str]:
    """What a distribution asks for, also by its extras, but not the other one."""
    extras = known.get("optional-dependencies", {}).values()
    found = [*known["dependencies"], *(one for extra in extras for one in extra)]
    return [one for one in found if one != LAB.name]


def open_ends() -> list[str]:
    """What only the person who publishes can do."""
    found = []
    version, date = newest_in_changelog()
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", date):
        found.append(f"write the date of {version} into CHANGELOG.md")
    for folder in (ENGINE.folder, LAB.folder):
        if any("example.org" in url for url in project(folder)["urls"].values()):
            file = (folder / "pyproject.toml").relative_to(REPO)
            found.append(f"write the real addresses into [project.urls] of {file}")
    if f"v{version}" not in git("tag", "--points-at", "HEAD"):
        found.append(f"tag this commit: git tag --sign v{version}")
    return found


def build(distribution: Distribution, target: Path) -> Built:
    """Build the sdist, and from it the wheel."""
    words = ["build", "--quiet", "--no-build-isolation", "--python", sys.executable, "--clear"]
    command = [uv.find_uv_bin(), *words, "--out-dir", str(target), str(distribution.folder)]
    subprocess.run(command, check=True)
    [sdist], [wheel] = target.glob("*.tar.gz"), target.glob("*.whl")
    return Built(distribution, sdist, wheel)


def content_problems(built: Built) -> list[str]:
    """What the sdist and the wheel lack or have too much, measured by what git does not ignore."""
    folder = str(built.distribution.folder)
    ours = git("-C", folder, "ls-files", "--cached", "--others", "--exclude-standard")
    files = {*ours, *built.distribution.from_above}
    with tarfile.open(built.sdist) as archive:
        names = [member.name for member in archive.getmembers() if member.isfile()]
    in_sdist = {name.partition("/")[2] for name in names} - {"PKG-INFO"}
    with zipfile.ZipFile(built.wheel) as archive:
        in_wheel = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {
        name.replace(place, inside, 1)
        for name in files
        for place, inside in built.distribution.in_the_wheel.items()
        if name.startswith(place) and not name.startswith(built.distribution.not_in_the_wheel)
    }
    return [
        *_differences(built.sdist.name, files, in_sdist),
        *_differences(built.wheel.name, expected, in_wheel),
    ]


def _differences(form: str, expected: set[str], found: set[str]) -> list[str]:
    return [
        *(f"{form} lacks {name}" for name in sorted(expected - found)),
        *(f"{form} has {name}, which git ignores" for name in sorted(found - expected)),
    ]


def metadata(wheel: Path) -> dict[str, list[str]]:
    """The wheel's METADATA: every value of each field."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        message = message_from_bytes(archive.read(name))
    return {key: message.get_all(key, []) for key in set(message.keys())}


def check_metadata(files: Iterable[Path], environment: Path) -> None:
    python = empty_environment(environment)
    pip(python, "install", TWINE)
    check = [python, "-m", "twine", "check", "--strict", *map(str, files)]
    subprocess.run(check, check=True)


def install(environment: Path, *files: Path) -> Path:
    """Install them with their requirements into an empty environment; returns its programs."""
    python = empty_environment(environment)
    pip(python, "install", *map(str, files))
    pip(python, "check")
    programs = Path(python).parent
    assert f"Cartwheel {cartwheel.__version__}\n" in output(programs / "cartwheel", "--version")
    assert "\n  deploy " in output(programs / "cartwheel", "--list")
    return programs


def output(program: Path, *words: str, folder: Path | None = None) -> str:
    """What the program prints; by default where there is neither a clone nor a project."""
    where = folder or program.parent
    done = subprocess.run([program, *words], cwd=where, check=True, capture_output=True, text=True)
    return done.stdout


def empty_environment(folder: Path) -> str:
    """Make a virtual environment with pip alone; its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    return str(folder / "bin" / "python")


def pip(python: str, *words: str) -> None:
    quiet = ["-qq", "--disable-pip-version-check"]
    subprocess.run([python, "-m", "pip", *words, *quiet], check=True)


if __name__ == "__main__":
    main()
