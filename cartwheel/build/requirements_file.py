"""Reads requirements files as pip does: its lines, encodings, options and included files.

The format: https://pip.pypa.io/en/stable/reference/requirements-file-format/
"""

from __future__ import annotations

import codecs
import optparse
import os
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urljoin, urlsplit

from cartwheel.build.download import fetched_text
from cartwheel.build.fetched import name_of
from cartwheel.build.index import Access, IndexOptions, bare, binary_choice
from cartwheel.build.origins import Origin, local_path, normal, origin_at, origin_of
from cartwheel.build.wheel import asked_for, parsed
from cartwheel.errors import BuildError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CODING = re.compile(rb"coding[:=]\s*([-\w.]+)")
_CODING_LINES = 2
_COMMENT = re.compile(r"(^|\s+)#.*$")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_REMOTE = ("http:", "https:")
# A URL or a path instead of a name; a path has a separator or the name of a file.
_BARE_ADDRESS = re.compile(
    r"^(?P<address>(?:[a-z][a-z0-9+.-]*:|git@|~?/|\.{1,2}(?=$|[/\[\s])|[^\s\[;@=<>!~]+/"
    r"|[^\s\[;@=<>!~]+\.(?:whl|zip|tar\.gz|tgz)(?=$|[\s\[]))[^\s\[;]*)"
    r"(?P<extras>\[[^\]]*\])?\s*(?P<marker>;.*)?$",
    re.IGNORECASE,
)
# Debian's pip freeze wrote this line, which is on no index.
_NO_PACKAGE = ("pkg-resources", "0.0.0")


@dataclass(frozen=True)
class Requirements:
    """The requirements of a source, with everything that its files include."""

    wanted: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    hashes: dict[str, frozenset[str]] = field(default_factory=dict)  # "sha256:..." by name
    notes: tuple[str, ...] = ()  # about everything that is not used
    origins: tuple[Origin, ...] = ()  # of names that have a source of their own
    places: dict[str, str] = field(default_factory=dict)  # FILE:LINE by name
    indexes: IndexOptions = field(default_factory=IndexOptions)
    overrides: tuple[str, ...] = ()  # uv's: they replace what packages require


def read_constraints(access: Access) -> Requirements:
    """The constraints in files that pip's configuration names. Raises BuildError("source")."""
    reader = _Reader(Path.cwd(), access)
    place = _Place("constraint in pip's configuration", str(Path.cwd() / "-"), True, ())
    for file in access.constraints:
        reader.read(_beside(file, place.file), constraint=True, above=(place,))
    return reader.found


def read_requirements(path: Path, access: Access | None = None) -> Requirements:
    """A requirements file in pip's format, with the files that it includes.

    A requirement with an address (a path, a repository, a file) is replaced by its name, and its
    address is an origin. Raises BuildError("source", "source-unusable") with file and line for
    everything that pip refuses, and for what cannot be locked.
    """
    reader = _Reader(path.parent, access or Access())
    reader.read(str(path), constraint=False, above=())
    return reader.found


def read_lines(lines: Iterable[str], setting: str, folder: Path, access: Access) -> Requirements:
    """Requirements of the settings: each as a line of a requirements file in `folder`."""
    reader = _Reader(folder, access)
    for number, line in enumerate(lines):
        reader.add(line, _Place(f"{setting}[{number}]", str(folder / "-"), False, ()))
    return reader.found


def names_file(line: str) -> bool:
    """Whether a requirement of the settings is a requirements file: `-r FILE`."""
    return bool(re.match(r"\s*(-r|--requirement)", line))


def decoded(content: bytes, where: str) -> str:
    """The text of a requirements file, in the encoding that it declares. Raises
    BuildError("source")."""
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return _decoded(content, encoding, where)
    for line in content.split(b"\n")[:_CODING_LINES]:
        said = _CODING.search(line)
        if line.startswith(b"#") and said:
            return _decoded(content, said[1].decode("ascii"), where)
    return _decoded(content, "utf-8", where)


