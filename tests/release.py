"""Build what would be published, check it, and say what that is. Nothing is published.

`script/release` does all of it; tests/build/test_package.py shares all but the clean tree and twine.
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
from collections.abc import Sequence
from dataclasses import dataclass
from email import message_from_bytes
from pathlib import Path

import uv

import cartwheel

REPO = Path(__file__).resolve().parents[1]
TWINE = "twine==7.0.0"

# Where a file of the repository is in the wheel; what has no line here is not in it.
IN_THE_WHEEL = {
    "cartwheel/": "cartwheel/",
    "lab/cartwheel_lab/": "cartwheel_lab/",
    "tasks/": "cartwheel/tasks/",
    "templates/": "cartwheel/templates/",
    "config/deploy.toml": "cartwheel/config/deploy.toml",
}


@dataclass(frozen=True)
class Built:
    """One distribution in both forms; the wheel was built from the sdist."""

    sdist: Path
    wheel: Path

    @property
    def both(self) -> tuple[Path, Path]:
        return (self.sdist, self.wheel)


def main() -> None:
    """Check everything, or stop at what is wrong with exit code 1."""
    stop_if(unclean(), "the tree is not clean")
    stop_if(version_problems(), "the versions do not agree")
    built = build(REPO / "dist")
    stop_if(content_problems(built), "the contents are not complete")
    with tempfile.TemporaryDirectory(prefix="cartwheel-release-") as scratch:
        check_metadata(built, Path(scratch) / "twine")
        for path in built.both:
            install(path, Path(scratch) / path.name)
            print(f"{path.name} works in an empty environment")
    print("would publish:")
    for path in built.both:
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


def newest_in_changelog() -> tuple[str, str]:
    """The version and the date of CHANGELOG.md's first section."""
    found = re.search(r"^## \[(.+)\] - (.+)$", (REPO / "CHANGELOG.md").read_text(), re.MULTILINE)
    return (found[1], found[2]) if found else ("none", "")


def version_problems() -> list[str]:
    """Where another version is named than in cartwheel/__init__.py."""
    version, _ = newest_in_changelog()
    if version == cartwheel.__version__:
        return []
    return [
        f"CHANGELOG.md begins with {version}, cartwheel/__init__.py has {cartwheel.__version__}"
    ]


def open_ends() -> list[str]:
    """What only the person who publishes can do."""
    found = []
    version, date = newest_in_changelog()
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", date):
        found.append(f"write the date of {version} into CHANGELOG.md")
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    if any("example.org" in url for url in project["urls"].values()):
        found.append("write the real addresses into [project.urls] of pyproject.toml")
    if f"v{version}" not in git("tag", "--points-at", "HEAD"):
        found.append(f"tag this commit: git tag --sign v{version}")
    return found


def build(target: Path) -> Built:
    """Build the sdist, and from it the wheel."""
    words = ["build", "--quiet", "--no-build-isolation", "--python", sys.executable, "--clear"]
    command = [uv.find_uv_bin(), *words, "--out-dir", str(target), str(REPO)]
    subprocess.run(command, check=True)
    [sdist], [wheel] = target.glob("*.tar.gz"), target.glob("*.whl")
    return Built(sdist, wheel)


def content_problems(built: Built) -> list[str]:
    """What the sdist and the wheel lack or have too much, measured by what git does not ignore."""
    files = git("ls-files", "--cached", "--others", "--exclude-standard")
    with tarfile.open(built.sdist) as archive:
        names = [member.name for member in archive.getmembers() if member.isfile()]
    in_sdist = {name.partition("/")[2] for name in names} - {"PKG-INFO"}
    with zipfile.ZipFile(built.wheel) as archive:
        in_wheel = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {
        name.replace(place, inside, 1)
        for name in files
        for place, inside in IN_THE_WHEEL.items()
        if name.startswith(place)
    }
    return [
        *_differences("sdist", set(files), in_sdist),
        *_differences("wheel", expected, in_wheel),
    ]


def _differences(form: str, expected: set[str], found: set[str]) -> list[str]:
    return [
        *(f"the {form} lacks {name}" for name in sorted(expected - found)),
        *(f"the {form} has {name}, which git ignores" for name in sorted(found - expected)),
    ]


def metadata(wheel: Path) -> dict[str, list[str]]:
    """The wheel's METADATA: every value of each field."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        message = message_from_bytes(archive.read(name))
    return {key: message.get_all(key, []) for key in set(message.keys())}


def check_metadata(built: Built, environment: Path) -> None:
    python = empty_environment(environment)
    pip(python, "install", TWINE)
    check = [python, "-m", "twine", "check", "--strict", *map(str, built.both)]
    subprocess.run(check, check=True)


def install(distribution: Path, environment: Path) -> Path:
    """Install it with all it requires into an empty environment, where it must run; its programs."""
    python = empty_environment(environment)
    pip(python, "install", str(distribution))
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
