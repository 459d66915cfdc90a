"""A folder with app.py and requirements.txt, and no packaging: made into a wheel on the way."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cartwheel.build.source import Source, source_files
from cartwheel.build.wheel import write_wheel
from cartwheel.errors import BuildError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

GUNICORN_CONF = "gunicorn_conf.py"
VERSION_DIGITS = 12

# What lies beside an application but is not part of what runs. Everything else is
# carried: an application may read any file that is beside it.
_LEFT_FOLDERS = frozenset({"tests", "test", "instance", "node_modules", "docs", "dist", "build"})
_LEFT_FILES = re.compile(
    r"^(requirements[\w.-]*\.(txt|in)|conftest\.py|test_.*\.py|README.*|LICENSE.*|CHANGELOG.*|Makefile"
    r"|Dockerfile.*|docker-compose.*|Procfile|pyproject\.toml|setup\.cfg|tox\.ini|pytest\.ini|.*\.lock)$",
    re.IGNORECASE,
)
_HASH = re.compile(r"--hash[= ](sha\d+:[0-9a-f]+)")
_INDEX_OPTIONS = ("-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--trusted-host")
_IGNORED_OPTIONS = (*_INDEX_OPTIONS, "--no-index", "--pre", "--prefer-binary", "--require-hashes")


@dataclass(frozen=True)
class Requirements:
    """A requirements file with everything it includes."""

    wanted: tuple[str, ...]
    constraints: tuple[str, ...]
    hashes: dict[str, frozenset[str]]  # normalised name -> "sha256:..." that it allows
    notes: tuple[str, ...]  # options that Cartwheel takes from its settings instead


def package_plain(source: Source, name: str, folder: Path) -> Path:
    """Make the wheel of a plain folder in `folder`. Raises BuildError("source").

    Its version comes from the content of what it carries and asks for, so a change of
    its tests alone is no new version.
    """
    if not any(path.suffix == ".py" for path in source.path.iterdir()):
        raise BuildError("source", f"{source.path} has no Python file at its top")
    files = {
        relative: (path.read_bytes(), bool(path.stat().st_mode & 0o111))
        for relative, path in source_files(source.path)
        if _carried(relative)
    }
    wanted = plain_requirements(source.path).wanted
    version = f"0.0.0+g{_content_digest(files, wanted)[:VERSION_DIGITS]}"
    distribution = re.sub(r"[-_.]+", "_", name).lower()
    info = f"{distribution}-{version}.dist-info"
    files[f"{info}/METADATA"] = (_metadata(wanted, name, version).encode(), False)
    files[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: cartwheel\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        False,
    )
    target = folder / f"{distribution}-{version}-py3-none-any.whl"
    write_wheel(target, files, info)
    return target


def _content_digest(files: dict[str, tuple[bytes, bool]], wanted: tuple[str, ...]) -> str:
    digest = hashlib.sha256("\n".join(wanted).encode())
    for name, (content, executable) in sorted(files.items()):
        digest.update(f"\0{name}\0{executable}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _carried(relative: str) -> bool:
    first, _, rest = relative.partition("/")
    if any(part.startswith(".") for part in relative.split("/")):
        return False  # .env and other private or tool files
    if first.endswith((".dist-info", ".data")):
        return False
    return first not in _LEFT_FOLDERS if rest else not _LEFT_FILES.match(first)


def _metadata(wanted: tuple[str, ...], name: str, version: str) -> str:
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    return "\n".join([*lines, *(f"Requires-Dist: {line}" for line in wanted)]) + "\n"


def plain_requirements(folder: Path) -> Requirements:
    """What requirements.txt asks for, empty without one. Raises BuildError("source")."""
    path = folder / "requirements.txt"
    if not path.is_file():
        return Requirements((), (), {}, ())
    return read_requirements(path)


def read_requirements(path: Path) -> Requirements:
    """A requirements file in pip's format, `-r` and `-c` followed.

    Options about indexes are noted, not honoured: they belong into the settings,
    where they serve the hosts as well. Raises BuildError("source") with file and
    line for what cannot be locked (an editable, a path) or read.
    """
    wanted: list[str] = []
    constraints: list[str] = []
    hashes: dict[str, frozenset[str]] = {}
    notes: list[str] = []
    _read(path, wanted, constraints, hashes, notes, seen=(path,))
    return Requirements(tuple(wanted), tuple(constraints), hashes, tuple(notes))


def _read(
    path: Path,
    wanted: list[str],
    constraints: list[str],
    hashes: dict[str, frozenset[str]],
    notes: list[str],
    seen: tuple[Path, ...],
) -> None:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError("source", f"{path} cannot be read: {error}") from error
    for number, line in _logical_lines(text):
        option, _, value = (
            line.replace("=", " ", 1).partition(" ") if line.startswith("-") else ("", "", "")
        )
        if option in ("-r", "--requirement", "-c", "--constraint"):
            other = path.parent / value.strip()
            if other not in seen:
                into = wanted if option in ("-r", "--requirement") else constraints
                _read(other, into, constraints, hashes, notes, (*seen, other))
        elif option.startswith(_INDEX_OPTIONS) or option in _IGNORED_OPTIONS:
            notes.append(
                f"{path.name}:{number}: {option} does not count; name the index in the settings"
            )
        elif option:
            raise BuildError("source", f"{path}:{number}: {option} cannot be locked")
        else:
            requirement = _requirement(line, path, number)
            into = wanted
            into.append(str(requirement))
            found = _HASH.findall(line)
            if found:
                hashes[_normal(requirement.name)] = frozenset(found)


def _requirement(line: str, path: Path, number: int) -> Requirement:
    from packaging.requirements import InvalidRequirement, Requirement

    text = _HASH.sub("", line).strip()
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        why = str(error).splitlines()[0]
        raise BuildError(
            "source", f"{path}:{number}: {text!r} is not a requirement: {why}"
        ) from error


def _logical_lines(text: str) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    pending, start = "", 0
    for number, raw in enumerate(text.splitlines(), 1):
        start = start or number
        line = re.sub(r"(^|\s)#.*$", "", raw).strip()
        if line.endswith("\\"):
            pending += line[:-1] + " "
            continue
        pending = (pending + line).strip()
        if pending:
            found.append((start, pending))
        pending, start = "", 0
    if pending.strip():
        found.append((start, pending.strip()))
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