def _decoded(content: bytes, encoding: str, where: str) -> str:
    try:
        return content.decode(encoding)
    except (UnicodeDecodeError, LookupError) as error:
        raise BuildError(
            "source",
            f"{where} cannot be read: {error}",
            hint="Save it as UTF-8, or name its encoding in its first line:"
            " `# -*- coding: latin-1 -*-`.",
        ) from error


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their numbers, continued lines joined, without comments, variables expanded."""
    pending, start = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        comment = _COMMENT.match(line)
        start = start or number
        if line.endswith("\\") and not comment:
            pending += line.strip("\\")
            continue
        yield from _clean(start, pending + (f" {line}" if comment else line))
        pending, start = "", 0
    yield from _clean(start, pending)


def _clean(number: int, line: str) -> Iterator[tuple[int, str]]:
    text = _COMMENT.sub("", line).strip()
    if text:
        yield number, _VARIABLE.sub(lambda found: os.environ.get(found[1]) or found[0], text)


@dataclass(frozen=True)
class _Place:
    """Where a line is."""

    where: str  # FILE:LINE
    file: str
    constraint: bool
    above: tuple[str, ...]  # the files that include this one


class _Reader:
    """Collects the requirements of several files."""

    def __init__(self, top: Path, access: Access) -> None:
        self._top, self._access = top, access
        self.found = Requirements()

    def read(self, file: str, *, constraint: bool, above: tuple[_Place, ...]) -> None:
        by = above[-1].where if above else ""
        shown = bare(file) if file.lower().startswith(_REMOTE) else file
        text = decoded(_content(file, self._access, by), shown)
        files = (*(above[-1].above if above else ()), file)
        for number, line in logical_lines(text):
            self.add(line, _Place(f"{shown}:{number}", file, constraint, files))

    def add(self, line: str, place: _Place) -> None:
        requirement, options = _split(line, place.where)
        if requirement or options.editable:
            self._requirement(requirement, options, place)
        elif options.requirement or options.constraint:
            self._include(options, place)
        else:
            self._options(options, place)

    def _include(self, options: optparse.Values, place: _Place) -> None:
        said = [*options.requirement, *options.constraint]
        if len(said) > 1:
            raise _refusal(place, "pip reads only one file on a line", "Use a line for each file.")
        if not _is_address(said[0]):
            raise _refusal(place, f"{said[0]!r} is no address")
        file = _beside(said[0], place.file)
        if file in place.above:
            raise _refusal(place, f"{said[0]} includes this file again")
        self.read(file, constraint=bool(options.constraint), above=(place,))

    def _options(self, options: optparse.Values, place: _Place) -> None:
        for url in (options.index_url, *options.extra_index_url, *options.find_links):
            if not _is_address(url):
                raise _refusal(place, f"{url!r} is no address")
        links = tuple(_link(one, place.file) for one in options.find_links)
        more = IndexOptions(
            url=options.index_url,
            extra_urls=tuple(options.extra_index_url),
            find_links=links,
            trusted_hosts=tuple(options.trusted_host),
            no_index=options.no_index,
            pre=options.pre,
        )
        self._change(self.found.indexes.with_more(more), place)
        self._choose_binaries(options, place)
        for said in [*(["--prefer-binary"] if options.prefer_binary else []), *options.use_feature]:
            self._note(place, f"{said} is ignored")
        if options.hash:
            self._note(place, "pip ignores --hash without a requirement")

    def _choose_binaries(self, options: optparse.Values, place: _Place) -> None:
        """--no-binary and --only-binary: for pip they count on every line, and for all lines."""
        known = self.found.indexes
        source, built = known.no_binary, known.only_binary
        for said in options.no_binary:
            source, built = binary_choice(said, source, built)
        for said in options.only_binary:
            built, source = binary_choice(said, built, source)
        self._change(replace(known, no_binary=source, only_binary=built), place)

    def _change(self, changed: IndexOptions, place: _Place) -> None:
        if changed != self.found.indexes:
            changed = replace(changed, where=changed.where or place.where)
            self.found = replace(self.found, indexes=changed)

    def _note(self, place: _Place, text: str) -> None:
        note = f"{_short(place.where)}: {text}"
        self.found = replace(self.found, notes=(*self.found.notes, note))

    def _requirement(self, text: str, options: optparse.Values, place: _Place) -> None:
        if options.config_settings or options.global_option:
            why = "options for its build cannot be passed to hosts"
            raise _refusal(place, why, "Build a wheel of it yourself, and name that file instead.")
        self._choose_binaries(options, place)
        if text and _about_indexes(options):
            self._note(place, "pip ignores options after a requirement, give them their own line")
        asked = text or options.editable[0]
        requirement, origin = self._asked(asked, place)
        name = normal(requirement.name)
        if origin is None and _pins_nothing(requirement):
            self._note(place, f"{requirement} is ignored: Debian's pip wrote it, no index has it")
            return
        found = self.found
        found.places.setdefault(name, place.where)
        if origin is not None:
            origin = _with_hash(origin, options.hash, place)
            found = replace(found, origins=(*found.origins, origin))
        elif options.hash:
            found.hashes[name] = frozenset(_hashes(options.hash, place))
        if not place.constraint:
            found = replace(found, wanted=(*found.wanted, str(requirement)))
        elif origin is None:
            if requirement.extras:
                raise _refusal(place, "a constraint cannot have extras")
            found = replace(found, constraints=(*found.constraints, str(requirement)))
        self.found = found

    def _asked(self, text: str, place: _Place) -> tuple[Requirement, Origin | None]:
        """The requirement without its address, and the source at that address."""
        from packaging.requirements import Requirement

        match = _BARE_ADDRESS.match(text)
        if match is None:
            requirement = parsed(text, place.where)
            if requirement.url is None:
                return requirement, None
            origin = origin_of(requirement, self._base(requirement.url, place), place.where)
            return Requirement(asked_for(text)), _there(origin)
        address, extras, marker = match["address"], match["extras"] or "", match["marker"] or ""
        origin = _there(origin_at("", address, self._base(address, place), place.where))
        origin = replace(origin, name=origin.name or name_of(origin))
        return parsed(f"{origin.name}{extras} {marker}", place.where), origin

    def _base(self, address: str, place: _Place) -> Path:
        """The base of relative paths: for pip the folder of the first file, for uv of this file."""
        path = local_path(address.partition("#")[0], self._top)
        remote = place.file.lower().startswith(_REMOTE)
        return self._top if remote or _exists(path) else Path(place.file).parent


def _there(origin: Origin) -> Origin:
    """Refuse a file that does not exist here, such as one of conda's builds."""
    if origin.kind == "path" and not _exists(origin.place):
        instead = f"; if `pip freeze` wrote this, write {origin.name}==VERSION"
        raise origin.refusal(f"there is no {origin.place}{instead if origin.name else ''}")
    return origin


