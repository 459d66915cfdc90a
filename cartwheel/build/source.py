"""The application's source: its kind, its files, and a copy to work on."""

from __future__ import annotations

import configparser
import hashlib
import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cartwheel import process_env, programs
from cartwheel.build.declaration import Declaration, declaration_in
from cartwheel.build.origins import pyproject
from cartwheel.decoded import Table
from cartwheel.errors import BuildError
from cartwheel.settings.project_files import own_files

Kind = Literal["project", "plain", "wheel", "index"]
Files = Sequence[tuple[str, Path]]
"""Files of a folder, by their paths relative to it."""

_PINNED = re.compile(r"^(?P<name>[A-Za-z0-9][\w.-]*?)\s*==\s*(?P<version>[\w.!+-]+)$")
_WITH_EXTRAS = re.compile(r"^[A-Za-z0-9][\w.-]*\s*\[([\w.,\s-]+)\]\s*==")

# Never part of an application: version control, caches, and files of editors.
_SKIPPED_FOLDERS = frozenset(
    {".git", ".hg", ".svn", ".bzr", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache"}
    | {".tox", ".nox", ".hypothesis", ".eggs", ".ipynb_checkpoints"}
)
# In a worktree or submodule `.git` is a file.
_SKIPPED_FILES = frozenset({".DS_Store", ".coverage", ".git"})
PLAN_BEGINS = b'{\n "cartwheel": "plan",'
"""How a file of `fab plan --out` begins, which may lie in the application's folder."""
_BUILT = (".whl", ".tar.gz", ".zip")
# Back ends and plugins that take the version from version control.
_VERSION_FROM_GIT = re.compile(
    r"^(setuptools[-_]scm|setuptools[-_]git[-_]versioning|hatch[-_]vcs|flit[-_]scm|versioningit"
    r"|dunamai|poetry[-_]dynamic[-_]versioning|uv[-_]dynamic[-_]versioning|versioneer)\b",
    re.IGNORECASE,
)
_ASKED_IN_SETUP = re.compile(
    r"\b(use_scm_version|setuptools_scm|setuptools_git_versioning|versioneer|vcversioner|pbr)\b"
)
# Variables that say the version instead.
_SAYS = re.compile(r"(SETUPTOOLS_SCM|VERSIONINGIT|PBR|PDM_BUILD|(POETRY|UV)_DYNAMIC_VERSIONING)_")
GIT_SECONDS = 30.0
_NAMES_AT_ONCE = 100  # as arguments of one call


@dataclass(frozen=True)
class Source:
    """The application's source. `path` for folders and wheels, `name`/`version` for the index."""

    kind: Kind
    path: Path
    name: str = ""
    version: str = ""
    declaration: Declaration | None = None  # what a plain folder requires, if a file says it

    @property
    def is_folder(self) -> bool:
        return self.kind in ("project", "plain")


def find_source(source: str, project: Path) -> Source:
    """The source of `app.source`, relative to the project's folder. Raises BuildError("source")."""
    path = (project / Path(source).expanduser()).absolute()
    if path.is_dir():
        return _folder(path, source, project)
    if source.endswith(".whl"):
        if not path.is_file():
            raise BuildError("source", f"app.source: there is no wheel {path}")
        return Source("wheel", path)
    pinned = _PINNED.match(source.strip())
    if pinned and not path.exists():
        return Source("index", path, pinned["name"], pinned["version"])
    wrong = f"there is no {path}"
    wrong = f"{path} is neither a folder nor a wheel" if path.exists() else wrong
    hint = "app.source is a folder, a wheel, or NAME==VERSION."
    if extras := _WITH_EXTRAS.match(source.strip()):
        wrong, hint = f"{source} has extras", f"Put them into app.extras: {extras[1]}."
    raise BuildError("source", f"app.source: {wrong}", hint=hint)


def _folder(path: Path, source: str, project: Path) -> Source:
    if is_built(path):
        return Source("project", path)
    declaration = next(filter(None, map(declaration_in, _upwards(path, project))), None)
    if declaration is None and not any(path.glob("*.py")):
        raise BuildError(
            "source",
            f"app.source: {source} has no package, no requirements and no Python file",
            hint=_where_it_may_be(path, source),
        )
    return Source("plain", path, declaration=declaration or Declaration("none", path))


def _upwards(path: Path, project: Path) -> Iterator[Path]:
    """The folder, and those around it in the project: requirements may be in any of them."""
    inside = path.resolve().is_relative_to(project.resolve())
    yield path
    for above in path.parents if inside else ():
        if not above.resolve().is_relative_to(project.resolve()):
            return
        yield above


def _where_it_may_be(path: Path, source: str) -> str:
    for inside in sorted(one for one in path.iterdir() if one.is_dir()):
        if is_built(inside) or declaration_in(inside) is not None:
            return f'Perhaps app.source = "{Path(source) / inside.name}"?'
    return "It may be a folder with app.py and requirements.txt, or with a pyproject.toml."


def is_built(folder: Path) -> bool:
    """Whether a build back end makes a wheel of the folder; if not, it is packed as it is.

    Projects that their tools do not install are not built: `package = false` (uv), `package-mode =
    false` (Poetry), `distribution = false` (PDM), and a [project] without a build system (uv). A
    pyproject.toml or setup.cfg that only configures tools makes no package either.
    """
    toml = pyproject(folder)
    uv, poetry = toml.at("tool", "uv"), toml.at("tool", "poetry")
    pdm = toml.at("tool", "pdm")
    if uv.get("package") is False or poetry.get("package-mode") is False:
        return False
    if pdm.get("distribution") is False:
        return False
    if (folder / "setup.py").is_file() or setup_cfg_packages(folder):
        return True
    system = toml.at("build-system")
    if system and not _is_setuptools(system):
        return True
    named = bool(toml.at("project"))
    return named and bool(system or uv.get("package") or "setuptools" in toml.at("tool"))


def _is_setuptools(system: Table) -> bool:
    return str(system.get("build-backend", "setuptools")).startswith("setuptools")


def setup_cfg_packages(folder: Path) -> bool:
    """Whether setup.cfg describes a package."""
    parser = configparser.RawConfigParser()
    try:
        parser.read_string((folder / "setup.cfg").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        why = " ".join(str(error).split())
        raise BuildError("source", f"{folder / 'setup.cfg'} cannot be read: {why}") from error
    return parser.has_option("metadata", "name") or parser.has_section("options")


def back_end_to_add(folder: Path) -> str:
    """A [build-system] for a copy of the folder: uv builds no setup.cfg without one."""
    alone = not any((folder / name).is_file() for name in ("pyproject.toml", "setup.py"))
    return '[build-system]\nrequires = ["setuptools"]\n' if alone else ""


def source_files(root: Path, keep: Collection[str] = ()) -> Iterator[tuple[str, Path]]:
    """(path relative to root, file) of every file that may matter, sorted.

    Cartwheel's own files in the application's repository do not matter: another drain time does
    not change the application, and a folder `config` would be a second package for a build back
    end. `chosen` leaves out private files. Links are followed, each real folder once on a path.
    `keep` are folders at the top that are not taken for results of earlier builds.
    """
    return (one for one in files_and_links(root, keep) if not is_broken(one[1]))


def files_and_links(root: Path, keep: Collection[str] = ()) -> Iterator[tuple[str, Path]]:
    """The files of `source_files`, and links to nothing, which cannot be in a wheel."""
    ours = own_files(root)
    found = _walk(root, "", (root.resolve(),), keep)
    return (one for one in found if not _is_ours(one[0], ours))


def empty_submodules(root: Path) -> list[str]:
    """The submodules of the repository in `root` that git has not fetched."""
    try:
        said = (root / ".gitmodules").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    paths = re.findall(r"^\s*path\s*=\s*(.+?)\s*$", said, re.MULTILINE)
    return [path for path in paths if not _has_files(root / path)]


def _has_files(folder: Path) -> bool:
    try:
        return folder.is_dir() and any(folder.iterdir())
    except OSError:  # the path is too long, or nobody may look
        return False


def is_broken(path: Path) -> bool:
    """Whether it is a link to nothing."""
    return path.is_symlink() and not path.exists()


def _is_ours(name: str, ours: Iterable[str]) -> bool:
    """Whether a file is Cartwheel's: in `config/environments/` and the like only TOML is."""
    return any(
        name.startswith(one) and (one.startswith(".") or name.endswith(".toml"))
        if one.endswith("/")
        else name == one
        for one in ours
    )


def _walk(
    folder: Path, prefix: str, above: tuple[Path, ...], keep: Collection[str]
) -> Iterator[tuple[str, Path]]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise BuildError("source", f"{folder} cannot be read: {error.strerror}") from error
    for entry in entries:
        path, name = Path(entry.path), f"{prefix}{entry.name}"
        if entry.is_dir():
            real = path.resolve()
            skipped = name not in keep and _skipped_folder(path, at_root=not prefix)
            if not skipped and real not in above:
                yield from _walk(path, f"{name}/", (*above, real), keep)
        elif (entry.is_file() and not _is_skipped(path)) or is_broken(path):
            yield name, path


def _is_skipped(file: Path) -> bool:
    if file.name in _SKIPPED_FILES or file.suffix in (".pyc", ".pyo"):
        return True
    return file.suffix != ".py" and _is_plan(file)


def _is_plan(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return stream.read(len(PLAN_BEGINS)) == PLAN_BEGINS
    except OSError:
        return False  # the digest reads every file, and reports the error


def _skipped_folder(path: Path, *, at_root: bool) -> bool:
    if path.name in _SKIPPED_FOLDERS or path.name.endswith(".egg-info"):
        return True
    if (path / "pyvenv.cfg").is_file() or _of_environment(path):
        return True
    # Only results of earlier builds at the root: a `dist` deeper down may be the compiled front
    # end, and a package `build` may be part of the application.
    if at_root and path.name == "build":
        return all(
            child.name in ("lib", "__editable__")
            or child.name.startswith(("lib.", "bdist.", "temp."))
            for child in path.iterdir()
        )
    if at_root and path.name == "dist":
        return all(
            child.name.endswith(_BUILT) or child.name == ".gitignore" for child in path.iterdir()
        )
    return False


def _of_environment(path: Path) -> bool:
    """Whether it is part of an environment that was made in the folder itself (`venv .`)."""
    if path.name == "site-packages":
        return True
    return (path.parent / "pyvenv.cfg").is_file() and (path / "activate").is_file()


def source_digest(source: Source, files: Files | None = None) -> str:
    """SHA-256 over names, executable bits and content of all files that may matter, or `files`."""
    digest = hashlib.sha256()
    for name, path in source_files(source.path) if files is None else files:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        mode = "x" if path.stat().st_mode & 0o111 else "-"
        digest.update(f"{name}\0{mode}\0{content}\n".encode("utf-8", "surrogateescape"))
    if _asks_git(source.path):
        said = sorted(f"{name}={value}" for name, value in os.environ.items() if _SAYS.match(name))
        digest.update("".join(said).encode())
    if version_from_git(source.path):
        digest.update(git_description(source.path).encode())
    return digest.hexdigest()


def copy_source(source: Source, target: Path, files: Files | None = None) -> Path:
    """Copy the files that matter, or `files`, to `target`, so that no build ever writes into the
    user's folder."""
    for name, path in source_files(source.path) if files is None else files:
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
        place.chmod(0o755 if path.stat().st_mode & 0o111 else 0o644)
    if version_from_git(source.path):
        _copy_git(source.path, target)
    target.mkdir(parents=True, exist_ok=True)
    return target


def version_from_git(folder: Path) -> bool:
    """Whether the build back end asks git for the version, and can."""
    return _asks_git(folder) and _top(folder) is not None


def _asks_git(folder: Path) -> bool:
    toml = pyproject(folder)
    requires = toml.at("build-system").get("requires", [])
    asks = any(isinstance(line, str) and _VERSION_FROM_GIT.match(line) for line in requires)
    asks = asks or toml.at("tool", "pdm", "version").get("source") == "scm"
    for name in ("setup.py", "setup.cfg"):
        asks = asks or bool(_ASKED_IN_SETUP.search(_text_of(folder / name)))
    return asks


def _text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _top(folder: Path) -> Path | None:
    """The top of the repository around `folder`; None if there is none, and then the back end says
    what it needs instead (an archive's own file, or a variable)."""
    try:
        ended = run_git(folder, "rev-parse", "--show-toplevel")
    except FileNotFoundError:
        return None if not (folder / ".git").exists() else folder
    return Path(ended.output_text.strip()) if ended.status == 0 else None


def git_description(folder: Path) -> str:
    """Commit, nearest tag and whether files differ: the parts of a version from git."""
    return _git(folder, "rev-parse", "HEAD") + _git(
        folder, "describe", "--tags", "--always", "--long", "--dirty"
    )


def _copy_git(folder: Path, target: Path) -> None:
    """Give the copy the repository's history, below the folder that stands for its top.

    The git folder of a worktree or submodule is elsewhere: for the back end a clone that shares
    the objects is the same.
    """
    top = Path(_git(folder, "rev-parse", "--show-toplevel").strip())
    inside = folder.resolve().relative_to(top.resolve())
    place = target.parents[len(inside.parts) - 1] if inside.parts else target
    bare = place.parent / f"{place.name}.git"
    _git(folder, "clone", "--quiet", "--bare", "--shared", str(top), str(bare))
    bare.rename(place / ".git")
    _git(place, "config", "core.bare", "false")
    _git(place, "reset", "--quiet", _git(folder, "rev-parse", "HEAD").strip())
    # Files that we left out of the copy do not count as the user's changes.
    names = _git(place, "ls-files", "--deleted", "-z").split("\0")
    left_out = [name for name in names if name and os.path.lexists(top / name)]
    for start in range(0, len(left_out), _NAMES_AT_ONCE):
        some = left_out[start : start + _NAMES_AT_ONCE]
        _git(place, "update-index", "--skip-worktree", "--", *some)


def _git(folder: Path, *arguments: str) -> str:
    wrong = f"the version of {folder} comes from git"
    try:
        ended = run_git(folder, *arguments)
    except FileNotFoundError:
        raise BuildError("source", f"{wrong}, which is not installed") from None
    if ended.status != 0:
        why = ended.errors_text.strip() or f"git {ended.how}"
        raise BuildError("source", f"{wrong}: {why}")
    return ended.output_text


def run_git(folder: Path, *arguments: str) -> programs.Ended:
    """Run git, without programs from the repository (git-config(1), core.fsmonitor). Raises
    FileNotFoundError if there is no git, and BuildError("source") if it does not answer."""
    options = ("-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-C", str(folder))
    try:
        return programs.run(
            ["git", *options, *arguments],
            env=process_env.of_tools(),
            cwd=folder,
            deadline_seconds=GIT_SECONDS,
        )
    except programs.LateError:
        message = f"git {arguments[0]} in {folder} did not end within {GIT_SECONDS:g} s"
        raise BuildError("source", message) from None
