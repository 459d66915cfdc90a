"""Packs a plain folder, with app.py and requirements.txt, into a wheel."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cartwheel.build.chosen import Chosen, choose
from cartwheel.build.fetched import name_of
from cartwheel.build.origins import Origin, local_path, normal, origin_at, origin_of
from cartwheel.build.source import Source
from cartwheel.build.wheel import asked_for, metadata_lines, write_pure_wheel
from cartwheel.errors import BuildError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

VERSION_DIGITS = 12

_HASH = re.compile(r"--hash[= ](sha\d+:[0-9a-f]+)")
_INDEX_OPTIONS = ("-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--trusted-host")
_EDITABLE = ("-e", "--editable")
_OPTION = re.compile(r"(-[^\s=]*)[\s=]*(.*)")
# A URL or a path instead of a name; a path has a separator or the name of a file.
_BARE_ADDRESS = re.compile(
    r"^(?P<address>(?:[a-z][a-z0-9+.-]*:|git@|~?/|\.{1,2}(?=$|[/\[\s])|[^\s\[;@=<>!~]+/"
    r"|[^\s\[;@=<>!~]+\.(?:whl|zip|tar\.gz|tgz)(?=$|[\s\[]))[^\s\[;]*)"
    r"(?P<extras>\[[^\]]*\])?\s*(?P<marker>;.*)?$",
    re.IGNORECASE,
)
_IGNORED_OPTIONS = (*_INDEX_OPTIONS, "--no-index", "--pre", "--prefer-binary", "--require-hashes")


@dataclass(frozen=True)
class Requirements:
    """A requirements file with everything it includes."""

    wanted: tuple[str, ...]
    constraints: tuple[str, ...]
    hashes: dict[str, frozenset[str]]  # normalised name -> "sha256:..." that it allows
    notes: tuple[str, ...]  # about options that Cartwheel takes from its settings instead
    origins: tuple[Origin, ...] = ()  # of names that have a source of their own


def package_plain(source: Source, name: str, folder: Path, chosen: Chosen | None = None) -> Path:
    """Make the wheel of a plain folder in `folder`. Raises BuildError("source").

    Its version comes from its files and requirements, so a change of its tests alone does not
    make a new version.
    """
    if not any(path.suffix == ".py" for path in source.path.iterdir()):
        raise BuildError("source", f"{source.path} has no Python file")
    carried = (chosen or choose(source)).carried
    for relative, _ in carried:
        shown = relative.encode("utf-8", "backslashreplace").decode()
        if shown != relative:
            raise BuildError(
                "source",
                f"a wheel cannot contain {shown}: its name is not UTF-8",
                hint="Rename it, or leave it out with app.exclude.",
            )
    files = {
        relative: (path.read_bytes(), bool(path.stat().st_mode & 0o111))
        for relative, path in carried
    }
    wanted = plain_requirements(source.path).wanted
    version = f"0.0.0+g{_content_digest(files, wanted)[:VERSION_DIGITS]}"
    stem = f"{normal(name).replace('-', '_')}-{version}"
    return write_pure_wheel(folder, stem, metadata_lines(name, version, wanted), files)


def _content_digest(files: dict[str, tuple[bytes, bool]], wanted: tuple[str, ...]) -> str:
    digest = hashlib.sha256("\n".join(wanted).encode())
    for name, (content, executable) in sorted(files.items()):
        digest.update(f"\0{name}\0{executable}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def plain_requirements(folder: Path) -> Requirements:
    """The requirements of requirements.txt, empty without one. Raises BuildError("source")."""
    path = folder / "requirements.txt"
    if not path.is_file():
        return Requirements((), (), {}, ())
    return read_requirements(path)


def read_requirements(path: Path) -> Requirements:
    """A requirements file in pip's format, `-r` and `-c` followed.

    Options about indexes are ignored with a note: they belong into the settings, which the hosts
    use too. A requirement with an address (a path, a repository, a file) is replaced by its name,
    and its address is an origin. Raises BuildError("source", "source-unusable") with file and
    line for lines that cannot be locked or read.
    """
    wanted: list[str] = []
    constraints: list[str] = []
    hashes: dict[str, frozenset[str]] = {}
    notes: list[str] = []
    origins: list[Origin] = []
    _read(path, wanted, constraints, hashes, notes, origins, seen=(path,))
    return Requirements(tuple(wanted), tuple(constraints), hashes, tuple(notes), tuple(origins))


def _read(
    path: Path,
    wanted: list[str],
    constraints: list[str],
    hashes: dict[str, frozenset[str]],
    notes: list[str],
    origins: list[Origin],
    seen: tuple[Path, ...],
) -> None:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError("source", f"{path} cannot be read: {error}") from error
    for number, line in _logical_lines(text):
        option, value = _option(line)
        if option in ("-r", "--requirement", "-c", "--constraint"):
            other = path.parent / value.strip()
            if other not in seen:
                into = wanted if option in ("-r", "--requirement") else constraints
                _read(other, into, constraints, hashes, notes, origins, (*seen, other))
        elif option.startswith(_INDEX_OPTIONS) or option in _IGNORED_OPTIONS:
            notes.append(
                f"{path.name}:{number}: {option} is ignored; name the index in the settings"
            )
        elif option and option not in _EDITABLE:
            raise BuildError("source", f"{path}:{number}: {option} cannot be locked")
        else:
            asked = value if option else line
            requirement, origin = _asked(asked, path, number, seen[0].parent)
            found = _HASH.findall(line)
            if origin is not None:
                origins.append(origin)
            elif found:
                hashes[normal(requirement.name)] = frozenset(found)
            if origin is None or wanted is not constraints:
                wanted.append(str(requirement))


def _option(line: str) -> tuple[str, str]:
    found = _OPTION.match(line)
    return (found[1], found[2].strip()) if found else ("", "")


def _asked(line: str, path: Path, number: int, top: Path) -> tuple[Requirement, Origin | None]:
    """The requirement of a line without its address, and the source at that address."""
    from packaging.requirements import Requirement

    where = f"{path}:{number}"
    text = _HASH.sub("", line).strip()
    bare = _BARE_ADDRESS.match(text)
    if bare is None:
        requirement = _requirement(text, path, number)
        if requirement.url is None:
            return requirement, None
        origin = origin_of(requirement, _base(requirement.url, path, top), where)
        return Requirement(asked_for(text)), origin
    address, extras, marker = bare["address"], bare["extras"] or "", bare["marker"] or ""
    origin = origin_at("", address, _base(address, path, top), where)
    origin = replace(origin, name=origin.name or name_of(origin))
    return _requirement(f"{origin.name}{extras} {marker}", path, number), origin


def _base(address: str, path: Path, top: Path) -> Path:
    """The base of relative paths: for pip the folder of the first file, for uv of this file."""
    place = local_path(address.partition("#")[0], top)
    return top if Path(place).exists() else path.parent


def _requirement(text: str, path: Path, number: int) -> Requirement:
    from packaging.requirements import InvalidRequirement, Requirement

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
    return [*found, (start, pending.strip())] if pending.strip() else found