def _exists(path: str) -> bool:
    return os.path.exists(path)  # noqa: PTH110 - Path raises an error for a long name


def _pins_nothing(requirement: Requirement) -> bool:
    name, version = _NO_PACKAGE
    return normal(requirement.name) == name and str(requirement.specifier) == f"=={version}"


def _with_hash(origin: Origin, said: list[str], place: _Place) -> Origin:
    """The source with the hash of its line, which only a file can have."""
    if not said or origin.kind == "refused":
        return origin
    if origin.kind == "git" or (origin.kind == "path" and Path(origin.place).is_dir()):
        raise _refusal(place, "pip only compares hashes of files", "Delete this --hash.")
    found = sorted(set(_hashes(said, place)))
    if len(found) > 1:
        raise _refusal(place, "a file at an address has only one hash", "Delete the others.")
    return replace(origin, sha256=found[0].removeprefix("sha256:"))


def _hashes(said: Iterable[str], place: _Place) -> list[str]:
    found = [one for one in said if one.startswith("sha256:")]
    if not found:
        raise _refusal(place, "only sha256 hashes can be compared", "Add --hash=sha256:...")
    return found


def _content(file: str, access: Access, by: str) -> bytes:
    if file.lower().startswith(_REMOTE):
        return fetched_text(file, access, by)
    try:
        return Path(file).read_bytes()
    except (OSError, ValueError) as error:
        where = f"{by}: " if by else ""
        why = getattr(error, "strerror", None) or error
        raise BuildError("source", f"{where}{file} cannot be read: {why}") from error


def _beside(said: str, file: str) -> str:
    """An included file, relative to the one that includes it."""
    if said.lower().startswith("file:"):
        return local_path(said, Path(file).parent)
    if said.lower().startswith(_REMOTE) or not file.lower().startswith(_REMOTE):
        return said if said.lower().startswith(_REMOTE) else str(Path(file).parent / said)
    return urljoin(file, said)


def _link(said: str, file: str) -> str:
    """A place of files (-f): a URL, or a path relative to the file that names it."""
    if "://" in said or file.lower().startswith(_REMOTE):
        return said
    return local_path(said, Path(file).parent)


def _is_address(url: str) -> bool:
    try:
        return urlsplit(url) is not None
    except ValueError:
        return False


def _about_indexes(options: optparse.Values) -> bool:
    alone = (options.index_url, options.extra_index_url, options.find_links, options.trusted_host)
    more = (options.requirement, options.constraint)
    return any((*alone, *more, options.no_index, options.pre, options.prefer_binary))


def _refusal(place: _Place, why: str, hint: str = "") -> BuildError:
    return BuildError("source", f"{place.where}: {why}", hint=hint)


def _short(where: str) -> str:
    return where.rpartition("/")[2] if not urlsplit(where).scheme else where


# --- options ------------------------------------------------------------------------------


def _split(line: str, where: str) -> tuple[str, optparse.Values]:
    """A line's requirement, and its options: everything from the first word that begins with -."""
    words = line.split(" ")
    first = next((n for n, word in enumerate(words) if word.startswith("-")), len(words))
    requirement, rest = " ".join(words[:first]).strip(), " ".join(words[first:])
    parser = _parser()
    try:
        options, left = parser.parse_args(shlex.split(rest))
        values = (*options.no_binary, *options.only_binary)
        swallowed = [value for value in values if value.startswith("-")]
        wrong = f"{left[0]!r} belongs to no option" if left else ""
        wrong = f"{swallowed[0]!r} is no package" if swallowed else wrong
    except (ValueError, _OptionError) as error:
        wrong = str(error)
    if wrong:
        raise BuildError("source", f"{where}: pip cannot read `{line}`: {wrong}")
    return requirement, options


class _OptionError(Exception):
    pass


class _Parser(optparse.OptionParser):
    def error(self, msg: str) -> NoReturn:
        raise _OptionError(msg)


_LISTS = (
    ("-r", "--requirement"),
    ("-c", "--constraint"),
    ("-e", "--editable"),
    ("-f", "--find-links"),
    ("--extra-index-url",),
    ("--trusted-host",),
    ("--no-binary",),
    ("--only-binary",),
    ("--hash",),
    ("--use-feature",),
    ("--global-option",),
    ("-C", "--config-settings", "--config-setting"),
)
_FLAGS = ("--no-index", "--pre", "--prefer-binary", "--require-hashes")


def _parser() -> optparse.OptionParser:
    """The options that pip takes in a requirements file."""
    parser = _Parser(add_help_option=False)
    parser.add_option("-i", "--index-url", "--pypi-url", default="")
    for names in _LISTS:
        parser.add_option(*names, action="append", default=[])
    for name in _FLAGS:
        parser.add_option(name, action="store_true", default=False)
    return parser
